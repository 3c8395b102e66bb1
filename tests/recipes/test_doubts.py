"""Warnings that cost nothing, each where it is due and not where it is not."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.recipes.tiny_recipes import comparison, one_run

import limbeck as lb
from limbeck.data import ImageSet
from limbeck.recipes.compare import compare
from limbeck.recipes.doubts import (
    are_probabilities,
    doubt_teacher,
    near_chance,
    strangers,
    train_test_overlap,
    validation_test_overlap,
)
from limbeck.recipes.inputs import Inputs, PythonObjects
from limbeck.recipes.opening import open_recipe
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.transfer.choice import select_from_scores
from limbeck.transfer.score_table.read import ScoreTable


def images(*, count: int = 40, channels: int = 3, low: int = 0, high: int = 256, classes: int = 4) -> ImageSet:
    pixels = torch.randint(low, high, (count, channels, 8, 8), generator=torch.Generator().manual_seed(0))
    return ImageSet(pixels.to(torch.uint8), torch.arange(count) % classes, name="own")


def network(**changes: Any) -> lb.Classifier:
    return lb.create("convnet_d3", num_classes=3, **{"channels": 3, "input_size": 8, "width": 4, **changes})


def test_accuracy_near_chance_is_that_of_one_class() -> None:
    balanced = images(count=40, classes=4)
    assert near_chance(0.33, balanced) is None
    assert "is right about 32.0% of the 40 test images, near the 25.0% of" in str(near_chance(0.32, balanced))
    unequal = balanced.with_labels(torch.tensor([0] * 36 + [1] * 4), ("cat", "dog"))
    assert near_chance(0.92, unequal) is None
    assert near_chance(0.90, unequal) is not None
    one_class = balanced.with_labels(torch.zeros(40, dtype=torch.int64), ("cat", "dog"))
    assert near_chance(0.5, one_class) is None  # of one class, nothing can be told


def test_images_that_are_strange_to_a_teacher() -> None:
    colour, gray = images(), images(channels=1)
    for mean, std in (((0.5,) * 3, (0.25,) * 3), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0,) * 3, (1,) * 3)):
        assert strangers(colour, network(mean=mean, std=std)) == []
    assert strangers(gray, network(channels=1)) == []
    assert "'own' holds gray images, and the teacher convnet_d3 was made for colour" in strangers(gray, network())[0]
    assert (
        "'own' holds colour, and the teacher convnet_d3 was made for gray" in strangers(colour, network(channels=1))[0]
    )
    dark, inverted = images(high=12), images(low=230)
    assert "come to mean -1.91 and deviation 0.05 after the normalisation" in strangers(dark, network())[0]
    digits = network(channels=1, mean=(0.13,), std=(0.31,))
    assert "come to mean 2.6" in strangers(inverted, digits)[1]
    assert strangers(lb.load("digits"), network(channels=1)) == []


def test_a_teacher_near_chance_is_told_once(tmp_path: Path) -> None:
    learned = lb.load("digits", classes=[0, 1, 2])
    untaught = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4, classes=("0", "1", "2"))
    objects = PythonObjects(teacher=untaught)
    content = {**one_run(), "teacher": "python:untaught"}
    with pytest.warns(UserWarning, match=r"the teacher convnet_d3 is right about .* near the .* check its `classes`"):
        run(read_recipe(content), tmp_path / "run", objects=objects)
    content = {**comparison(seeds=[0]), "teacher": "python:untaught"}
    with pytest.warns(UserWarning, match="is right about") as warned:
        compare(read_recipe(content), tmp_path / "compared", objects=objects)
    assert sum("is right about" in str(warning.message) for warning in warned) == 1
    assert learned.num_classes == 3


def test_a_teacher_that_ends_in_a_softmax_is_told() -> None:
    digits = lb.load("digits", classes=[0, 1, 2])
    torch.manual_seed(0)
    layers = [torch.nn.Flatten(), torch.nn.Linear(64, 3), torch.nn.Softmax(1)]
    for teacher_layers, told in ((layers, True), (layers[:2], False)):
        options: Any = {"channels": 1, "mean": (0.3,), "std": (0.4,), "classes": digits.classes}
        teacher = lb.wrap(torch.nn.Sequential(*teacher_layers), num_classes=3, input_size=8, **options)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            doubt_teacher(Inputs(None, None, digits, teacher))
        assert any("gives for the test images are probabilities" in str(warning.message) for warning in warned) == told
    one_class = torch.ones(5, 1)
    assert not are_probabilities(one_class)
    assert are_probabilities(torch.full((5, 4), 0.25).half())


def test_scores_that_are_all_equal() -> None:
    table = ScoreTable({"id": np.arange(5), "margin:teacher-logits": np.full(5, 0.5)})
    margin = {"score": "margin", "allocation": "top-n"}
    with pytest.warns(
        UserWarning, match=r"gives all 5 images of .* the same score, 0\.5: what it chooses is as good as"
    ):
        select_from_scores(table, criterion=margin, budget=2)
    assert len(select_from_scores(table, criterion=margin, budget=5).ids) == 5  # where there is no choice
    other = ScoreTable({"id": np.arange(5), "margin:teacher-logits": np.array([0.5] * 4 + [0.4])})
    assert len(select_from_scores(other, criterion=margin, budget=2).ids) == 2
    white = ImageSet(torch.full((6, 3, 4, 4), 255, dtype=torch.uint8), torch.arange(6) % 2, name="white")
    with pytest.warns(UserWarning, match=r"gives all 6 images of .* the same score, 0: what it chooses"):
        lb.select(white, criterion="variance", budget=2)
    assert len(lb.select(white, criterion="random", budget=2).ids) == 2


def test_a_data_set_that_is_smaller_than_its_catalogue_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        columns = {"img": [[[[0, 0, 0]] * 32] * 32] * 10, "label": list(range(10))}
        types = datasets.Features({"img": datasets.Array3D((32, 32, 3), "uint8"), "label": datasets.ClassLabel(10)})
        path = tmp_path / "uoft-cs/cifar10/plain_text" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(columns, features=types).to_parquet(path)
    with pytest.warns(UserWarning, match=r"'cifar10' holds 10 images of the split 'train' here, of the 50,000 that th"):
        assert len(lb.load("cifar10", root=tmp_path)) == 10
    assert len(lb.load(tmp_path / "uoft-cs/cifar10")) == 10


def test_images_in_training_and_test_are_told_once(tmp_path: Path) -> None:
    match = r"90% of the test images \(digits/train\) are among those to learn from \(digits/train\), pixel by pixel"
    same = {**comparison(seeds=[0]), "data": {"train": "digits", "test": {"name": "digits", "split": "train"}}}
    with pytest.warns(UserWarning, match=match) as warned:
        compare(read_recipe(same), tmp_path / "compared")
    assert sum("among those to learn from" in str(warning.message) for warning in warned) == 1
    assert (
        sum("among those to learn from" in remark for remark in open_recipe(read_recipe(same), tmp_path).remarks) == 1
    )


def test_few_images_in_both_are_not_told() -> None:
    train = images(count=100)

    def remarks(judged: ImageSet, **parts: ImageSet) -> list[str]:
        return train_test_overlap(Inputs(**{"train": train, "test": judged, "validation": None, **parts}))

    others = images(count=200).subset(range(100, 200))
    assert remarks(others) == []
    two = ImageSet(torch.cat([others.tensor(), train.tensor()[:2]]), torch.arange(102) % 4, name="two")
    assert remarks(two) == []
    ten = ImageSet(torch.cat([others.tensor(), train.tensor()[:10]]), torch.arange(110) % 4, name="ten")
    assert "9% of the test images (ten) are among those to learn from (own)" in remarks(ten)[0]
    assert "of the validation images (ten)" in remarks(others, validation=ten)[0]
    assert remarks(images(channels=1)) == []  # of another shape


def test_images_in_validation_and_test_are_told(tmp_path: Path) -> None:
    both = images(count=200)
    test = both.subset(range(100, 200))
    for validation, share in ((both, "100%"), (both.subset(range(90, 110)), "10%")):
        (said,) = validation_test_overlap(Inputs(None, validation, test))
        assert f"{share} of the test images (own) are among the validation images (own), pixel by pixel" in said
    for validation in (None, both.subset(range(100)), both.subset(range(101)), images(channels=1)):
        assert validation_test_overlap(Inputs(None, validation, test)) == []
    same = {"name": "digits", "split": "test"}
    content = {**one_run(), "data": {"train": "digits", "test": same, "validation": same}}
    match = r"100% of the test images \(digits/test\) are among the validation images \(digits/test\)"
    with pytest.warns(UserWarning, match=match):
        run(read_recipe(content), tmp_path / "run")
    assert any("among the validation images" in line for line in open_recipe(read_recipe(content), tmp_path).remarks)
