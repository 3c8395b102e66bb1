"""Activation boundaries against the reference's numbers."""

import pytest
import torch
from tests.objectives.golden import Golden

from limbeck.errors import UserError
from limbeck.objectives import AB
from limbeck.objectives.functional import ab


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("ab")
    golden.check(ab(golden.stages("student", "_connected"), golden.stages("teacher"), margin=golden.hp["margin"]))


def test_deeper_stages_count_twice_as_much() -> None:
    golden = Golden("ab")
    pairs = zip(golden.stages("student", "_connected"), golden.stages("teacher"), strict=True)
    alone = torch.tensor([ab([s], [t]).item() for s, t in pairs])
    torch.testing.assert_close(alone * torch.tensor([0.25, 0.5, 1]), golden.results["per_stage"])


def test_margin_must_be_positive() -> None:
    with pytest.raises(UserError, match="`margin` must be > 0, got 0"):
        AB(margin=0)
