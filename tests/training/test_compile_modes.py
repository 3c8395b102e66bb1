"""How networks are compiled: what torch is passed, and what is copied; `test_compile.py` really compiles."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.training.conftest import Run
from tests.training.tiny import network, same, settings, stripes, weights
from torch import nn

from limbeck.objectives import weighted_sum
from limbeck.training.batches import Batch
from limbeck.training.step import DistillationStep

CPU = torch.device("cpu")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Options passed to `torch.nn.Module.compile`, which is replaced and compiles nothing."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: calls.append(options))
    return calls


@pytest.mark.parametrize(("how", "mode"), [(True, "default"), ("graphs", "reduce-overhead")])
def test_both_networks_are_compiled(teach: Run, compiled: list, how: Any, mode: str) -> None:
    plain = teach("plain", settings=settings(cache=False))
    assert compiled == []
    result = teach("compiled", settings=settings(compile=how, cache=False))
    assert compiled == [{"mode": mode}] * 2
    assert same(weights(result.student), weights(plain.student)), "copies change nothing"


@pytest.mark.parametrize("graphs", [False, True])
def test_outputs_of_graphs_are_copied(graphs: bool) -> None:
    """The next replay overwrites them, yet observers may keep what they are shown."""
    student, handed = network(), []
    student.network.register_forward_hook(lambda module, args, output: handed.append(output))
    step = DistillationStep(student, weighted_sum("ce"), device=CPU, dtype=torch.float32, graphs=graphs)
    images = stripes(4)
    step(Batch(images.tensor(), images.labels, images.ids, None), None)
    assert step.student_outputs is not None
    assert (step.student_outputs.logits.data_ptr() == handed[0].data_ptr()) is not graphs


@pytest.mark.parametrize("wrong", ["graph", "reduce-overhead", 2])
def test_other_ways_are_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="compile"):
        settings(compile=wrong)
