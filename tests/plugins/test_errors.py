"""What code of the user's own raises is told with the part, the error and its line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import limbeck as lb
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.foreign import ForeignError, described
from limbeck.models.catalogue import MODELS
from limbeck.objectives import Objective
from limbeck.objectives.sums import weighted_sum
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.scoring.score import score_images


def broken(**_: Any) -> Any:
    raise KeyError("boom")


LINE = broken.__code__.co_firstlineno + 1
WHERE = rf"raised KeyError: 'boom' \(test_errors.py:{LINE}\)\.$"


class Broken(Objective):
    def forward(self, student_logits: Tensor) -> Tensor:
        return broken(student_logits=student_logits)


class Whole(Objective):
    def forward(self, student_logits: Tensor) -> Tensor:
        return student_logits


class Unbuilt(Objective):
    def build(self, setup: Any) -> None:
        broken(setup=setup)

    def forward(self, student_logits: Tensor) -> Tensor:
        return student_logits.mean()


class Network(nn.Module):
    def __init__(self, num_classes: int) -> None:
        broken(num_classes=num_classes)


def score(pixels: Tensor) -> Tensor:
    return broken(pixels=pixels)


def loss(student_logits: Tensor) -> Tensor:
    return broken(student_logits=student_logits)


def view(images: Tensor, draw: Tensor) -> Tensor:
    return broken(images=images, draw=draw)


def test_losses() -> None:
    signals = {"student_logits": torch.zeros(2, 3, requires_grad=True)}
    with pytest.raises(ForeignError, match=f"^objective '{__name__}:loss' {WHERE}"):
        weighted_sum(f"{__name__}:loss")(signals)
    with pytest.raises(ForeignError, match=f"^objective '{__name__}:Broken' {WHERE}"):
        weighted_sum({"ce": 1, f"{__name__}:Broken": 1})({**signals, "labels": torch.zeros(2, dtype=torch.int64)})
    with pytest.raises(ForeignError, match=f"^objective '{__name__}:Unbuilt' {WHERE}"):
        weighted_sum(f"{__name__}:Unbuilt").build(None, seed=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=rf"^objective '{__name__}:Whole' must return a loss \[\], got \[2, 3\]"):
        weighted_sum(f"{__name__}:Whole")(signals)


def test_scores_and_views() -> None:
    images = lb.load("digits")
    with pytest.raises(ForeignError, match=f"^score '{__name__}:score' {WHERE}"):
        score_images(images, lb.Criterion(score=f"{__name__}:score"))
    with pytest.raises(ForeignError, match=f"^view '{__name__}:view' {WHERE}"):
        augmentation(f"{__name__}:view").render(images.tensor()[:2], torch.zeros(2, dtype=torch.int64))


def test_networks() -> None:
    with pytest.raises(ForeignError, match=f"^model '{__name__}:Network' {WHERE}"):
        lb.create(MODELS.named(f"{__name__}:Network"), num_classes=3)


def test_a_run_keeps_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(ForeignError), RunFolder.open(tmp_path / "run", {}, resume=False) as folder:
        weighted_sum(f"{__name__}:loss")({"student_logits": torch.zeros(2, 3)})
    status = folder.read("status.json")
    assert status["error"].startswith(f"objective '{__name__}:loss' raised KeyError")
    assert f"line {LINE}, in broken" in status["traceback"]
    with pytest.raises(ValueError, match="many"), RunFolder.open(tmp_path / "other", {}, resume=False) as folder:
        raise ValueError("many\nlines")
    assert folder.read("status.json")["error"].startswith("ValueError: many (test_errors.py:")


def test_an_error_without_words_or_lines_of_theirs() -> None:
    assert described(KeyError()) == "KeyError"
