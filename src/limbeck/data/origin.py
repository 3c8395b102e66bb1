"""Where images came from: what is needed to load them again by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.data.place import path_text


@dataclass(frozen=True)
class Origin:
    """What `limbeck.load` was called with, or the folder of a transfer set.

    Only the fingerprint tells whether the images there are still the same.

    Attributes:
        name: a data set, folder, file or hub id, as text.
        split: as asked for.
        options: arguments of `limbeck.load` that differ from their defaults.
    """

    name: str
    split: str
    options: Mapping[str, Any] = field(default_factory=dict)


def origin_of_load(
    name: str | Path, split: str, *, root: str | Path | None, labels: bool, skip_unreadable: bool, **options: Any
) -> Origin | None:
    """The origin of what `limbeck.load` gives for these arguments; None with a `root`, which recipes do not have.

    Example:
        >>> origin_of_load("digits", "test", root=None, labels=True, skip_unreadable=False, size=16, channels=None)
        Origin(name='digits', split='test', options={'size': 16})
    """
    if root is not None:
        return None
    stated = {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items() if value is not None
    }
    stated |= {} if labels else {"labels": False}
    stated |= {"skip_unreadable": True} if skip_unreadable else {}
    return Origin(path_text(name), split, stated)
