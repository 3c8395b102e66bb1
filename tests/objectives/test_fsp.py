"""Flow matrices against the reference's numbers."""

import pytest
from tests.objectives.golden import Golden
from tests.objectives.pairs import Pair

from limbeck.errors import UserError
from limbeck.objectives.functional import fsp


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("fsp")
    golden.check(fsp(golden.stages("student"), golden.stages("teacher")))


def test_stages_that_differ_are_all_named() -> None:
    with pytest.raises(UserError) as error:
        Pair("resnet8", "resnet8x4").build("fsp", preparing=0.0)
    text = str(error.value)
    for shapes in ("[16x32x32]", "[32x32x32]", "stage 3 of the student [64x8x8]", "stage 3 of the teacher [256x8x8]"):
        assert shapes in text


def test_a_single_stage_is_not_enough() -> None:
    with pytest.raises(UserError, match=r"compares at least 2 pair\(s\) of stages, but 1 are left"):
        Pair().build("fsp", preparing=0.0, stages="-1:")
