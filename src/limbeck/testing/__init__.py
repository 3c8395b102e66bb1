"""Checks that every part must pass, limbeck's and others: call them, or run them one by one as tests of your package.

Nothing here needs pytest. A check that fails raises an `AssertionError` that says what is wrong, or the `UserError`
that a user would see.
"""

from limbeck.testing.check import Check, check, checks_for
from limbeck.testing.families import (
    check_allocation,
    check_criterion,
    check_dataset,
    check_generator,
    check_maker,
    check_model,
    check_normalised_view,
    check_objective,
    check_optimizer,
    check_representation,
    check_schedule,
    check_score,
    check_view,
)

__all__ = [
    "Check",
    "check",
    "check_allocation",
    "check_criterion",
    "check_dataset",
    "check_generator",
    "check_maker",
    "check_model",
    "check_normalised_view",
    "check_objective",
    "check_optimizer",
    "check_representation",
    "check_schedule",
    "check_score",
    "check_view",
    "checks_for",
]
