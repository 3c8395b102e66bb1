"""Weighted sums of objectives, as recipes write them: `{cross_entropy: 0.1, kd: 0.9}`."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import UserError, unknown_name
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.kd import KD
from limbeck.objectives.objective import Objective, Signals

BUILDERS: dict[str, type[Objective]] = {"cross_entropy": CrossEntropy, "kd": KD}
_NAMES = {alias: name for name, entry in OBJECTIVES.items() for alias in (name, *entry.aliases)}


class WeightedSum(nn.Module):
    """Sum of objectives, each times its weight.

    Args:
        terms: name -> objective.
        weights: name -> weight, finite and >= 0.
    """

    def __init__(self, terms: Mapping[str, Objective], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(need for term in self.objectives().values() for need in term.needs)

    def outputs_needed(self, who: str) -> frozenset[str]:
        """Fields of `Outputs` that the terms read of the "student" or of the "teacher"."""
        return frozenset().union(*(term.outputs_needed(who) for term in self.objectives().values()))

    def forward(self, signals: Signals) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term before weighting (detached), for curves and for finding a culprit."""
        values = {
            name: term(**{need: signals[need] for need in term.needs}) for name, term in self.objectives().items()
        }
        total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def objectives(self) -> dict[str, Objective]:
        return {name: term for name, term in self.terms.items() if isinstance(term, Objective)}


def weighted_sum(spec: str | Mapping[str, Any] | WeightedSum) -> WeightedSum:
    """Builds objectives from a recipe's `objective`.

    Args:
        spec: a name, or a mapping from name to weight, or from name to `{weight: ..., option: ...}`.

    Raises:
        UserError: for unknown names and options, and for weights that are negative, not finite or all zero.

    Example:
        >>> sorted(weighted_sum({"cross_entropy": 0.1, "kd": {"weight": 0.9, "temperature": 2}}).needs)
        ['labels', 'student_logits', 'teacher_logits']
    """
    if isinstance(spec, WeightedSum):
        return spec
    entries = {spec: 1.0} if isinstance(spec, str) else dict(spec)
    terms: dict[str, Objective] = {}
    weights: dict[str, float] = {}
    for given, value in entries.items():
        options = dict(value) if isinstance(value, Mapping) else {"weight": value}
        name = canonical_name(given)
        if name in terms:
            raise UserError(f"`objective` names {name!r} twice ({given!r} is another name for it).")
        weights[name] = _weight(given, options.pop("weight", 1.0))
        terms[name] = _objective(name, options)
    if not any(weights.values()):
        raise UserError("`objective` must hold at least one term with a weight above 0, got none.")
    return WeightedSum(terms, weights)


def canonical_name(name: str) -> str:
    """The objective's own name for a name or an alias of it."""
    if name not in _NAMES:
        raise unknown_name("objective", name, _NAMES, "`limbeck ls objectives` lists them all")
    return _NAMES[name]


def _objective(name: str, options: dict[str, Any]) -> Objective:
    allowed = OBJECTIVES[name].options
    for option, value in options.items():
        if option not in allowed:
            raise unknown_name(f"option of objective {name!r}:", option, [*allowed, "weight"])
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"`objective.{name}.{option}` must be a number, got {value!r}.")
    return BUILDERS[name](**options)


def _weight(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"the weight of objective {name!r} must be a finite number >= 0, got {value!r}.")
    return float(value)
