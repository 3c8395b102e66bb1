"""A name, a path, or both."""

from pathlib import Path

import datasets
import numpy as np
import pytest

import limbeck as lb
from limbeck.data import TransferSet, load
from limbeck.data.catalogue import in_catalogue
from limbeck.data.place import hub_id, is_path, path_text
from limbeck.errors import UserError
from limbeck.recipes.reading import parse_recipe
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.sources import load_training_images


@pytest.fixture
def beside(write_folder, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes class folders ant and bee of 6x5 images into folders below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMBECK_DATA", raising=False)

    def write(*names: str) -> None:
        for name in names:
            write_folder({"ant/1.png": pixels[0], "bee/1.png": pixels[1]}, name)

    return write


def offline(*_, **__) -> None:
    raise ConnectionError("no connection")


def is_the_folder(images: lb.ImageSet) -> bool:
    return images.classes == ("ant", "bee")


def test_a_path_is_a_path(beside):
    beside("digits", "cifar10", "imagenette:320px", "owner/name")
    for name in ("digits", "cifar10", "imagenette:320px", "owner/name"):
        assert is_the_folder(load(Path(name)))
        assert is_the_folder(load(f"./{name}"))
        assert is_the_folder(load(Path(name).absolute()))


@pytest.mark.parametrize("name", ["digits", "cifar10", "imagenette:320px", "uoft-cs/cifar10", "own/images"])
def test_a_path_that_is_not_there_is_never_a_name(beside, name: str):
    with pytest.raises(
        UserError, match=f"there is no file or folder '{name}'. A `Path` is never a name; give that of a"
    ):
        load(Path(name))
    for text in (f"./{name}", f"../{name}", f"~/nowhere/{name}"):
        with pytest.raises(UserError, match=r"there is no file or folder '[.~].*'\.$"):
            load(text)


def test_a_name_that_is_a_folder_too_is_said(beside, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets, "load_dataset", offline)
    beside("digits")
    with pytest.warns(
        UserWarning, match=r"'digits' is a data set of the catalogue and a folder here. The data set was"
    ):
        assert load("digits").num_classes == 10
    Path("mnist").write_text("")
    with (
        pytest.warns(UserWarning, match="'mnist' is a data set of the catalogue and a file here"),
        pytest.raises(UserError, match=r"`root` '\.' has no split 'train' of 'ylecun/mnist'"),
    ):
        load("mnist", root=Path())


def test_a_name_with_a_configuration_that_is_a_folder_too_is_said(beside, write_parquet, pixels: np.ndarray):
    beside("imagenette:64px")
    names = [str(number) for number in range(10)]
    write_parquet("root/frgfm/imagenette/64px/train-0.parquet", list(pixels), [0] * 12, names=names)
    with pytest.warns(UserWarning, match="'imagenette:64px' is a data set of the catalogue and a folder here"):
        assert len(load("imagenette:64px", root="root")) == 12


def test_a_folder_that_is_a_hub_id_too_is_said(beside, write_parquet, pixels: np.ndarray):
    beside("owner/name", "uoft-cs/cifar10")
    assert is_the_folder(load("owner/name"))
    with pytest.warns(
        UserWarning, match="a data set on the hub, which the catalogue calls 'cifar10'. The folder was taken"
    ):
        assert is_the_folder(load("uoft-cs/cifar10"))
    write_parquet("root/owner/name/data/train-0.parquet", list(pixels), [0, 1] * 6)
    with pytest.warns(
        UserWarning, match="'owner/name' is a folder here and the data set 'root/owner/name' under the local"
    ):
        assert is_the_folder(load("owner/name", root="root"))
    assert is_the_folder(load("./owner/name", root="root"))
    assert len(load("root/owner/name", root="root")) == 12


def test_the_local_root_itself_is_one_place_and_not_two(beside, write_parquet, pixels: np.ndarray, monkeypatch):
    write_parquet("owner/name/data/train-0.parquet", list(pixels), [0, 1] * 6)
    monkeypatch.setenv("LIMBECK_DATA", ".")
    assert len(load("owner/name")) == 12


def test_recipes_keep_a_path_a_path(beside):
    beside("digits")
    content = {
        "name": "one",
        "data": {"train": Path("digits"), "test": Path("digits")},
        "student": {"model": "convnet_d3"},
        "objective": "cross_entropy",
        "training": {"steps": 1},
    }
    recipe = parse_recipe(content)
    assert recipe.data.train.name == "./digits"
    assert is_the_folder(load_training_images(recipe.data.train).images)
    bare = parse_recipe(content | {"data": {"train": "digits"}})
    with pytest.warns(UserWarning, match="'./digits' is the folder"):
        assert load_training_images(bare.data.train).images.num_classes == 10


def test_a_transfer_set_called_as_a_data_set_is_asked_for_by_its_path(beside, small_set: lb.ImageSet, monkeypatch):
    TransferSet(small_set).save("digits")
    assert (
        load_training_images(DatasetSettings.model_construct(name="./digits")).images.fingerprint
        == small_set.fingerprint
    )
    with pytest.warns(UserWarning, match="'./digits' is the folder"):
        assert load_training_images(DatasetSettings.model_construct(name="digits")).images.num_classes == 10
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert (
        load_training_images(DatasetSettings.model_construct(name="~/digits")).images.fingerprint
        == small_set.fingerprint
    )


def test_verbs_take_a_path_for_a_path(beside, tmp_path: Path):
    beside("digits")
    options = {"validation": 0, "steps": 1, "batch_size": 2, "views": "none"}
    result = lb.distill(None, "convnet_d3", Path("digits"), test=lb.load(Path("digits")), out="one", **options)
    assert result.student.classes == ("ant", "bee")
    with pytest.raises(UserError, match=r"`split` of 'digits' must be 'train', got 'test'.* are asked for as 'train'"):
        lb.probe(result.student, Path("digits"), Path("digits"), size=6)
    with pytest.raises(UserError, match=r"there is no file or folder '\./cifar10'"):
        lb.distill(None, "convnet_d3", Path("cifar10"), out="two", **options)


def test_what_can_only_be_a_path():
    for name in ("./a", "../a", ".", "..", "~/a", "/a/b", Path("a"), Path("a/b")):
        assert is_path(name)
        assert hub_id(name) is None
    for name in ("a", "a/b", "cifar10", ".hidden/b", "a/./b"):
        assert not is_path(name)
    assert hub_id("a/b:c") == ("a/b", "c")
    assert not in_catalogue(Path("cifar10"))
    assert in_catalogue("imagenette:320px")
    assert [path_text(Path(text)) for text in ("a", "a/b", "../a", "/a", "~/a", ".")] == [
        "./a",
        "./a/b",
        "../a",
        "/a",
        "~/a",
        ".",
    ]
