"""Observers see every step and epoch, change nothing, and continue where an interrupted run stopped."""

import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.sources import Growing, Noting
from tests.training.stopping import stop_at
from tests.training.tiny import network, same, settings, stripes, weights
from torch.utils._python_dispatch import TorchDispatchMode

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import Outputs
from limbeck.objectives import weighted_sum
from limbeck.training import Interrupted, WeightTrajectory
from limbeck.training.batches import Batch
from limbeck.training.checkpoint import Checkpoint
from limbeck.transfer.scoring.forgetting import ForgettingCounts


def test_every_step_and_epoch_is_shown(teach: Run) -> None:
    noted = Noting()
    teach(observers=[noted], settings=settings(steps=12))
    assert noted.steps == list(range(1, 13))
    assert noted.epochs == [1, 2], "12 steps of 8 images are 2.4 times 40"


def test_a_step_may_end_several_epochs(teach: Run) -> None:
    noted = Noting()
    teach(source=stripes(3), observers=[noted], settings=settings(steps=2))
    assert noted.epochs == [1, 2, 3, 4, 5]


def test_epochs_of_a_set_that_grows(teach: Run) -> None:
    """6 images for 4 steps of 8, then 9: an epoch ends once as many images were shown as the set then holds."""
    noted = Noting()
    teach(source=Growing(), observers=[noted], settings=settings(steps=8, validations=0))
    assert noted.epochs == list(range(1, 9)), "32 = 5 x 6 + 2, and 2 + 32 = 3 x 9 + 7"


def test_observers_change_nothing(teach: Run) -> None:
    alone, watched = teach("alone"), teach("watched", observers=[Noting(), WeightTrajectory(network())])
    assert same(weights(alone.student), weights(watched.student))


def test_steps_that_leave_the_student_alone_are_not_shown(teach: Run) -> None:
    noted = Noting()
    objective = weighted_sum({"cross_entropy": 1, "ft": {"preparing": 0.5}})
    teach(objective=objective, observers=[noted], settings=settings(steps=4, validations=0))
    assert noted.steps == [3, 4]


def test_observers_are_shown_what_the_objective_reads(teach: Run, images: ImageSet) -> None:
    class Shapes(Noting):
        def after_step(self, step, batch, outputs) -> None:
            assert outputs.logits.shape == (8, 2)
            assert [len(stage) for stage in outputs.stages] == [8, 8, 8]
            assert torch.isin(batch.ids, images.ids).all()
            super().after_step(step, batch, outputs)

    teach(objective=weighted_sum({"ce": 1, "at": 1}), observers=[Shapes()], settings=settings(steps=2, validations=0))


@pytest.mark.parametrize("step", [2, 4, 7])
def test_interrupted_observers_go_on(step: int, teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rare = settings(checkpoint_seconds=1000, validations=0)
    whole, first = Noting(), WeightTrajectory(network())
    teach("whole", observers=[whole, first], settings=rare)
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted):
        teach(observers=[Noting(), WeightTrajectory(network())], settings=rare)
    monkeypatch.undo()
    again, second = Noting(), WeightTrajectory(network())
    teach(resume=True, observers=[again, second], settings=rare)
    assert torch.equal(again.mean, whole.mean)
    assert (again.steps, again.epochs) == (whole.steps, whole.epochs)
    assert len(first.weights) == len(second.weights) == 3
    assert all(same(state, expected) for state, expected in zip(first.weights, second.weights, strict=True))
    tensors = [Checkpoint.load(tmp_path / folder / "checkpoint.safetensors").tensors for folder in ("whole", "run")]
    assert same(*tensors)


def test_a_trajectory_begins_with_the_first_weights_and_ends_with_the_last(teach: Run) -> None:
    start = {name: tensor.detach() for name, tensor in network().named_parameters()}
    trajectory = WeightTrajectory(network())
    result = teach(observers=[trajectory], settings=settings(steps=10, validations=0))
    assert len(trajectory.weights) == 3
    assert same(trajectory.weights[0], start)
    assert same(trajectory.weights[2], {name: tensor.detach() for name, tensor in result.student.named_parameters()})
    assert not same(trajectory.weights[1], trajectory.weights[2])


def test_a_run_is_resumed_with_the_observers_it_was_begun_with(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(2, monkeypatch)
    with pytest.raises(Interrupted):
        teach(observers=[Noting()])
    monkeypatch.undo()
    with pytest.raises(
        UserError,
        match=r"`observers` must be those that the run was begun with, 1 of them, got 2; .* up to step 3 is lost",
    ):
        teach(resume=True, observers=[Noting(), Noting()])


class Waits(TorchDispatchMode):
    """Counts operations that would make a program wait for its device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waiting = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal)
        self.count += func.overloadpacket in waiting
        return func(*args, **(kwargs or {}))


def test_between_what_is_due_nothing_waits_for_the_device(teach: Run, images: ImageSet) -> None:
    class Sampling(Noting):
        def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
            super().after_step(step, batch, outputs)
            samples.append(waits.count)
            if step == 11:
                os.kill(os.getpid(), signal.SIGTERM)

    samples: list[int] = []
    plain = settings(steps=300, cache=False, validations=0, checkpoint_seconds=1000)
    observers = [ForgettingCounts(images.ids), WeightTrajectory(network()), Sampling()]
    with Waits() as waits, pytest.raises(Interrupted):
        teach(settings=plain, observers=observers)
    waited = [step for step, (before, after) in enumerate(pairwise(samples), 1) if after > before]
    assert waited == [3, 6, 9], "steps after which losses are written"
