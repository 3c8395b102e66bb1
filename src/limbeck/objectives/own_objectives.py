"""Objectives that are not limbeck's own: entries made from a class, or from a function of signals."""

import math
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.objectives.catalogue import NAMES, ObjectiveEntry, OwnOption
from limbeck.objectives.objective import SIGNALS, Objective
from limbeck.signatures import check_default, inputs_and_options, parameters, summary_of

_SAID = ("summary", "paper", "year", "weight", "typical", "aliases")


def describe(name: str, part: Any, said: Mapping[str, Any]) -> ObjectiveEntry:
    """The catalogue's entry of an objective of the user's own.

    Args:
        name: its name.
        part: a subclass of `Objective`, or a function that takes `SIGNALS` and options by name and returns the loss
            `[]`, or that of each image `[B]`, of which the mean is taken.
        said: `summary`, `paper`, `year`, `weight`, `typical`, `aliases`; of a function also `per_image`.

    Raises:
        UserError: it is neither, or options have no plain default.
    """
    what = f"objective {name!r}"
    if hasattr(nn.ModuleDict, name):  # which holds the terms of a sum
        raise UserError(f"an objective cannot be called {name!r}, which is a method of torch's modules.")
    is_class = isinstance(part, type) and issubclass(part, Objective)
    if isinstance(part, nn.Module):
        raise UserError(
            f"{what} must be a class or a function, got a {type(part).__name__} that is made already; give its class, "
            "with its options beside the weight."
        )
    if isinstance(part, type) is not is_class or not callable(part):
        raise UserError(
            f"{what} must be a subclass of `limbeck.objectives.Objective` or a function of signals, got {part!r}."
        )
    check_remarks(said, _SAID if is_class else (*_SAID, "per_image"), what)
    made: Any = part if is_class else objective_of(part, what, bool(said.get("per_image", False)))
    _, options = inputs_and_options(made, (), what)
    for option, default in options.items():
        check_default(option, default, what)
    head = ("teacher_head",) if made.reads_teacher_head else ()
    needs = made(**options).needs
    unknown = [need for need in needs if need not in SIGNALS]
    if unknown or not needs:
        raise UserError(
            f"the loss of {what} must take signals by name, got {', '.join(unknown) or 'none'}; there are "
            f"{', '.join(sorted(SIGNALS))}."
        )
    return ObjectiveEntry(
        made.__name__,
        str(said.get("summary", summary_of(part))),
        str(said.get("paper", "")),
        int(said.get("year", 0)),
        (*needs, *head),
        options,
        typical=dict(said.get("typical", {})),
        weight=_weight(said.get("weight", 1.0), what),
        aliases=_aliases(said.get("aliases", ()), name, what),
        made_by=made,
    )


def objective_of(function: Callable[..., Any], what: str, per_image: bool = False) -> type[Objective]:
    """A class of objectives whose loss is `function`, and whose options are that function's."""
    signals, defaults = inputs_and_options(function, SIGNALS, what)

    def forward(self: Any, **inputs: Any) -> Tensor:
        untaught = {name: _detached(one) if name.startswith("teacher_") else one for name, one in inputs.items()}
        value = function(**untaught, **self.options)
        counts = {len(one) for one in inputs.values() if isinstance(one, Tensor) and one.ndim}
        if not isinstance(value, Tensor) or value.ndim > 1 or (value.ndim and counts and len(value) not in counts):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"{what} must return a loss [], or one for each image [B], got {got}.")
        return value.mean()

    def __init__(self: Any, **options: OwnOption) -> None:
        Objective.__init__(self)
        self.options = {**defaults, **options}

    # What a loss takes and a class can be told is read from signatures.
    me = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    taken = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in parameters(function) if one.name in signals]
    setattr(forward, "__signature__", Signature([me, *taken]))  # noqa: B010
    keyword_only = [Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()]
    setattr(__init__, "__signature__", Signature([me, *keyword_only]))  # noqa: B010
    made = {"__doc__": function.__doc__, "__module__": function.__module__, "per_image": per_image}
    return type(getattr(function, "__name__", "Own"), (Objective,), {**made, "forward": forward, "__init__": __init__})


def _detached(signal: Any) -> Any:
    """The teacher's outputs, of which a loss may take differences without teaching it."""
    return tuple(map(_detached, signal)) if isinstance(signal, tuple) else signal.detach()


def _weight(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"the `weight` of {what} must be a finite number >= 0, got {value!r}.")
    return float(value)


def _aliases(aliases: Any, name: str, what: str) -> tuple[str, ...]:
    if isinstance(aliases, str) or not all(isinstance(one, str) for one in aliases):
        raise UserError(f"the `aliases` of {what} must be a list of names, got {aliases!r}.")
    for one in aliases:
        if one in NAMES.own or (one != name and one in NAMES.catalogue):
            raise UserError(f"{what} cannot have the alias {one!r}: that is another objective.")
    return tuple(aliases)
