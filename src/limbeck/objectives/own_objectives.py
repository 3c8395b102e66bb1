"""Objectives that are not limbeck's own: entries made from a class, or from a function or module of signals."""

import math
from collections.abc import Callable, Mapping, Sequence
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
        UserError: it is none of these, or options have no plain default.
    """
    what = f"objective {name!r}"
    if hasattr(nn.ModuleDict, name):  # which holds the terms of a sum
        raise UserError(f"an objective cannot be called {name!r}, which is a method of torch's modules.")
    _check_kind(part, what)
    is_own = isinstance(part, type) and issubclass(part, Objective)
    check_remarks(remarks, _SAID if is_own else (*_SAID, "per_image"), what)
    objective_class: Any = part if is_own else objective_of(part, what, bool(remarks.get("per_image", False)))
    _, options = inputs_and_options(objective_class, (), what)
    for option, default in options.items():
        check_default(option, default, what)
    needs = _needs(objective_class, options, what)
    return ObjectiveEntry(
        objective_class.__name__,
        str(remarks.get("summary", summary_of(part))),
        str(remarks.get("paper", "")),
        int(remarks.get("year", 0)),
        needs,
        options,
        typical=dict(remarks.get("typical", {})),
        weight=_weight(remarks.get("weight", 1.0), what),
        aliases=_aliases(remarks.get("aliases", ()), name, what),
        made_by=objective_class,
    )


def _check_kind(part: Any, what: str) -> None:
    """Raises a UserError for what is neither a function of signals, nor a module, nor a class of modules."""
    if isinstance(part, Objective):
        raise UserError(
            f"{what} must be a class or a function, got a {type(part).__name__} that is made already; give its class, "
            "with its options beside the weight."
        )
    if not callable(part) or (isinstance(part, type) and not issubclass(part, nn.Module)):
        raise UserError(
            f"{what} must be a function of signals, a module of them or a subclass of `limbeck.objectives.Objective`, "
            f"got {part!r}."
        )


def _needs(objective_class: Any, options: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """Signals that the loss takes, and "teacher_head" where that is read."""
    needs = objective_class(**options).needs
    unknown = [need for need in needs if need not in SIGNALS]
    if unknown or not needs:
        raise UserError(
            f"the loss of {what} must take signals by name, got {', '.join(unknown) or 'none'}; there are "
            f"{', '.join(sorted(SIGNALS))}."
        )
    return (*needs, *(("teacher_head",) if objective_class.reads_teacher_head else ()))


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
    signals, defaults = _signals_and_options(function, what, with_module=with_module)
    if shared := sorted({*settings} & {*defaults}):
        raise UserError(f"option `{shared[0]}` of {what} is one of `__init__` and of `forward`; call one otherwise.")

    def forward(self: Any, **inputs: Any) -> Tensor:
        untaught = {
            name: _detached(signal) if name.startswith("teacher_") else signal for name, signal in inputs.items()
        }
        return _mean((self.module if with_module else part)(**untaught, **self.options), inputs, what)

    def __init__(self: Any, **options: OwnOption) -> None:
        Objective.__init__(self)
        self.options = {name: options.get(name, default) for name, default in defaults.items()}
        self.settings = {name: options.get(name, default) for name, default in settings.items()}
        if with_module:
            with own_randomness(0, "objective"):
                self.module = _module(part, self.settings, what)

    def build(self: Any, setup: Setup) -> None:
        """Makes the module of a class anew, so that its initial weights are those of the run's seed."""
        if isinstance(part, type):
            self.module = _module(part, self.settings, what)

    # The signals of a loss and the options of a class are read from their signatures.
    _set_signature(forward, [parameter for parameter in parameters(function) if parameter.name in signals])
    _set_signature(__init__, [_option(name, default) for name, default in {**settings, **defaults}.items()])
    attributes = {"__doc__": part.__doc__, "__module__": part.__module__, "per_image": per_image}
    methods = {"forward": forward, "__init__": __init__, "build": build}
    class_name = getattr(part, "__name__", type(part).__name__ if with_module else "Own")
    return type(class_name, (Objective,), {**attributes, **methods})


def _signals_and_options(
    function: Callable[..., Any], what: str, *, with_module: bool
) -> tuple[list[str], dict[str, Any]]:
    """Parameters of a loss that are signals, and the others with their defaults."""
    try:
        return inputs_and_options(function, SIGNALS, what)
    except UserError as error:
        if not with_module:
            raise
        raise UserError(
            f"{str(error).rstrip('.')}. A module that takes others is called by a function of signals, as in `lambda "
            "student_logits, labels: loss(student_logits, labels)`."
        ) from None


def _mean(loss: Any, inputs: Mapping[str, Any], what: str) -> Tensor:
    """The mean of a loss [] or [B], where B is the length of one of the inputs, if any has one."""
    counts = {len(signal) for signal in inputs.values() if isinstance(signal, Tensor) and signal.ndim}
    if not isinstance(loss, Tensor) or loss.ndim > 1 or (loss.ndim and counts and len(loss) not in counts):
        got = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UserError(f"{what} must return a loss [], or one for each image [B], got {got}.")
    return loss.mean()


def _set_signature(method: Callable[..., Any], keywords: Sequence[Parameter]) -> None:
    """Makes a method of `**kwargs` say which keywords it takes."""
    keyword_only = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in keywords]
    signature = Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *keyword_only])
    setattr(method, "__signature__", signature)  # noqa: B010


def _option(name: str, default: OwnOption) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default)


def _settings(kind: type[Any], what: str) -> dict[str, Any]:
    """Options that the modules of a class are made with, and their defaults."""
    try:
        return inputs_and_options(kind, (), what)[1]
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}; or hand over one that is made, {kind.__name__}(...).") from None


def _forward_of(part: Any) -> Callable[..., Any]:
    return partial(part.forward, None) if isinstance(part, type) else part.forward  # without `self`


def _module(part: Any, settings: Mapping[str, Any], what: str) -> nn.Module:
    """A module for one run: a copy of one, or a new one of a class."""
    module = part
    if not isinstance(part, nn.Module):
        with errors_of(what):
            module = part(**settings)
    check_ready(module, what)
    return private_copy(module, what) if module is part else module


def _detached(signal: Any) -> Any:
    """The teacher's outputs, detached, so that no loss teaches it."""
    return tuple(map(_detached, signal)) if isinstance(signal, tuple) else signal.detach()


def _weight(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"the `weight` of {what} must be a finite number >= 0, got {value!r}.")
    return float(value)


def _aliases(aliases: Any, name: str, what: str) -> tuple[str, ...]:
    if isinstance(aliases, str) or not all(isinstance(alias, str) for alias in aliases):
        raise UserError(f"the `aliases` of {what} must be a list of names, got {aliases!r}.")
    for alias in aliases:
        if alias in NAMES.own or (alias != name and alias in NAMES.catalogue):
            raise UserError(f"{what} cannot have the alias {alias!r}: that is another objective.")
    return tuple(aliases)
