"""Steps that see their images in chunks: the same gradients, in less memory."""

import gc
from collections.abc import Callable
from functools import partial
from weakref import ref

import pytest
import torch
from tests.transfer.condense.matching_problems import engine_for, problem, settings_for
from tests.transfer.condense.test_matching import largest_difference
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from limbeck.transfer.condense import engine as engine_module
from limbeck.transfer.condense import step_gradients
from limbeck.transfer.condense.estimate import PeakMemory
from limbeck.transfer.condense.estimate_text import ahead
from limbeck.transfer.condense.matching import GradientKind
from limbeck.transfer.condense.step_gradients import StepGradients
from limbeck.transfer.condense.synthetic import SyntheticSet


@pytest.mark.parametrize("gradient", ["exact", "tesla"])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize(("chunk", "views"), [(1, True), (3, True), (4, False), (5, True)])
def test_gradients_are_those_of_the_whole_batch(chunk: int, views: bool, soft: bool, gradient: GradientKind) -> None:
    posed = problem(batch=6, soft=soft, views=views, steps=3)
    whole, parts = posed.solve(gradient, drop=0.25), posed.solve(gradient, drop=0.25, chunk=chunk)
    assert largest_difference(parts, whole) < 1e-12
    assert parts.inputs.dtype == torch.float64


def test_a_chunk_as_large_as_the_batch_changes_no_bit() -> None:
    posed = problem(batch=4, dtype=torch.float32)
    for chunked, whole in zip(posed.solve(chunk=4), posed.solve(), strict=True):
        assert chunked is not None
        assert whole is not None
        assert torch.equal(chunked, whole)


def test_memory_is_that_of_a_chunk() -> None:
    posed = problem(steps=1, count=32, batch=32, views=False, width=16)

    def peak(chunk: int | None) -> int:
        with PeakMemory() as memory:
            posed.solve(chunk=chunk)
        return memory.peak

    assert peak(4) < peak(None) / 2


def test_a_setting_chunks_the_steps_of_learning() -> None:
    whole, parts = (engine_for(settings_for("datm", matching={"chunk": chunk})) for chunk in (None, 3))
    for iteration in range(3):
        losses = [engine.step(iteration)["loss"] for engine in (whole, parts)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert [int(engine.state_dict()["chunk"]) for engine in (whole, parts)] == [0, 3]


class Recorded:
    """Like `Replayed`, without a GPU: what has been recorded is computed where no dispatch mode sees its tensors."""

    def __init__(self) -> None:
        self.kinds: set[object] = set()

    def __call__(self, function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
        kind = function, *((tensor.shape, tensor.dtype) for tensor in tensors)
        if kind not in self.kinds:
            self.kinds.add(kind)
            function(*tensors)
        with _disable_current_modes():
            return function(*tensors)


@pytest.mark.parametrize("chunk", [None, 24, 32])
def test_memory_of_steps_that_are_replayed_is_estimated_as_of_others(
    chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_gradients, "Replayed", Recorded)
    settings = settings_for(matching={"chunk": chunk}, views=None)
    images = SyntheticSet(torch.randn(96, 3, 8, 8), torch.arange(96) % 4, 0.05)
    memories = []
    for replayed in (False, True):
        usual = partial(step_gradients.StepGradients, replayed=replayed)
        monkeypatch.setattr(engine_module, "StepGradients", lambda network, usual=usual, **_: usual(network))
        memories.append(engine_for(settings, images).estimate().memory)
    assert memories[1] == pytest.approx(memories[0], rel=0.1), "results are few beside what leads to them"


def test_nothing_keeps_what_computes_alive() -> None:
    posed = problem()
    for replayed in (False, True):
        computing = StepGradients(posed.network, replayed=replayed)
        gone = ref(computing)
        gc.disable()
        try:
            del computing
            assert gone() is None
        finally:
            gc.enable()


def test_what_does_not_fit_is_chunked_and_goes_on_so(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(budget="12/class", matching={"synthetic_steps": 1}, iterations=5, views=None)

    def begun(free: int | None = None) -> engine_module.MatchingEngine:
        if free is not None:
            monkeypatch.setattr(engine_module, "memory_left", lambda device: free)
        return engine_for(settings, big())

    def big() -> SyntheticSet:
        source = torch.Generator().manual_seed(0)
        return SyntheticSet(torch.randn(48, 3, 8, 8, generator=source), torch.arange(48) % 4, 0.05)

    roomy = begun()
    whole = roomy.estimate()
    assert whole.chunk is None
    assert "at a time" not in ahead(whole)
    free = whole.memory * 4 // 5
    tight = begun(free)
    estimate = tight.estimate()
    assert estimate.chunk is not None
    assert 1 <= estimate.chunk < 40
    assert estimate.memory < free
    assert f"; a step sees {estimate.chunk} images at a time" in ahead(estimate)
    assert tight.step(0)["loss"] == pytest.approx(roomy.step(0)["loss"], rel=1e-4)
    monkeypatch.undo()
    again = begun()
    again.load_state_dict(tight.state_dict())
    assert again.step(1) == tight.step(1), "whatever memory there is now"


def test_unrolled_steps_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    posed = problem(batch=4)
    for chunked, whole in zip(posed.solve("unrolled", chunk=1), posed.solve("unrolled"), strict=True):
        assert chunked is not None
        assert whole is not None
        assert torch.equal(chunked, whole)
