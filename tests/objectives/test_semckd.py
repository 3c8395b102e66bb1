"""Semantic calibration: attention over the teacher's stages."""

import pytest
import torch
from tests.objectives.feature_peers import DTYPES, FeaturePeer
from tests.objectives.pairs import Pair

from limbeck.objectives import SemCKD
from limbeck.objectives.functional import semckd


@DTYPES
def test_value_and_gradient_equal_the_reference(dtype: torch.dtype) -> None:
    peer = FeaturePeer("semckd", dtype)
    hp = peer.golden.hp

    def name(ours: str) -> str:
        part, index, *rest = ours.split(".")
        if part == "projections":
            return ".".join(("projection", *map(str, divmod(int(index), 3)), *rest))
        return ".".join(({"queries": "query", "keys": "key"}[part], index, *rest))

    objective = SemCKD(stages=hp["stages"], softness=hp["semckd.softness"])
    peer.build(objective, name)
    peer.golden.check(objective(peer.student.stages, peer.teacher.stages))


def test_by_hand() -> None:
    differences = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    attention = torch.tensor([[[0.5, 0.5], [1.0, 0.0]]])
    assert semckd(differences, attention).item() == pytest.approx((1.5 + 3) / 2)


def test_attention_of_each_stage_sums_to_one() -> None:
    pair = Pair("resnet8", "ResNet18")
    objective = pair.build("semckd").objectives()["semckd"]
    signals = pair.signals()
    attention = objective._attention(list(signals["student_stages"][1:]), list(signals["teacher_stages"][1:]))
    assert attention.shape == (6, 3, 4)
    torch.testing.assert_close(attention.sum(2), torch.ones(6, 3))


def test_larger_batches_than_the_runs_are_taken_in_parts() -> None:
    pair = Pair()
    objective = pair.build("semckd").objectives()["semckd"].eval()
    signals = pair.signals()
    student, teacher = signals["student_stages"], signals["teacher_stages"]
    twice = [tuple(torch.cat([stage, stage]) for stage in side) for side in (student, teacher)]
    torch.testing.assert_close(objective(*twice), objective(student, teacher))
