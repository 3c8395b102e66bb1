"""Signs that a generator has collapsed, each with what to try: for the terminal while it runs, and for the report.

They use what is noted of every round, and no data. None of them proves that images are good: batch-norm loss,
agreement and divergence may all look well while a student learns nothing.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from limbeck.transfer.generate.history import Round
from limbeck.transfer.words import few, percent

_LAST = 3  # rounds that are looked at together, since one alone is noisy
_FEW_DISTINCT = 0.5  # share of the images made
_NEAR_ZERO, _OF_HIGHEST = 1e-3, 0.01  # divergence in nats, and of the highest so far
# Divergence over log K, the divergence of a student that knows nothing from a teacher that is sure. In short runs on
# digits no round of any of the nine methods came below 0.017, 85 times as much.
_NOTHING = 2e-4
_IMAGES_EACH = 10  # of an even share, before a class without any is a sign
_LOW = 0.5  # of the highest batch-norm loss
_SPREAD_LEFT = 0.25  # of the widest


class Sign(NamedTuple):
    """One sign.

    Attributes:
        kind: its name, the same in every round.
        sentence: what is to be seen, without its full stop.
        advice: what to try, without its full stop.
    """

    kind: str
    sentence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.sentence}; {self.advice}"


def signs_of_collapse(rounds: Sequence[Round], classes: Sequence[str], *, floor: float | None = None) -> list[Sign]:
    """All signs that hold after the last of some rounds.

    Args:
        rounds: from the first on.
        classes: names of the teacher's classes.
        floor: batch-norm loss of real images, summed over layers, where it is known; below it, it is low.

    Example:
        >>> made = [Round(number=0, made=64, held=64, distinct=3, counts=[60, 4])]
        >>> [sign.kind for sign in signs_of_collapse(made, ["cat", "dog"])]
        ['distinct', 'crowded']
    """
    if not rounds:
        return []
    signs = (look(rounds, classes, floor) for look in _LOOKS)
    return [sign for sign in signs if sign is not None]


def fresh_signs(rounds: Sequence[Round], classes: Sequence[str], *, floor: float | None = None) -> list[Sign]:
    """Signs that hold after the last round and did not before it, in a resumed run as well.

    Args:
        rounds, classes, floor: see `signs_of_collapse`.

    Example:
        >>> one = Round(number=0, made=64, held=64, distinct=3, counts=[30, 34])
        >>> [len(fresh_signs([one] * count, ["cat", "dog"])) for count in (1, 2)]
        [1, 0]
    """
    before = {sign.kind for sign in signs_of_collapse(rounds[:-1], classes, floor=floor)}
    return [sign for sign in signs_of_collapse(rounds, classes, floor=floor) if sign.kind not in before]


def _alike(rounds: Sequence[Round], classes: Sequence[str], floor: float | None) -> Sign | None:
    recent = _last(rounds)
    made, distinct = sum(row.made for row in recent), sum(row.distinct for row in recent)
    if not made or distinct >= _FEW_DISTINCT * made:
        return None
    return Sign(
        "distinct",
        f"Only {distinct:,} of the {made:,} images of {_of(recent)} differ from one another",
        "try a lower `losses.batch_norm`, more `generator.latents`, a higher `latent_rate`, or a generator that starts "
        "afresh (`generator.renew`)",
    )


def _spread(rounds: Sequence[Round], classes: Sequence[str], floor: float | None) -> Sign | None:
    widest = max((row.spread for row in rounds if row.spread is not None), default=0.0)
    recent = [row for row in _last(rounds) if row.spread is not None]
    latest = _mean([row.spread for row in recent if row.spread is not None])
    if len(rounds) <= _LAST or math.isnan(latest) or latest >= _SPREAD_LEFT * widest:
        return None
    return Sign(
        "spread",
        f"Images of a class look ever more alike to the teacher: their spread fell from {widest:.2g} to {latest:.2g}",
        "try a lower `losses.one_hot`, a limit to its growth (`growth.most`), or `losses.contrast`",
    )


def _empty(rounds: Sequence[Round], classes: Sequence[str], floor: float | None) -> Sign | None:
    counts = _counts(rounds)
    if not len(counts) or int(counts.sum()) < _IMAGES_EACH * len(counts) or bool(counts.all()):
        return None
    lacking = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    have = "has no image" if len(lacking) == 1 else "have no images"
    return Sign(
        "empty",
        f"{len(lacking):,} of {len(classes):,} classes {have} after round {rounds[-1].number + 1} ({few(lacking)})",
        "try `labels: balanced` with a higher `losses.one_hot`, or `generator.conditional: true`",
    )


def _crowded(rounds: Sequence[Round], classes: Sequence[str], floor: float | None) -> Sign | None:
    counts = _counts(rounds)
    total = int(counts.sum())
    if total < _IMAGES_EACH * len(counts) or len(counts) < 2 or int(counts.max()) / total <= (1 + 1 / len(counts)) / 2:
        return None
    return Sign(
        "crowded",
        f"{percent(int(counts.max()), total)} of the images are {classes[int(counts.argmax())]!r} to the teacher",
        "try a higher `losses.one_hot`, or `losses.balance`",
    )


def _disobedient(rounds: Sequence[Round], classes: Sequence[str], floor: float | None) -> Sign | None:
    recent = [row for row in _last(rounds) if row.obtained is not None and row.one_hot_weight > 0]
    made, chance = sum(row.made for row in recent), 1 / max(len(classes), 1)
    if not made or (len(rounds) <= _LAST and len(rounds) > 1):
        return None
    share = sum(row.made * (row.obtained or 0.0) for row in recent) / made
    if share > chance + 3 * math.sqrt(chance * (1 - chance) / made) or not _low(rounds, floor):
        return None
    return Sign(
        "obtained",
        f"{percent(share, 1)} of the images of {_of(recent)} are of the class that was wanted, as by chance "
        f"({percent(chance, 1)}), while the batch-norm loss is low",
        "try a higher `losses.one_hot` or a lower `losses.batch_norm`, `growth`, or `generator.conditional: true`",
    )


def _nothing_to_learn(rounds: Sequence[Round], classes: Sequence[str], floor: float | None) -> Sign | None:
    values = [row.distillation for row in rounds if row.distillation is not None]
    latest = _mean(values[-_LAST:])
    # A loss that fell to near zero was learned; one that was never above it had nothing to teach.
    fell = bool(values) and latest < _NEAR_ZERO and latest < _OF_HIGHEST * max(values)
    if len(values) <= _LAST or not (fell or latest < _NOTHING * math.log(max(len(classes), 2))):
        return None
    return Sign(
        "distillation",
        f"The distillation loss is near zero ({latest:.1g}): the student has nothing more to learn from these images",
        "that is collapse rather than success while rounds go on: look at the images, and try a higher "
        "`losses.adversarial`, or fewer student steps a round (`steps_per_round`)",
    )


_Look = Callable[[Sequence[Round], Sequence[str], float | None], Sign | None]
_LOOKS: tuple[_Look, ...] = (_alike, _spread, _empty, _crowded, _disobedient, _nothing_to_learn)


def _last(rounds: Sequence[Round]) -> list[Round]:
    """The last few rounds that made images."""
    return [row for row in rounds if row.made][-_LAST:]


def _of(rounds: Sequence[Round]) -> str:
    first, last = rounds[0].number + 1, rounds[-1].number + 1
    return f"rounds {first} to {last}" if last > first else f"round {last}"


def _counts(rounds: Sequence[Round]) -> torch.Tensor:
    return torch.as_tensor(rounds[-1].counts)


def _low(rounds: Sequence[Round], floor: float | None) -> bool:
    """Whether the batch-norm loss is low, or is not measured."""
    values = [row.losses["batch_norm"] for row in rounds if "batch_norm" in row.losses]
    latest = _mean(values[-_LAST:])
    return not values or latest <= _LOW * max(values) or (floor is not None and latest <= floor)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
