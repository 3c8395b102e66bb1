"""SimKD: projector and the teacher's head."""

import pytest
import torch
from tests.objectives.feature_peers import DTYPES, FeaturePeer
from tests.objectives.pairs import BATCH, CLASSES, Pair, outputs
from torch import nn

from limbeck.errors import UserError
from limbeck.models import create
from limbeck.objectives import SimKD, WeightedSum, weighted_sum


@DTYPES
def test_value_gradient_and_logits_equal_the_reference(dtype: torch.dtype) -> None:
    peer = FeaturePeer("simkd", dtype)
    objective = SimKD(factor=peer.golden.hp["simkd.factor"])

    def name(ours: str) -> str:
        _, part, index, *rest = ours.split(".")
        return ".".join(({"convs": "conv", "norms": "bn"}[part] + index, *rest))

    peer.build(objective, name)
    peer.golden.inputs["student_stage"] = peer.student.stages[-1]
    peer.golden.check(objective(peer.student.stages, peer.teacher.stages))
    logits = objective.teacher_head(objective.projector(peer.student.stages[-1]).mean((2, 3)))
    torch.testing.assert_close(logits, peer.golden.results["logits"], rtol=1e-5, atol=1e-6)


class Copying(nn.Module):
    """In place of a projector."""

    sizes = 64, 32, 64

    def forward(self, stage: torch.Tensor) -> torch.Tensor:
        return stage


def built(student: str = "resnet8", teacher: str = "wrn_16_1", head: str = "teacher") -> tuple[WeightedSum, SimKD]:
    built_pair = Pair(student, teacher).build("simkd", head=head)
    objective = built_pair.objectives()["simkd"]
    assert isinstance(objective, SimKD)
    return built_pair, objective


def test_a_projector_that_copies_the_teacher_answers_as_the_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    built_pair, objective = built()
    monkeypatch.setattr("limbeck.objectives.simkd.Projector", Copying)
    objective.projector = Copying()
    stages, logits = outputs("wrn_16_1")[0].stages, outputs("wrn_16_1")[0].logits
    assert objective(stages, stages) == 0
    # As in `pairs.outputs`.
    teacher = create("wrn_16_1", num_classes=CLASSES, seed=len("wrn_16_1")).eval()
    images = torch.rand(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(built_pair.evaluated_network(teacher)(images).logits, logits)


def test_a_wide_network_is_read_after_its_last_activation() -> None:
    """Its deepest stage is a sum with negative values, which no head was made for."""
    built_pair, objective = built("wrn_16_1", "wrn_16_1")
    objective.projector = Copying()
    outs = outputs("wrn_16_1")[0]
    assert outs.last_map is not None
    signals = {"student_stages": outs.stages, "teacher_stages": outs.stages, "student_last_map": outs.last_map}
    assert objective(**signals, teacher_last_map=outs.last_map) == 0
    assert objective(**signals, teacher_last_map=outs.last_map + 1) == pytest.approx(1)
    assert {"student_last_map", "teacher_last_map"} <= built_pair.needs


def test_what_is_taught_follows_the_student_and_the_projector() -> None:
    built_pair, objective = built("resnet8", "ResNet50")
    student = create("resnet8", num_classes=CLASSES)
    network, images = built_pair.evaluated_network(student).eval(), torch.rand(2, 3, 32, 32)
    before = network(images).logits
    with torch.no_grad():
        next(objective.projector.parameters()).mul_(-1)
    assert not torch.equal(network(images).logits, before)
    assert {name for name, _ in network.network.named_children()} == {"body", "projector", "head"}


def test_own_head_leaves_the_student_as_it_is() -> None:
    built_pair, _ = built(head="own")
    student = create("resnet8", num_classes=CLASSES)
    assert built_pair.evaluated_network(student) is student
    assert weighted_sum({"cross_entropy": 1, "simkd": 0}).evaluated_network(student) is student


def test_wrong_head() -> None:
    with pytest.raises(UserError, match=r"unknown `head` 'students'.*It is one of teacher, own"):
        SimKD(head="students")
