"""Which folders are splits, which are classes, and which layouts are refused."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from limbeck.data import ImageSet, load
from limbeck.data.splits import hinted_splits, stated_splits, without_split
from limbeck.errors import UserError

from .conftest import png

PNG = png(np.zeros((3, 3, 3), dtype=np.uint8))


@pytest.fixture
def laid_out(tmp_path: Path):
    """Writes an image for every path; "train/cat" is short for "train/cat/1.png", and "empty/" is an empty folder."""

    def write(*paths: str) -> Path:
        base = tmp_path / "own"
        for path in paths:
            place = base / path
            if path.endswith("/"):
                place.mkdir(parents=True)
                continue
            file = place if place.suffix else place / "1.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(PNG)
        return base

    return write


def counts(images: ImageSet) -> dict[str, int]:
    return dict(zip(images.classes, images.class_counts().tolist(), strict=True))


def below(*folders: str, classes: Iterable[str] = ("cat", "dog")) -> list[str]:
    return [f"{folder}/{name}" for folder in folders for name in classes]


# Classes named like splits


@pytest.mark.parametrize("name", ["train", "test", "val", "dev", "training", "validation", "eval", "Train", "TEST"])
def test_a_class_called_as_a_split_beside_classes_is_a_class(laid_out, name: str):
    base = laid_out(name, "bus", "car")
    assert counts(load(base)) == {name: 1, "bus": 1, "car": 1}
    with pytest.raises(UserError, match=r"`split` of .* must be 'train', got 'test'"):
        load(base, "test")


@pytest.mark.parametrize("names", [("train", "bus"), ("train", "test", "bus", "car"), ("bullet_train", "test tube")])
def test_several_such_classes_are_no_more_than_the_others(laid_out, names: tuple[str, ...]):
    assert set(counts(load(laid_out(*names, "car", "dog")))) == {*names, "car", "dog"}


def test_classes_called_as_splits_below_splits(laid_out):
    base = laid_out(*below("train", "test", classes=("train", "test", "val", "car")))
    assert counts(load(base)) == counts(load(base, "test")) == {"car": 1, "test": 1, "train": 1, "val": 1}


def test_a_split_alone_holds_classes_called_as_splits(laid_out):
    base = laid_out(*below("train", classes=("train", "test")))
    assert counts(load(base)) == {"test": 1, "train": 1}


@pytest.mark.parametrize(
    "paths",
    [
        ["train/steam", "train/diesel", "bus", "car"],
        ["train/steam", "bus/city", "car/old"],
        below("train", "bus", "car", classes=("indoor", "outdoor")),
        ["train", "test", "extra"],
        ["train", "bus/"],
        ["train/cat", "train/dog", "unlabelled"],
        ["test_tube", "dev_board"],
        ["test_tube/glass", "dev_board/green"],
        ["training_set/cat", "test_images/1.png"],
        [*below("test"), *below("trainval")],
    ],
)
def test_what_may_be_either_is_refused_with_both_readings(laid_out, paths: list[str]):
    base = laid_out(*paths)
    for split in ("train", "test"):
        with pytest.raises(UserError, match=r"may be of a split .*or may be one of the classes. For the split, load"):
            load(base, split)


def test_both_readings_of_a_refusal_can_be_had(laid_out):
    base = laid_out("train/steam", "train/diesel", "bus", "car")
    with pytest.raises(
        UserError, match=r"holds bus/ \(images\), car/ \(images\), train/ \(folders 'diesel', 'steam'\)"
    ):
        load(base)
    assert counts(load(base / "train")) == {"diesel": 1, "steam": 1}
    classes = base / "all" / "train"
    classes.mkdir(parents=True)
    for name in ("train", "bus", "car"):
        (base / name).rename(classes / name)
    with pytest.warns(UserWarning, match=r"'train', with folders 'diesel', 'steam' in them; .* taken for 3 classes"):
        assert counts(load(base / "all")) == {"bus": 1, "car": 1, "train": 2}


# Splits


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("train_images", "test_images"),
        ("seg_train", "seg_test"),
        ("COCO_train2014", "COCO_test2014"),
        ("trainset", "testset"),
        ("TrainImages", "TestImages"),
        ("train", "eval"),
        ("train-data", "evaluation"),
    ],
)
def test_split_folders_by_their_usual_names(laid_out, train: str, test: str):
    base = laid_out(*below(train, classes=("ant", "cat", "dog")), *below(test))
    assert counts(load(base)) == {"ant": 1, "cat": 1, "dog": 1}
    assert counts(load(base, "test")) == {"ant": 0, "cat": 1, "dog": 1}


@pytest.mark.parametrize("name", ["valid", "val", "dev", "validation", "valid_images", "val2017", "Valid"])
def test_validation_by_its_usual_names(laid_out, name: str):
    base = laid_out(*below("train", name))
    for split in ("validation", "val", "dev"):
        assert counts(load(base, split)) == {"cat": 1, "dog": 1}


def test_splits_unpacked_into_folders_of_their_name(laid_out):
    base = laid_out(*below("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred/1.png")
    assert counts(load(base)) == counts(load(base, "test")) == {"cat": 1, "dog": 1}
    alone = laid_out(*(f"alone/{path}" for path in below("train/train"))) / "alone"
    assert counts(load(alone)) == {"cat": 1, "dog": 1}


def test_unlabelled_splits(laid_out):
    base = laid_out(*below("train"), "test/1.png", "test/2.png")
    assert counts(load(base)) == {"cat": 1, "dog": 1}
    assert (load(base, "test").labels, len(load(base, "test"))) == (None, 2)


@pytest.mark.parametrize("names", [("train",), ("train", "test"), ("train_images", "test_images"), ("val", "test")])
def test_splits_of_loose_images_are_unlabelled(laid_out, names: tuple[str, ...]):
    base = laid_out(*names)
    assert all(load(base, split).labels is None for name in names for split in hinted_splits(name))


def test_unlabelled_training_beside_a_labelled_test(laid_out):
    base = laid_out("train/1.png", *below("test", "val", classes=("dog", "emu")), "val/cat")
    assert load(base).labels is None
    assert counts(load(base, "test")) == {"cat": 0, "dog": 1, "emu": 1}


def test_other_folders_beside_clear_splits_are_splits_of_their_name(laid_out):
    base = laid_out(*below("train", "test", "extra"), "unlabelled", "annotations/", "annotations/boxes.json")
    assert counts(load(base)) == counts(load(base, "extra")) == {"cat": 1, "dog": 1}
    assert load(base, "unlabelled").labels is None
    with pytest.raises(UserError, match=r"must be 'extra' or 'test' or 'train' or 'unlabelled', got 'annotations'"):
        load(base, "annotations")


def test_an_empty_split_says_so_when_asked_for(laid_out):
    base = laid_out(*below("train"), "test/")
    assert len(load(base)) == 2
    with pytest.raises(UserError, match=r"own/test' holds no images \(of .* and no class folders"):
        load(base, "test")


def test_two_folders_of_one_split_are_refused(laid_out):
    base = laid_out(*below("train", "val", "validation"))
    with pytest.raises(
        UserError, match=r"several folders of the split 'validation', 'val', 'validation'; put them into"
    ):
        load(base)


@pytest.mark.parametrize("name", ["test", "Test", "test_set"])
def test_the_folder_of_a_split_by_itself_is_of_that_split_too(laid_out, name: str):
    base = laid_out(*below("train", name))
    assert counts(load(base / name)) == counts(load(base / name, "test")) == {"cat": 1, "dog": 1}
    with pytest.raises(UserError, match=r"must be 'train' or 'test', got 'validation'"):
        load(base / name, "validation")


def test_images_beside_splits_are_said(laid_out):
    base = laid_out(*below("train", "test"), "cover.png")
    with pytest.warns(UserWarning, match=r"holds images beside its splits, which are passed over: 'cover.png'"):
        assert len(load(base)) == 2


# One level too deep


@pytest.mark.parametrize("where", ["dataset", "archive/images", "train/images"])
def test_one_folder_around_all_classes_is_refused(laid_out, where: str):
    base = laid_out(*below(where))
    with pytest.raises(UserError, match=f"which would be the only class, with folders .*Load '.*own/{where}', if"):
        load(base)
    assert counts(load(base / where)) == {"cat": 1, "dog": 1}


def test_one_folder_around_splits_is_refused(laid_out):
    base = laid_out(*below("dataset/train", "dataset/test"))
    with pytest.raises(UserError, match=r"holds one folder, 'dataset', .* with folders 'test', 'train' in it. Load '"):
        load(base)


def test_one_class_is_said(laid_out):
    base = laid_out("images")
    with pytest.warns(
        UserWarning, match=r"holds one folder, 'images', which was taken for the only class. Load '.*/images'"
    ):
        assert counts(load(base)) == {"images": 1}
    assert load(base / "images").labels is None


def test_class_folders_without_images_of_their_own_are_said(laid_out):
    base = laid_out("cat/indoor", "cat/outdoor", "dog")
    with pytest.warns(
        UserWarning, match=r"'cat', with folders 'indoor', 'outdoor' in them; they were taken for 2 classes"
    ):
        assert counts(load(base)) == {"cat": 2, "dog": 1}
    unknown = laid_out("more/first/cat", "more/first/dog", "more/second/cat", "more/second/dog") / "more"
    with pytest.warns(
        UserWarning, match=r"'first', 'second', with folders 'cat', 'dog' in them; .* 2 classes, each with"
    ):
        assert counts(load(unknown)) == {"first": 2, "second": 2}


@pytest.mark.parametrize("inner", [("train", "test"), ("test",), ("training_set", "test_set")])
def test_splits_below_classes_are_refused(laid_out, inner: tuple[str, ...]):
    base = laid_out(*below("cat", "dog", classes=inner))
    with pytest.raises(
        UserError, match=r"is a folder of a split below the class folder 'cat', .*; splits go above classes"
    ):
        load(base)


# Hidden and system files


@pytest.mark.parametrize(
    "hidden",
    [
        "cat/.ipynb_checkpoints/1-checkpoint.png",
        "cat/._1.png",
        "cat/.png",
        "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
        "cat/Thumbs.db",
        "cat/deep/.hidden/1.png",
        ".ipynb_checkpoints/1.png",
        "__MACOSX/cat/._1.png",
        "__MACOSX/cat/1.png",
        "$RECYCLE.BIN/1.png",
        "System Volume Information/1.png",
        "lost+found/1.png",
        "FOUND.000/1.png",
        "#recycle/1.png",
        ".Trash-1000/files/1.png",
        "@eaDir/1.jpg",
        ".DS_Store",
        "desktop.ini",
    ],
)
def test_hidden_and_system_files_are_no_images_and_no_classes(laid_out, hidden: str):
    base = laid_out("cat", "dog", hidden)
    assert counts(load(base)) == {"cat": 1, "dog": 1}
    split = laid_out(*(f"split/{path}" for path in (*below("train", "test"), f"train/{hidden}", hidden))) / "split"
    assert counts(load(split)) == counts(load(split, "test")) == {"cat": 1, "dog": 1}


@pytest.mark.parametrize("name", ["__background__", "@home", "#1", "_noise_", "lost and found", "recycle bin"])
def test_classes_with_odd_names_are_classes(laid_out, name: str):
    assert counts(load(laid_out(name, "dog"))) == {name: 1, "dog": 1}


def test_links_to_class_folders_are_followed(laid_out, tmp_path: Path):
    base = laid_out("train/cat", "train/dog", "test/cat")
    (tmp_path / "elsewhere").mkdir()
    (base / "train").rename(tmp_path / "elsewhere" / "train")
    (base / "train").symlink_to(tmp_path / "elsewhere" / "train")
    assert counts(load(base)) == {"cat": 1, "dog": 1}
    (base / "train" / "dog" / "loop").symlink_to(base)
    assert counts(load(base)) == {"cat": 1, "dog": 1}


def test_links_back_to_where_they_lie_are_no_classes(laid_out):
    base = laid_out("cat", "dog")
    (base / "loop").symlink_to(".")
    (base / "up").symlink_to(base.parent)
    assert counts(load(base)) == {"cat": 1, "dog": 1}


def test_a_folder_that_may_not_be_read_is_named(laid_out, monkeypatch: pytest.MonkeyPatch):
    base, scandir = laid_out("cat", "dog"), os.scandir

    def refusing(folder: Path):
        if folder == base / "cat":
            raise PermissionError(errno.EACCES, "Permission denied")  # chmod does not stop root
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=r"the folder '.*/cat' cannot be read: Permission denied"):
        load(base)


# Names


def test_words_that_name_a_split():
    stated = {"train.parquet": "train", "cifar_test.png": "test", "my-val-2": "validation", "TEST_1": "test"}
    assert {name: "".join(stated_splits(name)) for name in stated} == stated
    for name in ("testset", "contest", "trainer", "latest.parquet", "medieval", "devkit", "values"):
        assert stated_splits(name) == set()
    assert hinted_splits("testset") == hinted_splits("XTest") == hinted_splits("cifarTest01") == {"test"}
    assert stated_splits("train_test") == {"train", "test"}
    assert without_split("train_images") == without_split("TestImages") == "*_images"
