"""What the options of criteria mean and may be: those of limbeck's own representations, scores and allocations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.errors import UserError, unknown_name
from limbeck.transfer.parts import IMPLEMENTATIONS

PART_OPTIONS: Mapping[str, str] = {
    "epochs": "how many times the network that is trained sees the images, a whole number >= 1",
    "model": "the network that is trained, a name of `limbeck ls models`",
    "networks": "how many networks the mean is taken over, each of a seed of its own, a whole number >= 1",
    "temperature": "what logits are divided by, a number > 0",
    "eps": "what is added to a share inside the logarithm of its entropy, as published by default, a number >= 0",
    "clusters": "how many clusters, of each class where the allocation goes by class, a whole number >= 1",
    "fewest": "the smallest number of clusters that is tried where `clusters` is not given, a whole number >= 2",
    "most": "the largest number of clusters that is tried, a whole number >= `fewest`",
    "step": "from one number of clusters that is tried to the next, a whole number >= 1",
    "sample": "how many images numbers of clusters are tried on, a whole number >= 10",
    "components": "dimensions of the t-SNE map in which clusters are found, 1 or 2",
    "implementation": "whose t-SNE draws the map: scikit-learn, or openTSNE (`pip install 'limbeck[maps]'`)",
    "strata": "how many intervals of equal width the scores are cut into, a whole number >= 1",
    "cutoff": "share of the images that is left out as too hard, >= 0 and < 1",
}
"""Option -> what it is and what it may be, for documentation."""

_WITHOUT: Mapping[str, str] = {
    "clusters": "the one of `fewest`, `fewest` + `step` ... `most` whose clusters have the highest silhouette",
    "cutoff": "0.3 where at most a tenth of the images is kept, 0.2 where at most a fifth is, and 0 above",
}
"""Option whose default is null -> what that means."""

_AT_LEAST = {"cutoff": 0.0, "eps": 0.0, "fewest": 2, "most": 2, "sample": 10}
"""Smallest value of an option; 1 for all others."""


def option_text(name: str, default: Any) -> str:
    """What an option of a part is, what it may be, and what null means where that is its default, for documentation.

    Example:
        >>> option_text("clusters", 100)
        'how many clusters, of each class where the allocation goes by class, a whole number >= 1'
    """
    null = f"; null for {_WITHOUT[name]}" if default is None and name in _WITHOUT else ""
    return PART_OPTIONS.get(name, "") + null


def has_options(options: Mapping[str, Any]) -> str:
    """What errors about an option add if the parts of the criterion have no options."""
    return "" if options else "Its parts have no options."


def checked_options(options: Any) -> dict[str, Any]:
    """The options of a criterion as a dict, name -> value.

    Raises:
        UserError: they are not a mapping.
    """
    if not isinstance(options, Mapping):
        raise UserError(f"`options` of a criterion must be a mapping, got {options!r}; give name: value of each.")
    return dict(options)


def check_one_part(name: Any, parts: Sequence[str], known: Mapping[str, Any], criterion: str) -> None:
    """Checks that exactly one part has an option.

    Args:
        name: of the option.
        parts: those of the criterion that have the option.
        known: all options that the criterion's parts have.
        criterion: its name.

    Raises:
        UserError: no part has it, or several do.
    """
    if not parts:
        raise unknown_name(f"option of criterion {criterion!r}:", str(name), known, has_options(known))
    if len(parts) > 1:
        raise UserError(
            f"`{name}` must be an option of one part of criterion {criterion!r} to be set, got one of "
            f"{' and '.join(parts)}; leave it out, so that each keeps its default, or choose other parts."
        )


def check_part_option(name: str, value: Any, default: Any) -> None:
    """Checks an option of one of limbeck's own parts; None is allowed where it is the default.

    Raises:
        UserError: its type is not that of the default, or it is out of range.
    """
    if (value, default) == (None, None):
        return
    default = 0.0 if name == "cutoff" else default  # whose default depends on the budget
    kinds = {str: str, float: (int, float)}.get(type(default), int)
    if isinstance(value, bool) or not isinstance(value, kinds):
        what = {str: "a name", float: "a number"}.get(type(default), "a whole number")
        raise UserError(f"`{name}` of a criterion must be {what}, got {value!r}.")
    if name == "implementation" and value not in IMPLEMENTATIONS:
        raise unknown_name("`implementation` of a criterion:", str(value), IMPLEMENTATIONS)
    if isinstance(value, str):
        return
    if name == "temperature":
        if not 0 < value < math.inf:
            raise UserError(f"`temperature` of a criterion must be above 0 and finite, got {value}.")
        return
    least = _AT_LEAST.get(name, 1)
    if not value >= least:  # NaN is not either
        raise UserError(f"`{name}` of a criterion must be at least {least}, got {value}.")
    if name == "cutoff" and value >= 1:
        raise UserError(f"`cutoff` of a criterion must be a share below 1, got {value}.")
    if name == "components" and value > 2:
        raise UserError(f"`components` of a criterion must be 1 or 2, got {value}; t-SNE maps to no more.")


def check_together(options: Mapping[str, Any], defaults: Mapping[str, Any], order: str) -> None:
    """Raises a UserError where options of a criterion, name -> value or default, contradict each other or its order."""
    given = [name for name in ("fewest", "most", "step", "sample") if options.get(name) != defaults.get(name)]
    if options.get("clusters") != defaults.get("clusters") and given:
        raise UserError(
            f"`{given[0]}` of a criterion is for finding how many clusters there are, and `clusters` says so, got "
            f"{options['clusters']}; leave one of them out."
        )
    fewest, most = options.get("fewest"), options.get("most")
    if fewest is not None and most is not None and fewest > most:
        raise UserError(f"`fewest` clusters of a criterion must be at most `most`, got {fewest} and {most}.")
    if order == "random" and options.get("cutoff"):
        raise UserError("`cutoff` leaves out the hardest images, of which order 'random' knows none; set it to 0.")
