"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import limbeck.objectives
from limbeck.objectives import WeightedSum, weighted_sum


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(limbeck.objectives.__path__)])
def test_examples(name: str) -> None:
    module = importlib.import_module(f"limbeck.objectives.{name}")
    known = {"torch": torch, "WeightedSum": WeightedSum, "weighted_sum": weighted_sum}
    assert doctest.testmod(module, extraglobs=known).failed == 0
