"""Golden numbers of the objectives with a memory: two calls, the second after the memory has changed."""

import pytest
import torch
from tests.objectives.golden import Golden

from limbeck.objectives import CRD, RRD
from limbeck.objectives.momentum_memory import MomentumMemory
from limbeck.objectives.queue import Queue


def with_queue(golden: Golden, objective: CRD | RRD) -> None:
    _project(golden, objective, torch.arange(8))
    assert isinstance(objective.memory, Queue)
    objective.memory.keys = golden.parameters["queue"].clone()
    _call_twice(golden, objective, torch.arange(8))


def with_momentum(golden: Golden, objective: CRD | RRD) -> None:
    _project(golden, objective, torch.arange(golden.hp["n_data"]))
    memory = objective.memory
    assert isinstance(memory, MomentumMemory)
    memory.student = golden.parameters["contrast.memory_v1"].clone()
    memory.teacher = golden.parameters["contrast.memory_v2"].clone()
    # The images drawn are given; the first column is the image itself.
    memory.draw = lambda rows, count: golden.inputs["contrast_index"]
    _call_twice(golden, objective, golden.inputs["index"])


def _project(golden: Golden, objective: CRD | RRD, ids: torch.Tensor) -> None:
    objective.build(golden.setup(ids))
    golden.linear(objective.student_linear, "embed_s")
    golden.linear(objective.teacher_linear, "embed_t")


def _call_twice(golden: Golden, objective: CRD | RRD, ids: torch.Tensor) -> None:
    arguments = golden.inputs["student_embedding"], golden.inputs["teacher_embedding"], ids
    first, second = objective(*arguments), objective(*arguments)
    golden.check(first)
    assert second.item() == pytest.approx(golden.results["loss2"].item(), rel=1e-5)
