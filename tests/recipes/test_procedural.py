"""Teaching on images that are made on the fly, judged on real ones."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import one_run

import limbeck as lb
from limbeck.errors import UserError
from limbeck.interruption import Paused
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run

MADE: dict[str, Any] = {"name": "dead-leaves:flat", "images": 40, "size": 8, "channels": 1, "seed": 3}


def recipe(train: dict[str, Any], **changes: Any) -> Any:
    content = one_run(**changes)
    del content["select"]
    content["data"] = {"train": train, "test": content["data"]["test"]}
    content["teacher"] = {"model": "convnet_d3", "weights": "python:teacher"}
    content["training"] |= {"views": "pad-crop-flip", "views_per_image": 2}
    return read_recipe(content)


def teacher() -> lb.Classifier:
    options: dict[str, Any] = {"width": 4, "norm": "batch"}
    return lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, seed=5, classes=list("012"), **options)


def test_distilling_and_resuming_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = PythonObjects(teacher=teacher())
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    whole = run(recipe(MADE), tmp_path / "whole", objects=objects)
    assert whole.evaluation is not None
    assert whole.cost["images"] == 40
    passes = whole.cost["teacher_passes"] - whole.cost["teacher_passes_saved"]
    assert passes == 80  # each view of each image once
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "other"))
    with pytest.raises(Paused):
        run(recipe(MADE), tmp_path / "parts", objects=objects, until=Fraction(1, 2))
    parts = run(recipe(MADE), tmp_path / "parts", objects=objects, resume=True)
    for parameter, other in zip(whole.student.parameters(), parts.student.parameters(), strict=True):
        assert torch.equal(parameter, other)
    again = run(recipe(MADE), tmp_path / "again", objects=objects)
    assert again.cost["teacher_passes_saved"] == again.cost["teacher_passes"]
    assert again.evaluation == whole.evaluation


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"name": "dead-leaves"}, r"data\.train: `images` must say how many of 'dead-leaves' to make"),
        ({**MADE, "images": 0}, r"data\.train\.images: "),
        ({**MADE, "images": 5.5}, r"data\.train\.images: "),
        ({**MADE, "seed": -1}, r"data\.train\.seed: "),
        ({**MADE, "name": "dead-leaves:flot"}, "unknown variant of 'dead-leaves': 'flot'; did you mean 'flat'"),
        ({**MADE, "name": "digits"}, r"data\.train: `images` is for procedural images, .* 'digits' are none"),
        ({**MADE, "radius": 3}, r"radius"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_done(train: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(train)


def test_they_are_nothing_to_be_judged_on(tmp_path: Path) -> None:
    content = one_run()
    del content["select"]
    content["data"] = {"train": MADE, "test": {**MADE, "split": "validation"}}
    content["teacher"] = {"model": "convnet_d3", "weights": "python:teacher"}
    with pytest.raises(
        UserError, match=r"`data\.test` must be labelled to judge on, got 'dead-leaves:flat/validation'"
    ):
        run(read_recipe(content), tmp_path / "run", objects=PythonObjects(teacher=teacher()))
