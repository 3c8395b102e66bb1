"""Students of whitened images, as recipes say them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import one_run, training

from limbeck.data import ImageSet, TransferSet, load
from limbeck.errors import UserError
from limbeck.interruption import Paused
from limbeck.models.weights.folder import load as load_model
from limbeck.models.whitening import Whitening
from limbeck.recipes.inputs import PythonObjects, build_student, load_images_of
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run

WHITENED = {"model": "convnet_d3", "options": {"width": 4}, "whitening": True}


def digits(count: int) -> ImageSet:
    images = load("digits")
    return images.subset(images.ids[:count])


def recipe(**changes: Any) -> Any:
    return read_recipe(training(student=WHITENED, **changes))


def test_it_is_that_of_the_training_images(tmp_path: Path) -> None:
    result = run(recipe(), tmp_path / "run")
    inputs = load_images_of(recipe(), PythonObjects())
    assert inputs.train is not None
    expected = Whitening.fit(inputs.train)  # without the validation images
    assert result.student.whitening is not None
    assert result.student.whitening.fingerprint == expected.fingerprint
    loaded = load_model(tmp_path / "run" / "student")
    images = load("digits", "test").gather(torch.arange(5))
    with torch.no_grad():
        assert torch.allclose(loaded(images).logits, result.student.eval()(images).logits, atol=1e-5)
        assert torch.equal(loaded.prepare(images), expected(images.float() / 255))


def test_epsilon_is_said() -> None:
    inputs = load_images_of(recipe(), PythonObjects())
    settings = read_recipe(training(student={**WHITENED, "whitening_epsilon": 0.5})).student
    assert inputs.train is not None
    student = build_student(settings, inputs, seed=0)
    assert student.whitening is not None
    assert student.whitening.fingerprint == Whitening.fit(inputs.train, 0.5).fingerprint


def test_a_teacher_may_be_trained_so(tmp_path: Path) -> None:
    content = one_run(
        teacher={**WHITENED, "training": {"steps": 4, "batch_size": 16, "views": "none"}}, student=WHITENED
    )
    run(read_recipe(content), tmp_path / "run")
    assert load_model(tmp_path / "run" / "teacher" / "student").whitening is not None


def test_a_set_that_carries_one_is_taught_with_it(tmp_path: Path) -> None:
    """A whitening fitted to the few condensed images would be another."""
    images = digits(300)
    whitening = Whitening.fit(images)
    assert images.labels is not None
    condensed = ImageSet(images.tensor()[:10], images.labels[:10], classes=images.classes)
    TransferSet(condensed, use={"student": {"whitening": whitening.tensors()}}).save(tmp_path / "set")
    TransferSet(condensed, use={"student": {"whitening": True}}).save(tmp_path / "without")
    content = training(student=WHITENED, data={"train": str(tmp_path / "set"), "test": "digits"})
    result = run(read_recipe(content), tmp_path / "run")
    assert result.student.whitening is not None
    assert result.student.whitening.fingerprint == whitening.fingerprint
    content["data"]["train"] = str(tmp_path / "without")
    with pytest.raises(UserError, match=r"is for whitened images and lacks the whitening"):
        run(read_recipe(content), tmp_path / "other")


def test_another_whitening_is_not_gone_on_with(tmp_path: Path) -> None:
    images = digits(60)
    for name, epsilon in (("set", 0.1), ("other", 0.2)):
        use = {"student": {"whitening": Whitening.fit(images, epsilon).tensors()}}
        TransferSet(images, use=use).save(tmp_path / name)
    content = training(student=WHITENED, data={"train": str(tmp_path / "set"), "test": "digits"})
    with pytest.raises(Paused):
        run(read_recipe(content), tmp_path / "run", until=Fraction(1, 2))
    (tmp_path / "set").rename(tmp_path / "old")
    (tmp_path / "other").rename(tmp_path / "set")
    with pytest.raises(UserError, match=r"what the transfer set carries for its use .* then, .* now"):
        run(read_recipe(content), tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({**WHITENED, "mean": [0.5], "std": [0.5]}, "`whitening` stands in place of `mean` and `std`"),
        ({"weights": "cifar10-resnet20", "whitening": True}, "weights bring their own"),
        ({**WHITENED, "whitening_epsilon": 0}, "whitening_epsilon: must be > 0, got 0"),
        ({**WHITENED, "whitening": "yes please"}, "whitening: must be true or false"),
    ],
)
def test_what_does_not_go_together_is_said(student: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(training(student=student))
