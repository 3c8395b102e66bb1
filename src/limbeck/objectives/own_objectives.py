"""Objectives that are not limbeck's own: entries made from a class, or from a function or module of signals."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, Signature
from typing import Any

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.foreign import check_remarks, errors_of
from limbeck.models.readiness import check_ready
from limbeck.models.shared_memory import private_copy
from limbeck.objectives.catalogue import NAMES, ObjectiveEntry, OwnOption
from limbeck.objectives.objective import SIGNALS, Objective
from limbeck.objectives.setup import Setup
from limbeck.randomness import own_randomness
from limbeck.signatures import check_default, inputs_and_options, parameters, summary_of

_SAID = ("summary", "paper", "year", "weight", "typical", "aliases")


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> ObjectiveEntry:
    """The catalogue's entry of an objective of the user's own.

    Args:
        name: its name.
        part: a function that takes `SIGNALS` and options by name and returns the loss `[]`, or that of each image
            `[B]`, of which the mean is taken; a module, or a class of modules, whose `forward` does; or a subclass of
            `Objective`.
        remarks: `summary`, `paper`, `year`, `weight`, `typical`, `aliases`; of all but such a subclass also
            `per_image`.

    Raises:
        UserError: it is neither, or options have no plain default.
    """
    what = f"objective {name!r}"
    if hasattr(nn.ModuleDict, name):  # which holds the terms of a sum
        raise UserError(f"an objective cannot be called {name!r}, which is a method of torch's modules.")
    if isinstance(part, Objective):
        raise UserError(
            f"{what} must be a class or a function, got a {type(part).__name__} that is made already; give its class, "
            "with its options beside the weight."
        )
    is_own = isinstance(part, type) and issubclass(part, Objective)
    if not callable(part) or (isinstance(part, type) and not issubclass(part, nn.Module)):
        raise UserError(
            f"{what} must be a function of signals, a module of them or a subclass of `limbeck.objectives.Objective`, "
            f"got {part!r}."
        )
    check_remarks(remarks, _SAID if is_own else (*_SAID, "per_image"), what)
    made: Any = part if is_own else objective_of(part, what, bool(remarks.get("per_image", False)))
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
        str(remarks.get("summary", summary_of(part))),
        str(remarks.get("paper", "")),
        int(remarks.get("year", 0)),
        (*needs, *head),
        options,
        typical=dict(remarks.get("typical", {})),
        weight=_weight(remarks.get("weight", 1.0), what),
        aliases=_aliases(remarks.get("aliases", ()), name, what),
        made_by=made,
    )


def objective_of(part: Callable[..., Any], what: str, per_image: bool = False) -> type[Objective]:
    """A class of objectives whose loss is `part`, and whose options are that function's.

    Of a module the loss is its `forward`; each objective has one of its own, a copy or, of a class, a new one, which
    is moved, taught and saved with it. Options of a class are those of its `__init__` and of its `forward`.

    Raises:
        UserError: parameters that are neither signals nor options; a module that cannot be made, copied or saved.
    """
    with_module = isinstance(part, type | nn.Module)
    settings = _settings(part, what) if isinstance(part, type) else {}
    function = _forward_of(part) if with_module else part
    try:
        signals, defaults = inputs_and_options(function, SIGNALS, what)
    except UserError as error:
        if not with_module:
            raise
        raise UserError(
            f"{str(error).rstrip('.')}. A module that takes others is called by a function of signals, as in `lambda "
            "student_logits, labels: loss(student_logits, labels)`."
        ) from None
    if both := sorted({*settings} & {*defaults}):
        raise UserError(f"option `{both[0]}` of {what} is one of `__init__` and of `forward`; call one otherwise.")

    def forward(self: Any, **inputs: Any) -> Tensor:
        untaught = {name: _detached(one) if name.startswith("teacher_") else one for name, one in inputs.items()}
        value = (self.module if with_module else part)(**untaught, **self.options)
        counts = {len(one) for one in inputs.values() if isinstance(one, Tensor) and one.ndim}
        if not isinstance(value, Tensor) or value.ndim > 1 or (value.ndim and counts and len(value) not in counts):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UserError(f"{what} must return a loss [], or one for each image [B], got {got}.")
        return value.mean()

    def __init__(self: Any, **options: OwnOption) -> None:
        Objective.__init__(self)
        self.options = {name: options.get(name, default) for name, default in defaults.items()}
        self.settings = {name: options.get(name, default) for name, default in settings.items()}
        if with_module:
            with own_randomness(0, "objective"):
                self.module = _module(part, self.settings, what)

    def build(self: Any, setup: Setup) -> None:
        """First parameters of a class are those of the run's seed."""
        if isinstance(part, type):
            self.module = _module(part, self.settings, what)

    # What a loss takes and a class can be told is read from signatures.
    me = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    taken = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in parameters(function) if one.name in signals]
    setattr(forward, "__signature__", Signature([me, *taken]))  # noqa: B010
    usual = {**settings, **defaults}
    keyword_only = [Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in usual.items()]
    setattr(__init__, "__signature__", Signature([me, *keyword_only]))  # noqa: B010
    made = {"__doc__": part.__doc__, "__module__": part.__module__, "per_image": per_image}
    methods = {"forward": forward, "__init__": __init__, "build": build}
    called = getattr(part, "__name__", type(part).__name__ if with_module else "Own")
    return type(called, (Objective,), {**made, **methods})


def _settings(kind: type[Any], what: str) -> dict[str, Any]:
    """What the modules of a class are made from, with the defaults."""
    try:
        return inputs_and_options(kind, (), what)[1]
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; or hand over one that is made, {kind.__name__}(...).") from None


def _forward_of(part: Any) -> Callable[..., Any]:
    return partial(part.forward, None) if isinstance(part, type) else part.forward  # without `self`


def _module(part: Any, settings: Mapping[str, Any], what: str) -> nn.Module:
    """A module for one run: a copy of one, or a new one of a class."""
    made = part
    if not isinstance(part, nn.Module):
        with errors_of(what):
            made = part(**settings)
    check_ready(made, what)
    return private_copy(made, what) if made is part else made


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
