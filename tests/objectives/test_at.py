"""Attention transfer against the reference's numbers."""

import torch
from tests.objectives.golden import Golden
from tests.objectives.pairs import Pair

from limbeck.objectives import AT
from limbeck.objectives.functional import at


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("at")
    golden.check(at(golden.stages("student"), golden.stages("teacher")))


def test_stages_add_up() -> None:
    golden = Golden("at")
    alone = [at([s], [t]).item() for s, t in zip(golden.stages("student"), golden.stages("teacher"), strict=True)]
    torch.testing.assert_close(torch.tensor(alone), golden.results["per_stage"])


def test_the_stem_is_left_out_and_deep_stages_are_paired_with_deep_ones() -> None:
    signals = Pair("resnet8", "ResNet50").signals()
    student, teacher = signals["student_stages"], signals["teacher_stages"]
    assert (len(student), len(teacher)) == (4, 5)
    assert AT()(student, teacher) == at(student[-3:], teacher[-3:])
    assert AT(stages="-1:")(student, teacher) == at(student[-1:], teacher[-1:])
