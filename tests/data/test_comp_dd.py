"""Comp-DD's sixteen sets by category and level, read from files laid out as ImageNet's."""

import warnings
from pathlib import Path

import pytest
from tests.comp_dd_layout import every_class, numbers_of, write_comp_dd

import limbeck as lb
from limbeck.data.catalogue import DATASETS
from limbeck.data.comp_dd import CATEGORIES, LEVELS, comp_dd_name
from limbeck.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imagenet")
    write_comp_dd(folder, train=2)
    return folder


def test_there_are_sixteen_in_the_catalogue() -> None:
    assert CATEGORIES == ("bird", "dog", "car", "fish", "snake", "insect", "round", "music")
    names = [comp_dd_name(category, level) for category in CATEGORIES for level in LEVELS]
    assert len({*names}) == 16
    assert {*names} <= {*DATASETS}
    assert lb.data.catalogue.find("imagenet-1k:comp-dd-bird-hard").num_classes == 10


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("level", LEVELS)
def test_each_has_its_classes_renumbered_in_published_order(category: str, level: str, root: Path) -> None:
    nine = (category, level) == ("music", "hard")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = lb.comp_dd(category, level, size=16, root=root)
    assert len(caught) == int(nine)
    assert all("lists class 420 twice, so it has 9 classes" in str(warning.message) for warning in caught)
    numbers = numbers_of(category, level)
    assert (len(numbers), images.num_classes) == ((9, 9) if nine else (10, 10))
    assert images.class_counts().tolist() == [2] * len(numbers)
    assert images.shape == (3, 16, 16)
    assert images.name == f"imagenet-1k:comp-dd-{category}-{level}/train"


def test_splits_and_sizes(root: Path) -> None:
    assert lb.comp_dd("bird", "hard", root=root).shape == (3, 128, 128)
    test = lb.comp_dd("bird", "hard", "test", size=None, root=root)
    assert (len(test), test.shape) == (10, (3, 224, 224))
    assert test.classes[:2] == ("indigo bunting, indigo finch, indigo bird, Passerina cyanea", "chickadee")
    assert lb.comp_dd("bird", "hard", "validation", size=8, root=root).shape == (3, 8, 8)
    encoded = lb.comp_dd("dog", "easy", size=(8, 12), root=root, in_memory=False, classes=[3, 0])
    assert (encoded.shape, encoded.num_classes) == ((3, 8, 12), 2)
    assert lb.load("imagenet-1k:comp-dd-dog-easy", size=8, root=root).num_classes == 10


def test_a_part_of_the_images_is_said_by_the_images_of_the_set(root: Path) -> None:
    with pytest.warns(UserWarning, match=r"holds 10 images of the split 'validation' here, of the 500 that there are"):
        lb.comp_dd("bird", "hard", "validation", size=8, root=root)


@pytest.mark.parametrize(
    ("category", "level", "message"),
    [
        (
            "birds",
            "hard",
            r"unknown `category` of Comp-DD 'birds'; did you mean 'bird'\? There are bird, dog, car, fish",
        ),
        ("music-hard", "hard", r"unknown `category` of Comp-DD 'music-hard'; did you mean 'music'"),
        ("", "hard", "unknown `category` of Comp-DD ''; known are bird, car"),
        (3, "hard", "unknown `category` of Comp-DD '3'"),
        ("bird", "Hard", "`level` of Comp-DD must be 'easy' or 'hard', got 'Hard'"),
        ("bird", None, "`level` of Comp-DD must be 'easy' or 'hard', got None"),
    ],
)
def test_names_that_there_are_not(category: str, level: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        lb.comp_dd(category, level)


def test_a_split_or_option_that_there_is_not(root: Path) -> None:
    with pytest.raises(UserError, match="`split` of 'imagenet-1k:comp-dd-bird-hard' must be 'train' or 'validation'"):
        lb.comp_dd("bird", "hard", "extra", root=root)
    with pytest.raises(TypeError, match="pixels"):
        lb.comp_dd("bird", "hard", root=root, pixels=3)


def test_no_class_is_in_two_of_them() -> None:
    assert len(every_class()) == 15 * 10 + 9
