"""Names of the optimisers, without importing torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.catalogue import Catalogue
from limbeck.errors import unknown_name
from limbeck.import_paths import FROM_PYTHON
from limbeck.training.parts import check_names, name_and_options

MODULE = "torch.optim"


@dataclass(frozen=True)
class OptimizerEntry:
    """What a user needs to know before choosing an optimiser.

    Attributes:
        summary: one line for listings.
        options: with their defaults.
        settings: settings of training that it reads: "learning_rate", "weight_decay" and so on.
        check: raises a UserError for invalid options, or where it cannot train or be resumed.
        made_by: makes it from parameters, `lr`, `weight_decay` if it has one, and options.
    """

    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ("learning_rate", "weight_decay")
    check: Callable[..., object] = dict
    made_by: Callable[..., Any] | None = None


_OWN = {
    "sgd": OptimizerEntry(
        "stochastic gradient descent", settings=("learning_rate", "momentum", "nesterov", "weight_decay")
    ),
    "adamw": OptimizerEntry("Adam with decoupled weight decay"),
}
OPTIMIZERS: Catalogue[OptimizerEntry] = Catalogue("optimizers", _OWN, "limbeck.training.own_optimizers:describe")
_SAME_IN_TORCH = {"sgd": f"{MODULE}:SGD", "adamw": f"{MODULE}:AdamW"}


def check_optimizer(spec: Any) -> Any:
    """Raises a UserError for an invalid optimiser; returns `spec` with objects replaced by their names.

    Args:
        spec: a name, also that of a class of `torch.optim` in any case; an import path; in Python, a class or a
            function of parameters and a rate; or a mapping from one of these to its options.

    Example:
        >>> check_optimizer("AdamW"), check_optimizer({"radam": {"eps": 1e-6}})
        ('adamw', {'torch.optim:RAdam': {'eps': 1e-06}})
    """
    name, options = name_and_options(OPTIMIZERS.named(spec), "optimizer")
    name = _found(name)
    if name in OPTIMIZERS.built_in and not options:
        return name
    entry = OPTIMIZERS[_SAME_IN_TORCH.get(name, name)]
    check_names(options, entry.options, f"optimizer {name!r}", taken=_taken(name, entry))
    entry.check(**options)
    return {name: options} if options else name


def _found(name: str) -> str:
    """The name in the catalogue, or the canonical import path of a class of torch."""
    if name.startswith(MODULE):
        name = name.rpartition(":")[2]
    if name in OPTIMIZERS or name.startswith(FROM_PYTHON):
        return name
    if name.casefold() in _SAME_IN_TORCH:
        return name.casefold()
    from torch import optim

    classes = {
        class_name.casefold(): class_name
        for class_name in optim.__all__
        if isinstance(getattr(optim, class_name, None), type)
    }
    classes.pop("optimizer", None)
    if name.casefold() not in classes:
        hint = (
            "`limbeck ls optimizers` lists limbeck's; any class of torch.optim will do, and 'module:name' of your own"
        )
        raise unknown_name("optimizer", name, [*OPTIMIZERS, *classes.values()], hint)
    return f"{MODULE}:{classes[name.casefold()]}"


def _taken(name: str, entry: OptimizerEntry) -> Mapping[str, str]:
    """Options that are given by settings of training -> the setting."""
    settings = OPTIMIZERS.built_in[name].settings if name in OPTIMIZERS.built_in else entry.settings
    return {"lr" if setting == "learning_rate" else setting: setting for setting in settings}
