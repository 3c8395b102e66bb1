"""Variational information distillation against the reference's numbers, with its regressors' weights."""

import pytest
import torch
from tests.objectives.golden import Golden

from limbeck.errors import UserError
from limbeck.objectives import VID


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("vid")
    objective = VID(stages="0:")
    objective.build(golden.setup())
    for index, predictor in enumerate(objective.predictors):
        # The variance starts where the reference's does.
        torch.testing.assert_close(predictor.log_scale, golden.state(f"stage{index}.")["log_scale"])
        predictor.load_state_dict(golden.state(f"stage{index}."))
    golden.check(objective(golden.stages("student"), golden.stages("teacher")))


def test_variance_must_be_positive() -> None:
    with pytest.raises(UserError, match="`variance` must be > 1e-5, got 0"):
        VID(variance=0)
