"""ImageNet and its subsets, read from folders named by WordNet ids, equal those read from Parquet."""

import os
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from tests.comp_dd_layout import numbers_of, unpack, write_comp_dd

import limbeck as lb
from limbeck.data import ImageSet, load
from limbeck.data.catalogue import DATASETS
from limbeck.data.imagenet_names import imagenet_names
from limbeck.data.streaming import open_streamed
from limbeck.errors import UserError
from limbeck.recipes.downloads import images_to_download

NETTE, BIRDS = "imagenet-1k:imagenette", "imagenet-1k:comp-dd-bird-hard"
BASE = Path("ILSVRC", "imagenet-1k")

pytestmark = [
    pytest.mark.usefixtures("no_root"),
    pytest.mark.filterwarnings("ignore:.*images of the split .* here, of the:UserWarning"),
]


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parquet")
    numbers = dict.fromkeys([*numbers_of("bird", "hard"), *(DATASETS[NETTE].keep or ())], "easy")
    write_comp_dd(root, numbers, train=2, validation=1)
    return root


@pytest.fixture
def root(parquet: Path, tmp_path: Path) -> Path:
    unpack(parquet, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that were listed."""
    folders: list[str] = []
    scandir = os.scandir

    def recorded(folder: Path):
        folders.append(Path(folder).name)
        return scandir(folder)

    monkeypatch.setattr("limbeck.data.visible.os.scandir", recorded)
    return folders


def images_by_class(images: ImageSet) -> dict[str, list[bytes]]:
    """Pixels of each class, regardless of order."""
    assert images.labels is not None
    by_class: dict[str, list[bytes]] = {name: [] for name in images.classes}
    for label, pixels in zip(images.labels.tolist(), images.tensor(), strict=True):
        by_class[images.classes[label]].append(pixels.numpy().tobytes())
    return {name: sorted(several) for name, several in by_class.items()}


@pytest.mark.parametrize("name", [NETTE, BIRDS])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("size", [None, 16])
def test_folders_are_as_parquet(name: str, split: str, size: int | None, root: Path, parquet: Path) -> None:
    unpacked, tabled = load(name, split, size=size, root=root), load(name, split, size=size, root=parquet)
    assert (unpacked.classes, unpacked.shape, unpacked.name) == (tabled.classes, tabled.shape, tabled.name)
    assert unpacked.class_counts().tolist() == tabled.class_counts().tolist() == [2 if split == "train" else 1] * 10
    assert images_by_class(unpacked) == images_by_class(tabled)


def test_it_is_found_under_the_root_in_every_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lb.comp_dd("bird", "hard", root=root).shape == (3, 128, 128)
    (root / BASE / "val").rename(root / BASE / "Validation")
    monkeypatch.setenv("LIMBECK_DATA", str(root))
    assert len(load(BIRDS, "test", size=8)) == 10
    assert images_to_download(BIRDS, "test") == ""
    train = load(BIRDS, size=8, classes=[3, 0])
    assert (
        train.classes == tuple(list(imagenet_names().values())[number] for number in numbers_of("bird", "hard"))[3::-3]
    )
    assert torch.equal(load(BIRDS, size=8, in_memory=False).tensor(), load(BIRDS, size=8).tensor())


def test_links_to_folders_that_lie_elsewhere(root: Path, tmp_path: Path) -> None:
    (tmp_path / "linked" / BASE).mkdir(parents=True)
    for split in ("train", "val"):
        (tmp_path / "linked" / BASE / split).symlink_to(root / BASE / split)
    assert len(load(NETTE, "validation", size=8, root=tmp_path / "linked")) == 10


def test_only_the_folders_of_the_classes_are_looked_into(root: Path, looked_into: list[str]) -> None:
    load(NETTE, size=8, root=root)
    ids = list(imagenet_names())
    wanted = {ids[number] for number in DATASETS[NETTE].keep or ()}
    assert {name for name in looked_into if name in ids} == wanted


def test_of_some_classes_only_their_folders_are_needed(root: Path, looked_into: list[str]) -> None:
    """Classes may be names or numbers, of the whole set or of a subset; images keep the ids they have among all."""
    wordnet, names = list(imagenet_names()), list(imagenet_names().values())
    keep = list(DATASETS[NETTE].keep or ())
    loaded = load(NETTE, size=8, root=root)
    assert loaded.ids.tolist() == sorted(loaded.ids.tolist())
    pixels = dict(zip(loaded.ids.tolist(), loaded.tensor(), strict=True))
    (root / BASE / "train" / wordnet[keep[0]]).rename(root / "elsewhere")
    for name, classes in (
        ("imagenet-1k", [keep[7], names[keep[2]]]),
        (NETTE, [7, 2]),
        (NETTE, [names[keep[7]], 2]),
    ):
        looked_into.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # asking for some of the classes is no reason to warn
            chosen = load(name, size=8, root=root, classes=classes)
            assert len(load(name, "validation", size=8, root=root, classes=classes)) == 2
        assert {entry for entry in looked_into if entry in wordnet} == {wordnet[keep[7]], wordnet[keep[2]]}
        assert chosen.classes == (names[keep[7]], names[keep[2]])
        assert chosen.class_counts().tolist() == [2, 2]
        assert all(
            torch.equal(pixels[number], image)
            for number, image in zip(chosen.ids.tolist(), chosen.tensor(), strict=True)
        )
    for classes, message in (
        (["tenchy"], "unknown class 'tenchy'"),
        ([1000], r"`classes` must lie in 0\.\.999, got 1000"),
        ([keep[2], names[keep[2]]], "`classes` must be distinct"),
        ([], "holds no images of the `classes` asked for"),
    ):
        with pytest.raises(UserError, match=message):
            load("imagenet-1k", size=8, root=root, classes=classes)


def test_the_whole_has_a_thousand_classes(tmp_path: Path, parquet: Path, root: Path) -> None:
    picture = next((root / BASE / "val" / "n01440764").iterdir())
    for wordnet_id in imagenet_names():
        (root / BASE / "val" / wordnet_id).mkdir(exist_ok=True)
        shutil.copy(picture, root / BASE / "val" / wordnet_id / "another.JPEG")
    images = load("imagenet-1k", "test", size=8, root=root)
    assert (images.num_classes, images.classes) == (1000, tuple(imagenet_names().values()))
    assert images.class_counts().min() == 1


def test_fewer_images_than_published_are_said(root: Path) -> None:
    with pytest.warns(UserWarning, match="holds 10 images of the split 'validation' here, of the 500 that there are"):
        load(BIRDS, "validation", size=8, root=root)


def test_parquet_comes_first(root: Path, parquet: Path, looked_into: list[str]) -> None:
    shutil.copytree(parquet / BASE / "data", root / BASE / "data")
    load(NETTE, size=8, root=root)
    assert not {*looked_into} & {*imagenet_names()}


def test_a_class_without_a_folder_is_refused_by_name(root: Path) -> None:
    base = root / BASE / "train"
    shutil.rmtree(base / "n01440764")
    with pytest.raises(
        UserError,
        match=r"'.*/imagenet-1k/train' holds no folder 'n01440764' of the class 'tench, Tinca tinca'. There are "
        r"folders 'n01530575', .*, 16 more; copy what is missing",
    ):
        load(NETTE, root=root)
    assert load(BIRDS, size=8, root=root).num_classes == 10
    shutil.rmtree(base / "n02102040")
    with pytest.raises(UserError, match=r"'tench, Tinca tinca', nor those of 1 more: 'n02102040'\. There are folders"):
        load(NETTE, root=root)
    shutil.rmtree(base)
    base.mkdir()
    with pytest.raises(UserError, match=r"nor those of 9 more: .* There is no folder; copy what is missing"):
        load(NETTE, root=root)


def test_a_class_without_images_is_refused(root: Path) -> None:
    for image in (root / BASE / "train" / "n01440764").iterdir():
        image.rename(image.with_suffix(".part"))
    with pytest.raises(UserError, match=r"class folder '.*/train/n01440764' holds no images; .* it holds '\d+\.part'"):
        load(NETTE, root=root)


def test_unsorted_validation_images_are_refused(root: Path) -> None:
    base = root / BASE / "val"
    picture = next((base / "n01440764").iterdir())
    shutil.move(picture, base / "ILSVRC2012_val_00000001.JPEG")
    for folder in [path for path in base.iterdir() if path.is_dir()]:
        shutil.rmtree(folder)
    with pytest.raises(
        UserError,
        match=r"'.*/val' holds images in no class folder, for instance 'ILSVRC2012_val_00000001.JPEG'; move each into "
        r"the folder of its class, as '.*/val/n01440764'. `torchvision.datasets.ImageNet\(FOLDER, 'val'\)` makes",
    ):
        load(NETTE, "validation", root=root)
    assert len(load(NETTE, size=8, root=root)) == 20


def test_two_folders_of_one_split_are_refused(root: Path) -> None:
    shutil.copytree(root / BASE / "val", root / BASE / "validation")
    with pytest.raises(UserError, match="holds several folders of the split 'validation', 'val' and 'validation'; put"):
        load(NETTE, "test", root=root)


def test_arguments_of_tables_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match=r"`image_column` is for tables and .npz files, and 'imagenet-1k:imagenette' is"
    ):
        load(NETTE, root=root, image_column="image")
    monkeypatch.setenv("LIMBECK_DATA", str(root))
    with pytest.raises(UserError, match=r"`streaming` reads tables, .* and '.*/imagenet-1k/train' is none"):
        open_streamed("imagenet-1k", count=5, shape=(3, 8, 8))


def test_where_nothing_is_folders_are_told_of(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no connection")

    monkeypatch.setattr("datasets.load_dataset", offline)
    message = (
        r"Class folders will do, too, as <root>/ILSVRC/imagenet-1k/validation/n01440764/, and links to them. The hub"
    )
    with pytest.raises(UserError, match=rf"No local root is set .*{message}"):
        load(NETTE, "test")
    shutil.rmtree(root / BASE / "val")
    monkeypatch.setenv("LIMBECK_DATA", str(root))
    with pytest.raises(UserError, match=rf"Looked for validation-\*.parquet below '.*/imagenet-1k' .*{message}"):
        load(NETTE, "test")
