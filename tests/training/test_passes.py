"""A pass may show part of the images: batches follow each other without gaps, whatever the passes hold."""

from pathlib import Path

import pytest
import torch
from tests.training.conftest import Run
from tests.training.stopping import stop_at
from tests.training.test_batches import stream
from tests.training.tiny import same, settings, stripes, weights
from torch import Tensor

from limbeck.training import Interrupted

SIZES = [3, 7, 1, 12]


def of_size(number: int) -> Tensor:
    """Every third image from a different start, as many as `SIZES` says; later passes have the last size."""
    return (torch.arange(SIZES[min(number, 3)]) * 3 + number) % 40


@pytest.mark.parametrize("batch_size", [1, 5, 8, 40])
def test_batches_are_those_of_one_pass_after_another(batch_size: int) -> None:
    batches = stream(stripes(40), batch_size, passes=of_size)
    steps = -(-60 // batch_size)
    shown = [batches.shown(step) for step in range(steps)]
    positions, views = (torch.cat(column) for column in zip(*shown, strict=True))
    start = 0
    for number in range(5):
        end = start + len(of_size(number))
        assert sorted(positions[start:end].tolist()) == sorted(of_size(number).tolist())
        assert set(views[start:end].tolist()) == {number}
        start = end
    again = stream(stripes(40), batch_size, passes=of_size).shown(steps - 1)
    assert torch.equal(again[0], shown[-1][0]), "a run can start at any step"


def test_whole_passes_are_what_they_are_without_saying() -> None:
    plain, in_order = stream(stripes(40)), stream(stripes(40), passes=lambda number: torch.arange(40))
    assert all(torch.equal(plain.shown(step)[0], in_order.shown(step)[0]) for step in range(12))


def test_what_was_interrupted_goes_on(teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = {"passes": of_size, "settings": settings(steps=8, validations=0)}
    whole = teach("whole", **arguments)
    stop_at(4, monkeypatch)
    with pytest.raises(Interrupted):
        teach("stopped", **arguments)
    monkeypatch.undo()
    assert same(weights(teach("stopped", resume=True, **arguments).student), weights(whole.student))
    assert not same(weights(teach("all", settings=arguments["settings"]).student), weights(whole.student))
