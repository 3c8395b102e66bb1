"""Names of pools in reports: distinct, and independent of their order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from limbeck.data.class_names import printable
from limbeck.data.image_set import ImageSet
from limbeck.transfer.borrow.settings import PoolSettings


def distinct_names(settings: Sequence[PoolSettings], handed: Mapping[str, ImageSet] | None = None) -> list[str]:
    """Distinct names of the pools: the last part of each name, and as much more as distinguishes it from others.

    Names do not depend on the order of the pools. Images that were passed as Python objects keep their own name.

    Example:
        >>> named = ["cifar100", "a/photos", "b/photos"]
        >>> distinct_names([*(PoolSettings(name=one) for one in named), PoolSettings(name="cifar100", split="test")])
        ['cifar100/train', 'a/photos/train', 'b/photos/train', 'cifar100/test']
    """
    spelt = [_spellings(pool, handed or {}) for pool in settings]
    used = [0] * len(settings)
    while True:
        names = [spellings[level] for spellings, level in zip(spelt, used, strict=True)]
        counts = Counter(names)
        short = [row for row, name in enumerate(names) if counts[name] > 1 and used[row] + 1 < len(spelt[row])]
        if not short:
            break
        for row in short:
            used[row] += 1
    for name in [name for name, count in counts.items() if count > 1]:
        same = sorted((row for row, other in enumerate(names) if other == name), key=lambda row: _text(settings[row]))
        for number, row in enumerate(same, 1):
            names[row] = f"{name} ({number})"
    return names


def _spellings(settings: PoolSettings, handed: Mapping[str, ImageSet]) -> tuple[str, ...]:
    """Possible names of one pool, shortest first."""
    if settings.name in handed:
        return (handed[settings.name].name,)
    last = printable(Path(settings.name).name or Path(settings.name).absolute().name) or settings.name
    return last, f"{last}/{settings.split}", f"{printable(settings.name)}/{settings.split}"


def _text(settings: PoolSettings) -> str:
    return settings.model_dump_json()
