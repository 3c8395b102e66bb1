"""Settings of `condense` that have no effect because of others. torch is not imported."""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from limbeck.transfer.condense.network_of_experts import is_network_in

if TYPE_CHECKING:
    from limbeck.transfer.condense.settings import CondenseSettings

_GROUPS = {"matching": "trajectories", "distribution": "distribution", "crops": "crops"}


class _Reader(NamedTuple):
    is_there: Callable[["CondenseSettings"], bool]
    lacking: str


_OF_DISTANCE = _Reader(
    lambda settings: settings.by != "distribution" or settings.distribution.distance == "characteristic",
    "`distribution.distance` is not 'characteristic'",
)
_OF_CALIBRATION = _Reader(
    lambda settings: settings.by != "distribution" or settings.distribution.calibration > 0,
    "`distribution.calibration` is 0",
)
_IDLE_EXPERTS = "nothing is learned, labelled or looked at by experts"
_READERS = {
    "experts": _Reader(lambda settings: settings.reads_trajectories or settings.reads_judges, _IDLE_EXPERTS),
    "initialise": _Reader(lambda settings: settings.by != "crops", "`by: crops` begins with crops"),
    "views": _Reader(lambda settings: settings.by != "crops", "`by: crops` learns nothing"),
    "keep": _Reader(lambda settings: settings.by != "crops" or settings.keep == "uint8", "`by: crops` keeps 8 bits"),
    "distribution.frequencies": _OF_DISTANCE,
    "distribution.phase": _OF_DISTANCE,
    "distribution.image_momentum": _Reader(
        lambda settings: settings.by != "distribution" or settings.distribution.optimizer == "sgd",
        "`distribution.optimizer` is not 'sgd'",
    ),
    "distribution.calibrate": _OF_CALIBRATION,
    "distribution.calibration_within": _OF_CALIBRATION,
    "use.temperature": _Reader(lambda settings: not settings.own_labels, "no teacher is asked about views of the set"),
}


def unread_settings(settings: "CondenseSettings") -> list[str]:
    """Settings that are neither the method's nor the default and have no effect; sentences without full stops.

    Example:
        >>> from limbeck.transfer.condense import Settings
        >>> unread_settings(Settings(budget="1/class", method="dm", matching={"drop": 0.5}))
        ['`matching` is of `by: trajectories`, and nothing of it is read by `by: distribution`']
        >>> unread_settings(Settings(budget="1/class", method="dm", experts={"count": 2}))
        ['`experts` changes nothing: nothing is learned, labelled or looked at by experts']
    """
    kind = type(settings)
    usual = [kind.model_validate({"budget": settings.budget, "method": settings.method}), kind.model_construct()]
    idle = [
        f"`{name}` is of `by: {by}`"
        for name, by in _GROUPS.items()
        if settings.by != by and _differs(settings, usual, name)
    ]
    groups = [f"{', '.join(idle)}, and nothing of it is read by `by: {settings.by}`"] if idle else []
    return groups + [
        f"`{name}` changes nothing{_but(settings, name)}: {reader.lacking}"
        for name, reader in _READERS.items()
        if not reader.is_there(settings) and _differs(settings, usual, name)
    ]


def _but(settings: "CondenseSettings", name: str) -> str:
    """An exception for a sentence: experts that nothing reads may still have provided the network."""
    folder = settings.experts.folder if name == "experts" else None
    if folder is None or not is_network_in(folder, settings.network):
        return ""
    return " but `network`, which is that of `experts.folder`"


def _differs(settings: "CondenseSettings", usual: "list[CondenseSettings]", name: str) -> bool:
    value = attrgetter(name)
    return value(settings) not in [value(default) for default in usual]
