"""Weighted sums of objectives, as recipes write them: `{cross_entropy: 0.1, kd: 0.9}`."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import UserError, unknown_name
from limbeck.foreign import ForeignError, errors_of
from limbeck.models.classifier import Classifier
from limbeck.objectives.catalogue import NAMES, OBJECTIVES, objective_class
from limbeck.objectives.objective import Objective, Preparation, Signals, arguments, outputs_among
from limbeck.objectives.setup import Setup
from limbeck.randomness import own_randomness
from limbeck.signatures import checked_value


class WeightedSum(nn.Module):
    """Sum of objectives, each times its weight; before, what two-phase methods among them prepare.

    Args:
        terms: name -> objective.
        weights: name -> weight, finite and >= 0.

    Attributes:
        own: names of the terms whose code is not limbeck's own.
    """

    def __init__(self, terms: Mapping[str, Objective], weights: Mapping[str, float]) -> None:
        super().__init__()
        # Names of modules have no dots, and import paths do.
        self.terms = nn.ModuleDict({_key(name): term for name, term in terms.items()})
        self.weights = dict(weights)
        self._names = {_key(name): name for name in terms}
        self.own = frozenset(name for name in terms if name in OBJECTIVES and OBJECTIVES[name].made_by is not None)

    @property
    def needs(self) -> frozenset[str]:
        """All signals that are read in either phase."""
        return frozenset(self._needs(preparing=False) + self._needs(preparing=True))

    @property
    def remembering_ids(self) -> tuple[str, ...]:
        """Names of the terms that keep something for each of the images they were built for."""
        return tuple(name for name, term in self.objectives().items() if term.remembers_ids)

    def unmixable(self, *, teacher: bool) -> list[str]:
        """Which terms cannot learn from mixtures of images, and why, one reason a line, without a full stop.

        Args:
            teacher: whether one is asked about the mixtures; else its outputs are soft labels of the images themselves.
        """
        terms = self.objectives().items()
        reasons = {
            "reads ids, and a mixture has none of its own": [name for name, term in terms if "ids" in term.needs],
            "reads classes, and a mixture has none of its own": [
                name for name, term in terms if "labels" in term.needs and not term.mixed_labels
            ],
            "reads soft labels, which are of the images and not of their mixtures; a `teacher` could be asked": [
                name for name, term in terms if term.outputs_needed("teacher") and not teacher
            ],
        }
        return [f"the objective {', '.join(names)} {why}" for why, names in reasons.items() if names]

    @property
    def preparing_share(self) -> float:
        """Share of a run's steps that goes into preparing, the longest of the terms'."""
        return max((preparation.share for preparation in self._preparations().values()), default=0.0)

    @property
    def preparing_rate(self) -> float:
        """Share of the learning rate while preparing, the lowest of the terms'."""
        return min((preparation.rate for preparation in self._preparations().values()), default=1.0)

    def outputs_needed(self, who: str, *, preparing: bool | None = None) -> frozenset[str]:
        """Fields of `Outputs` that are read of the "student" or of the "teacher", by default in either phase."""
        needs = tuple(self.needs) if preparing is None else self._needs(preparing=preparing)
        return outputs_among(needs, who)

    def build(self, setup: Setup, *, seed: int) -> None:
        """Makes the terms' projectors and memories; those of one term do not depend on which others there are.

        Raises:
            UserError: all terms that teacher and student do not fit, in one message.
        """
        wrong = []
        for name, term in self.objectives().items():
            try:
                with own_randomness(seed, "objective", name), self._errors_of(name):
                    term.build(setup)
            except ForeignError:
                raise
            except UserError as error:
                wrong.append(str(error))
        if wrong:
            raise UserError(" ".join(wrong))

    def forward(
        self, signals: Signals, *, preparing: bool = False, gather: Callable[[Signals], Signals] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum, and each term before weighting (detached), for curves and for finding a culprit.

        Args:
            signals: name -> value.
            preparing: the losses of two-phase methods, unweighted.
            gather: joins the shares of a batch that several processes hold, for terms that relate images.
        """
        losses = self._losses(preparing=preparing)
        related = [name for name in losses if not self.objectives()[name].per_image]
        whole_batch = signals
        if gather is not None and related:
            required = {need for name in related for need in arguments(losses[name])}
            whole_batch = gather({name: value for name, value in signals.items() if name in required})
        values = {
            name: self._value(name, loss, whole_batch if name in related else signals) for name, loss in losses.items()
        }
        weights = dict.fromkeys(values, 1.0) if preparing else self.weights
        total = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def evaluated_network(self, student: Classifier) -> Classifier:
        """The network to be judged and saved, see `Objective.evaluated_network`."""
        for name, term in self.objectives().items():
            student = term.evaluated_network(student) if self.weights[name] > 0 else student
        return student

    def objectives(self) -> dict[str, Objective]:
        return {self._names[key]: term for key, term in self.terms.items() if isinstance(term, Objective)}

    def _value(self, name: str, loss: Callable[..., Tensor], signals: Signals) -> Tensor:
        with self._errors_of(name):
            value = loss(**_arguments(loss, signals))
        if name in self.own and (not isinstance(value, Tensor) or value.ndim):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"objective {name!r} must return a loss [], got {got}.")
        return value

    def _errors_of(self, name: str) -> AbstractContextManager[None]:
        return errors_of(f"objective {name!r}") if name in self.own else nullcontext()

    def _preparations(self) -> dict[str, Preparation]:
        preparations = {name: term.preparation for name, term in self.objectives().items() if self.weights[name] > 0}
        return {
            name: preparation
            for name, preparation in preparations.items()
            if preparation is not None and preparation.share > 0
        }

    def _losses(self, *, preparing: bool) -> dict[str, Callable[..., Tensor]]:
        preparations = self._preparations()
        if preparing:
            return {name: preparation.loss for name, preparation in preparations.items()}
        done = {name for name, preparation in preparations.items() if preparation.only}
        return {name: term.loss for name, term in self.objectives().items() if name not in done}

    def _needs(self, *, preparing: bool) -> tuple[str, ...]:
        return tuple(need for loss in self._losses(preparing=preparing).values() for need in arguments(loss))


def _key(name: str) -> str:
    return name.replace(".", "/")


def _arguments(loss: Callable[..., Tensor], signals: Signals) -> dict[str, Any]:
    """What a loss takes; signals that have a default may be missing."""
    return {name: signals[name] for name, required in arguments(loss).items() if required or name in signals}


def weighted_sum(spec: str | Callable[..., Any] | Mapping[Any, Any] | WeightedSum) -> WeightedSum:
    """Builds objectives from a recipe's `objective`.

    Args:
        spec: a name, or a mapping from name to weight, or from name to `{weight: ..., option: ...}`; without a weight
            the published one is used. A function of signals, a class of objectives, or the import path of one
            ("my_parts:loss") stands where a name does.

    Raises:
        UserError: for unknown names and options, and for weights that are negative, not finite or all zero.

    Example:
        >>> sorted(weighted_sum({"cross_entropy": 0.1, "kd": {"weight": 0.9, "temperature": 2}}).needs)
        ['labels', 'student_logits', 'teacher_logits']
    """
    if isinstance(spec, WeightedSum):
        return spec
    if not isinstance(spec, str | Mapping) and not callable(spec):
        raise UserError(f"`objective` must be a name, or a mapping from names to weights or options, got {spec!r}.")
    named: Any = OBJECTIVES.named(spec)
    entries: dict[str, Any] = {named: {}} if isinstance(named, str) else dict(named)
    terms: dict[str, Objective] = {}
    weights: dict[str, float] = {}
    for alias, value in entries.items():
        options = dict(value) if isinstance(value, Mapping) else {"weight": value}
        name = canonical_name(alias)
        if name in terms:
            raise UserError(f"`objective` names {name!r} twice ({alias!r} is another name for it).")
        weights[name] = _weight(alias, options.pop("weight", OBJECTIVES[name].weight))
        terms[name] = _objective(name, options)
    objective = WeightedSum(terms, weights)
    if not any(weights[name] for name in objective._losses(preparing=False)):
        after = " after its preparing phase" if objective.preparing_share else ""
        raise UserError(f"`objective` must hold at least one term with a weight above 0{after}, got none.")
    return objective


def canonical_name(name: str) -> str:
    """The objective's own name for a name or an alias of it."""
    if not isinstance(name, str):
        raise UserError(f"`objective` must name its terms by text, got {name!r}.")
    if name not in NAMES:
        raise unknown_name("objective", name, NAMES, "`limbeck ls objectives` lists them all")
    return NAMES[name]


def _objective(name: str, options: dict[str, Any]) -> Objective:
    entry = OBJECTIVES[name]
    allowed = entry.options
    settled = dict(options)
    for option, value in options.items():
        if option not in allowed:
            raise unknown_name(f"option of objective {name!r}:", option, [*allowed, "weight"])
        if type(allowed[option]) not in _KINDS:
            settled[option] = checked_value(option, value, allowed[option], f"objective {name!r}")
            continue
        described, kind = _KINDS[type(allowed[option])]
        if not (isinstance(value, kind) and isinstance(value, bool) == isinstance(allowed[option], bool)):
            raise UserError(f"`objective.{name}.{option}` must be {described}, got {value!r}.")
        if entry.made_by is not None and isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"`objective.{name}.{option}` must be finite, got {value!r}.")
    made = objective_class(name)
    idle = {} if entry.made_by is not None else made.unread({**allowed, **settled})
    for option, why in idle.items():
        if settled.get(option, allowed[option]) != allowed[option]:
            raise UserError(
                f"`objective.{name}.{option}` would change nothing, got {settled[option]!r}: {why}; leave it out."
            )
    return made(**settled)


_KINDS: dict[type, tuple[str, Any]] = {
    bool: ("true or false", bool),
    str: ("text", str),
    float: ("a number", int | float),
    int: ("a whole number", int),
}


def _weight(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"the weight of objective {name!r} must be a finite number >= 0, got {value!r}.")
    return float(value)
