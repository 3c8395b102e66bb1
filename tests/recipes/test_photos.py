"""A folder of photos at the first try: its splits, its size, and the key of the recipe where one of them is missing."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.photos import write_photos

import limbeck as lb
from limbeck.api.named_images import evaluation_images
from limbeck.errors import UserError
from limbeck.recipes.found_images import found_images
from limbeck.recipes.image_sizes import size_for_network
from limbeck.recipes.inputs import Inputs, PythonObjects, load_images_of
from limbeck.recipes.reading import parse_recipe, read_recipe
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.sources import load_part, sources_of


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def photos(*splits: str, folder: str = "photos", **options: Any) -> str:
    for number, split in enumerate(splits):
        write_photos(Path(folder) / split, 12 if split.lower().startswith("train") else 4, seed=number, **options)
    return f"./{folder}"


def flat(folder: str = "photos") -> str:
    write_photos(Path(folder), 10)
    return f"./{folder}"


def recipe(data: Any, *overrides: str, **changes: Any) -> Recipe:
    content = {
        "name": "mine",
        "data": data,
        "student": {"model": "convnet_d3", "input_size": 8, "options": {"width": 4}},
        "training": {"steps": 1},
        **changes,
    }
    return read_recipe(content, overrides)


def loaded(*what: Any, **changes: Any) -> tuple[Inputs, list[str]]:
    parsed = recipe(*what, **changes)
    inputs = load_images_of(parsed, PythonObjects())
    return inputs, found_images(parsed, inputs)


def counts(inputs: Inputs) -> list[int | None]:
    return [None if images is None else len(images) for images in (inputs.train, inputs.validation, inputs.test)]


@pytest.mark.parametrize(
    ("splits", "expected", "said"),
    [
        (
            ("train", "val"),
            [22, 2, 8],
            "22 images to learn from (train), 2 images for validation (held out of those to learn from), "
            "8 images to judge on (its validation images, for want of test images) of 2 classes",
        ),
        (
            ("train", "test"),
            [22, 2, 8],
            "22 images to learn from (train), 2 images for validation (held out of those to learn from), "
            "8 images to judge on (test) of 2 classes",
        ),
        (
            ("Training", "VALID", "Test"),
            [24, 8, 8],
            "24 images to learn from (train), 8 images for validation (validation), 8 images to judge on (test) of 2 "
            "classes",
        ),
        (
            ("train",),
            [17, 2, 5],
            "17 images to learn from (train), 2 images for validation (held out of those to learn from), "
            "5 images to judge on (held out of those to learn from) of 2 classes",
        ),
    ],
)
def test_what_is_in_a_folder_is_found_and_said(splits: tuple[str, ...], expected: list[int], said: str) -> None:
    inputs, (summary, size) = loaded(photos(*splits))
    assert counts(inputs) == expected
    assert summary == f"found in './photos': {said}"
    assert size == "images are brought to 8x8: `student.input_size` (`data.size` says another)"
    for images in (inputs.train, inputs.validation, inputs.test):
        assert images is not None
        assert images.shape == (3, 8, 8)


def test_class_folders_alone_are_split_by_the_seed() -> None:
    name = flat()
    inputs, (summary, _) = loaded(name)
    assert counts(inputs) == [14, 2, 4]
    assert "4 images to judge on (held out of those to learn from)" in summary
    assert inputs.train is not None
    assert inputs.validation is not None
    assert inputs.test is not None
    assert inputs.test.class_counts().tolist() == [2, 2]
    sets = [set(images.ids.tolist()) for images in (inputs.train, inputs.validation, inputs.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 20
    again, _ = loaded(name)
    assert again.test is not None
    assert again.test.fingerprint == inputs.test.fingerprint
    other, _ = loaded({"name": name, "split_seed": 1})
    assert other.test is not None
    assert other.test.fingerprint != inputs.test.fingerprint


def test_what_was_found_is_written_down_and_not_looked_for_again() -> None:
    parsed = recipe(photos("train", "val"))
    assert parsed.data.validation is None
    assert isinstance(parsed.data.test, DatasetSettings)
    assert parsed.data.test.split == "validation"
    content = parsed.model_dump(mode="json")
    assert content["data"].keys() == {"train", "test", "validation", "split_seed"}
    photos("test")
    assert parse_recipe(content).model_dump(mode="json") == content
    assert (
        recipe("digits").model_dump(mode="json")["data"]
        == recipe({"train": "digits", "test": "digits"}).model_dump(mode="json")["data"]
    )


def test_what_stands_beside_a_name_is_laid_over_what_it_stands_for() -> None:
    name = photos("train", "val", "test")
    data = recipe({"name": name, "validation": 0.25, "test": {"size": 4}, "skip_unreadable": True}).data
    assert data.validation == 0.25
    assert isinstance(data.test, DatasetSettings)
    assert data.train is not None
    assert (data.test.name, data.test.size, data.test.skip_unreadable) == (name, 4, True)
    assert (data.train.name, data.train.size, data.train.skip_unreadable) == (name, None, True)
    data = recipe(name, "data.size=6", "data.train.size=[4, 5]", "data.test=digits", "data.validation=null").data
    assert [source.size for source in sources_of(data).values()] == [(4, 5), 6]
    assert data.validation is None
    assert recipe(name, "data.test=0.5").data.test == 0.5
    assert recipe(name, "data.test=null").data.test is None
    explicit = recipe({"train": name, "test": name, "size": 4, "channels": 1}).data
    assert [(source.size, source.channels) for source in sources_of(explicit).values()] == [(4, 1), (4, 1)]


def test_sets_of_the_catalogue_that_have_no_test_images() -> None:
    assert recipe("caltech101").data.test == 0.2
    assert recipe("imagenette").data.test == DatasetSettings(name="imagenette")
    assert recipe("imagenette").data.validation is None


def test_the_size_comes_from_the_student_else_the_teacher() -> None:
    name = photos("train", "test")
    teacher = lb.create("convnet_d3", num_classes=2, classes=("cat", "dog"), input_size=16, width=4)
    lb.save_model(teacher, "teacher")
    any_size = {"model": "resnet8"}
    for student, changes, expected, reason in [
        ({"model": "convnet_d3", "input_size": 8}, {}, 8, "`student.input_size`"),
        ({"model": "convnet_d3"}, {}, 32, "the student, a convnet_d3"),
        ({"weights": "teacher"}, {}, 16, "the student, what the network in 'teacher' takes"),
        ({"model": "timm:resnet18"}, {}, 224, "the student, a timm:resnet18"),
        (any_size, {"teacher": "teacher"}, 16, "the teacher, what the network in 'teacher' takes"),
        (any_size, {"teacher": "cifar10-resnet20"}, 32, "the teacher, what cifar10-resnet20 was trained with"),
    ]:
        inputs, (_, size) = loaded(name, student=student, **changes)
        assert inputs.shape == (3, expected, expected)
        assert f"images are brought to {expected}x{expected}: {reason}" in size


def test_images_of_one_size_stay_as_they_are() -> None:
    name = photos("train", "test")
    inputs, (_, size) = loaded({"name": name, "size": 10}, student={"model": "resnet8"})
    assert inputs.shape == (3, 10, 10)
    assert size == "images are brought to 10x10, as `size` says"
    images = lb.load(name, size=10)
    assert images.labels is not None
    np.savez("own.npz", images=images.tensor().numpy(), labels=images.labels.numpy())
    inputs, (summary, size) = loaded("own.npz")
    assert counts(inputs) == [17, 2, 5]
    assert size == "images are 10x10, as all of them are stored"
    assert summary.startswith("found in 'own.npz': 17 images to learn from (train)")
    np.savez("large.npz", images=np.zeros((10, 300, 4, 3), np.uint8), labels=np.arange(10) % 2)
    assert (
        "images are 300x4, as all of them are stored; `data.size` would bring them to fewer"
        in loaded("large.npz", student={"model": "resnet8"})[1][1]
    )
    mixed = {"train": "own.npz", "test": f"{name}/test"}
    inputs, (_, size) = loaded(mixed, student={"model": "resnet8"})
    assert inputs.test is not None
    assert inputs.test.shape == (3, 10, 10)
    assert "what all images of 'own.npz' to learn from have" in size


def test_a_folder_of_one_split_is_what_it_is_named_for() -> None:
    name = photos("train", "val")
    inputs, (summary, _) = loaded({"train": f"{name}/train", "test": f"{name}/val"})
    assert counts(inputs) == [22, 2, 8]
    assert "8 images to judge on (test)" in summary


@pytest.mark.parametrize(
    ("data", "splits", "message"),
    [
        (
            {"train": "./photos", "test": "./photos"},
            ("train", "val"),
            r"`data.test`: './photos' has no split 'test', but 'train' and 'validation'. `data.test.split: validation` "
            r"judges on its validation images, and `data: ./photos` does so by itself.",
        ),
        (
            {"train": "./photos/train", "test": "./photos/train"},
            ("train", "val"),
            r"`data.test`: './photos/train' has no split 'test', but 'train', which is learned from. `data.test: 0.2` "
            r"holds a share of it out, and `data: ./photos/train` does so by itself.",
        ),
        (
            {"train": "./photos", "test": {"name": "./photos", "split": "tset"}},
            ("train", "test"),
            r"`data.test.split` must be one of those there are: './photos' has no split 'tset', but 'test' ",
        ),
        (
            {"train": "./photos/train", "test": 24},
            ("train", "val"),
            r"`data.test` must be a count in 1..23",
        ),
    ],
)
def test_a_split_that_is_not_there_names_the_key_of_the_recipe(data: Any, splits: Any, message: str) -> None:
    photos(*splits)
    with pytest.raises(UserError, match=message):
        loaded(data)


def test_a_size_that_nobody_knows_names_the_key_of_the_recipe() -> None:
    name = photos("train", "test")
    with pytest.raises(
        UserError,
        match=r"`data.size` must be given: the images of './photos' differ in size \(3 sizes; .*\), and neither "
        r"student nor teacher is of one. For instance `data: {name: ./photos, size: 12}` in the recipe, or "
        "-s data.size=12: each image is scaled until it covers that square and cropped to its centre",
    ):
        loaded(name, student="resnet8")
    assert loaded({"name": name, "size": 12}, student="resnet8")[0].shape == (3, 12, 12)
    with pytest.raises(UserError, match=r"For instance `data: {..., size: 12}` in the recipe"):
        loaded({"train": f"{name}/train", "test": f"{name}/test"}, student="resnet8")
    with pytest.raises(UserError, match=r"`size` must be given for './photos/train' \(train\), whose images differ"):
        lb.load(f"{name}/train")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "./photos", "size": "abc"}, r"1 error:\n  data.size: must be a whole number or a list of two"),
        ({"name": "./photos", "sise": 8}, r"1 error:\n  data.sise: unknown key; did you mean 'size'\?"),
        ({"name": 3}, r"data: `name` must be a data set, folder, file or hub id, as text, got 3"),
        ("./only", r"data: './only' holds 'validation' and nothing to learn from, which would be in a folder `train`"),
        ({"train": "digits", "test": 1.5}, r"data.test: must be a count of images >= 0 or a share below 1, got 1.5"),
    ],
)
def test_what_is_wrong_with_the_data_of_a_recipe(data: Any, message: str) -> None:
    photos("train")
    photos("val", folder="only")
    with pytest.raises(UserError, match=message):
        recipe(data)


def test_broken_files_empty_classes_and_names_of_them() -> None:
    name = photos("train", "test")
    broken = Path(name, "train", "cat", "99.jpg")
    broken.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"99\.jpg"):
        loaded(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs, _ = loaded(name, "data.skip_unreadable=true")
    assert inputs.train is not None
    assert len(inputs.train) + len(inputs.validation or ()) == 24
    broken.unlink()
    Path(name, "train", "emu").mkdir()
    with pytest.raises(UserError, match=r"class folder '.*emu' holds no images; add some or remove it"):
        loaded(name)


def test_parts_are_loaded_in_their_own_size_when_all_have_one() -> None:
    parsed = recipe({"train": {"name": photos("train"), "size": 9}})
    assert load_part("train", sources_of(parsed.data)).images.shape == (3, 9, 9)


def test_python_takes_names_of_folders_likewise() -> None:
    name, flat_folder = photos("train", "val"), flat("alone")
    student = {"model": "convnet_d3", "input_size": 8, "options": {"width": 4}}
    options: Any = {"steps": 1, "batch_size": 4, "views": "none"}
    with pytest.warns(UserWarning, match="the validation images of './photos' are judged on, for it has no test imag"):
        result = lb.distill(None, student, name, test=name, out="one", **options)
    assert result.evaluation is not None
    assert result.evaluation.n == 8
    held_out = lb.distill(None, student, flat_folder, test=flat_folder, out="two", **options)
    assert held_out.evaluation is not None
    assert held_out.evaluation.n == 4
    network = lb.create("convnet_d3", num_classes=2, input_size=8, classes=("cat", "dog"), width=4)
    judged = lb.distill(network, network, Path(name, "train"), test=Path(name, "val"), out="three", **options)
    assert judged.evaluation is not None
    assert judged.evaluation.n == 8
    with pytest.raises(
        UserError,
        match=r"`images`: nothing says the size of './photos', whose images differ in it \(3 sizes; .*\), as neither "
        r'student nor teacher is of one\. Name the student with a size of its own, `{"model": .*, "input_size": 12}`, '
        r"or hand images over in one, `lb\.load\('./photos', size=12\)`: each image is scaled until it covers",
    ):
        lb.distill(None, "resnet8", name, out="four", **options)
    small: Any = {"model": "resnet8", "input_size": 12}
    assert lb.distill(None, small, name, validation=0, out="four", **options).student.input_size == (12, 12)
    lb.distill(
        None, "resnet8", lb.load(name, size=12), test=lb.load(name, "validation", size=12), out="five", **options
    )
    with pytest.raises(UserError, match=r"`validation`: nothing .*`lb\.load\('./photos', 'validation', size=12\)`"):
        lb.distill(None, "resnet8", lb.load(name, size=12), validation=name, out="six", **options)
    chosen = lb.borrow(network, name, budget=4, by="random", test=Path(name, "val"))
    assert chosen.images.shape == (3, 8, 8)


def bars(folder: str, *, odd: bool = False, size: tuple[int, int] = (20, 40)) -> str:
    """Noise whose left quarter, which a cropped square lacks, tells the class; `odd` adds an image of another size."""
    random = np.random.default_rng(0)
    for shade, name in ((40, "dark"), (215, "light")):
        Path(folder, name).mkdir(parents=True)
        for number in range(5):
            pixels = random.integers(100, 150, (*size, 3), dtype=np.uint8)
            pixels[:, : size[1] // 5] = shade
            Image.fromarray(pixels).save(Path(folder, name, f"{number}.png"))
    if odd:
        Image.fromarray(pixels[:-1]).save(Path(folder, name, "odd.png"))
    return f"./{folder}"


class _LeftColumn(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        shade = images[:, :, :, 0].mean((1, 2))
        return torch.stack([0.5 - shade, shade - 0.5], 1)


def left_column(size: int) -> lb.Classifier:
    return lb.wrap(_LeftColumn(), num_classes=2, input_size=size, mean=[0] * 3, std=[1] * 3, classes=("dark", "light"))


def test_no_network_stretches_photos_of_another_aspect_whether_or_not_all_have_one_size() -> None:
    name, mixed = bars("bars"), bars("mixed", odd=True)
    student = left_column(8)
    cropped = lb.load(name, size=8)
    for folder, number in ((name, 10), (mixed, 11)):
        inputs, (_, size) = loaded(folder, "data.test=null", "data.validation=0")
        assert inputs.train is not None
        assert inputs.train.shape == (3, 8, 8)
        assert size == "images are brought to 8x8: `student.input_size` (`data.size` says another)"
        evaluation = lb.evaluate(student, folder)
        assert (evaluation.n, evaluation.top1) == (number, lb.evaluate(student, lb.load(folder, size=8)).top1)
    assert lb.evaluate(student, name).top1 == lb.evaluate(student, cropped).top1 < 1
    assert lb.evaluate(student, lb.load(name)).top1 == 1, "what is handed over is taken as it is, and stretched"
    exported = lb.export(student, "out", format="pt2", test=name)
    assert exported.description["files"]["model.pt2"]["top1"] == lb.evaluate(student, name).top1
    taught = lb.distill(None, {"model": "resnet8", "input_size": 8}, name, test=name, out="run", steps=1, views="none")
    assert taught.evaluation is not None
    assert load_images_of(read_recipe(Path("run/recipe.yaml")), PythonObjects()).shape == (3, 8, 8)


def test_images_of_the_aspect_of_a_network_and_of_networks_that_adapt_are_not_resized() -> None:
    square, wide = bars("square", size=(20, 20)), bars("wide")
    for name, student in (
        (square, {"model": "convnet_d3", "input_size": 8}),
        (wide, {"model": "convnet_d3", "input_size": (8, 16)}),
        (wide, {"model": "convnet_d3"}),  # is built for the images
        (wide, {"model": "resnet8"}),
    ):
        inputs, (_, size) = loaded(name, student=student)
        assert inputs.shape == lb.load(name).shape
        assert "as all of them are stored" in size
    exported = lb.export(left_column(8), "out", format="pt2", test=square)
    assert exported.description["files"]["model.pt2"]["top1"] == lb.evaluate(left_column(8), square).top1 == 1


def test_chosen_photos_of_another_aspect_are_cropped_too_unless_soft_labels_are_of_them() -> None:
    images = lb.load(bars("bars"))
    lb.TransferSet(images).save("chosen")
    assert loaded({"train": "chosen"})[0].shape == (3, 8, 8)
    lb.TransferSet(images, soft_labels=torch.full((10, 2), 0.5)).save("labelled")
    assert loaded({"train": "labelled"})[0].shape == (3, 20, 40)


def test_a_network_s_size_comes_before_the_catalogue_s_where_sizes_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    for config in ("24px", "full_size"):
        write_catalogue_set(tmp_path / "frgfm/imagenette" / config)
    student = left_column(32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'imagenette:.*' holds 6 images of the split")
        assert lb.load("imagenette:24px").shape == (3, 24, 24)
        with pytest.raises(
            UserError, match=r"`size` must be given for 'imagenette:full_size' \(train\), whose images d"
        ):
            lb.load("imagenette:full_size")
        for name in ("imagenette:24px", "imagenette:full_size"):
            data = {"train": name, "test": name, "validation": 0}
            inputs, _ = loaded(data, student={"model": "convnet_d3", "input_size": 32})
            assert inputs.test is not None
            assert inputs.shape == inputs.test.shape == (3, 32, 32)
            assert evaluation_images(name, size_for_network(student)).shape == (3, 32, 32)
        built, _ = loaded({"train": "imagenette:24px"}, student={"model": "convnet_d3"})
        assert built.shape == (3, 24, 24), "a network that is built for the images takes the catalogue's size"


def write_catalogue_set(folder: Path) -> None:
    """Parquet of both splits, with images 24 pixels high, of two widths."""
    import datasets

    folder.mkdir(parents=True)
    pictures = [Image.new("RGB", (24 + 6 * (number % 2), 24), (40 * number, 0, 0)) for number in range(6)]
    types = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "light"])})
    table = datasets.Dataset.from_dict({"image": pictures, "label": [0, 1] * 3}, features=types)
    for split in ("train", "validation"):
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
