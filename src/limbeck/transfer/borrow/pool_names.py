"""What pools are called: each by a name of its own, whatever their order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from limbeck.data.class_names import printable
from limbeck.data.image_set import ImageSet
from limbeck.transfer.borrow.settings import PoolSettings


def distinct_names(settings: Sequence[PoolSettings], handed: Mapping[str, ImageSet] | None = None) -> list[str]:
    """What reports call each pool: the last part of its name, and as much more as it takes to tell it from others.

    Names do not hang on the order of the pools. Images that were handed over are called by their own name.

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
    """Names of one pool, the shorter first."""
    if settings.name in handed:
        return (handed[settings.name].name,)
    last = printable(Path(settings.name).name or Path(settings.name).absolute().name) or settings.name
    return last, f"{last}/{settings.split}", f"{printable(settings.name)}/{settings.split}"


def _text(settings: PoolSettings) -> str:
    return settings.model_dump_json()
