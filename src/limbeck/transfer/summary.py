"""What a selection did, in numbers that fit on a page: from a table of any length, in memory that does not grow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = Callable[[], Iterator[Mapping[str, Array]]]
"""A pass over a table: "chosen" bool `[B]` and, where there are any, "score" float64 `[B]`, "label" and "group" int64
`[B]`, >= 0."""

BINS = 64
_FINE = 2**16
_TAILS = (0.001, 0.01)  # shares of all images and of the chosen ones that bins may leave out at each end
_SKEWED = 0.5  # share of the images in one bin from which on bins are of logarithms
_MOST_OUTSIDE = 0.1
_ZOOMS = 6
_NEAR = 1e-6
_HUGE = 1e300  # beyond it a difference of two scores may overflow


@dataclass(frozen=True)
class Distribution:
    """How the scores of all images and of the chosen ones are spread.

    Attributes:
        lowest, highest: of all finite scores.
        start, width: bin i holds the scores from start + i * width; of equal scores there is one bin of width 0.
        logarithmic: whether start and width are of the decimal logarithms of the scores, which then are >= 0.
        counts, chosen: images in each bin, all and chosen.
        outside: images whose scores are infinite (or 0 where bins are of logarithms), or so far from all others that
            the bins leave them out.
        median, chosen_median: the lower one of two, to six digits; None where it is infinite.
    """

    lowest: float
    highest: float
    start: float
    width: float
    logarithmic: bool
    counts: tuple[int, ...]
    chosen: tuple[int, ...]
    outside: int
    median: float | None
    chosen_median: float | None


@dataclass(frozen=True)
class Shares:
    """How the chosen images are spread over classes or clusters.

    Attributes:
        sizes, chosen: images in each of G groups, all and chosen; empty groups count.
        order: which end of the scores the chosen have in every group that was divided; None where they have none.
        lines: the score at which the chosen of each group begin, None in groups that were not divided; empty without
            an order.
    """

    sizes: tuple[int, ...]
    chosen: tuple[int, ...]
    order: Literal["highest", "lowest"] | None
    lines: tuple[float | None, ...]


@dataclass(frozen=True)
class Summary:
    """A selection in numbers.

    Attributes:
        whole: all images as one group.
        classes, groups: None where there are no labels, no clusters.
        scores: None where there are none.
    """

    whole: Shares
    classes: Shares | None
    groups: Shares | None
    scores: Distribution | None

    @property
    def images(self) -> int:
        return self.whole.sizes[0]

    @property
    def chosen(self) -> int:
        return self.whole.chosen[0]

    def to_dict(self) -> dict[str, Any]:
        """Json-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Summary":
        shares = {key: found[key] and Shares(**_tuples(found[key])) for key in ("whole", "classes", "groups")}
        return cls(**shares, scores=found["scores"] and Distribution(**_tuples(found["scores"])))


def summarise(rows: Rows) -> Summary:
    """The summary of a selection; reads its table a few times.

    Args:
        rows: gives the same batches whenever it is called, at least one image.
    """
    tallies = {name: _Tally() for name in ("whole", "label", "group")}
    lowest, highest, whole_numbers = np.inf, -np.inf, True
    for batch in rows():
        chosen, scores = batch["chosen"], batch.get("score")
        batch = {**batch, "whole": np.zeros(len(chosen), dtype=np.int64)}
        for name, tally in tallies.items():
            if name in batch:
                tally.add(batch[name], chosen, scores)
        if scores is not None and len(finite := scores[np.abs(scores) < _HUGE]):
            lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
            whole_numbers = whole_numbers and bool((finite == np.rint(finite)).all())
    whole, classes, groups = (tally.shares() if len(tally.sizes) else None for tally in tallies.values())
    assert whole is not None, "a selection has images"
    distribution = _distribution(rows, lowest, highest, whole_numbers) if lowest <= highest else None
    return Summary(whole, classes, groups, distribution)


class _Tally:
    """Counts and extreme scores of the chosen and of the others in every group."""

    def __init__(self) -> None:
        self.sizes = np.zeros(0, dtype=np.int64)
        self.chosen = np.zeros(0, dtype=np.int64)
        self.ends = np.zeros((4, 0))  # least and most of the chosen, least and most of the others
        self.scored = True

    def add(self, groups: Array, chosen: Array, scores: Array | None) -> None:
        if len(groups) == 0:
            return
        self._grow(int(groups.max()) + 1)
        self.sizes += np.bincount(groups, minlength=len(self.sizes))
        self.chosen += np.bincount(groups[chosen], minlength=len(self.sizes))
        self.scored = self.scored and scores is not None
        if scores is not None:
            for place, among in ((0, chosen), (2, ~chosen)):
                np.minimum.at(self.ends[place], groups[among], scores[among])
                np.maximum.at(self.ends[place + 1], groups[among], scores[among])

    def _grow(self, count: int) -> None:
        more = count - len(self.sizes)
        if more > 0:
            self.sizes, self.chosen = (np.pad(one, (0, more)) for one in (self.sizes, self.chosen))
            nothing = np.repeat([[np.inf], [-np.inf]] * 2, more, axis=1)
            self.ends = np.concatenate([self.ends, nothing], axis=1)

    def shares(self) -> Shares:
        divided = (self.chosen > 0) & (self.chosen < self.sizes)
        least, most, others_least, others_most = self.ends
        order, lines = None, np.zeros(0)
        if self.scored and divided.any():
            if (least >= others_most)[divided].all():
                order, lines = "highest", least
            elif (most <= others_least)[divided].all():
                order, lines = "lowest", most
        known = tuple(float(line) if one else None for line, one in zip(lines, divided, strict=False))
        return Shares(tuple(self.sizes.tolist()), tuple(self.chosen.tolist()), order, known)


def _distribution(rows: Rows, lowest: float, highest: float, whole_numbers: bool) -> Distribution:
    """Bins over the scores; of their logarithms where one bin would hold most images and the scores allow it."""
    if whole_numbers and highest - lowest < _FINE:
        found = _Counts(rows, _Grid(lowest - 0.5, 1.0, int(highest - lowest) + 1))
    else:
        found = _zoomed(rows, lowest, highest)
    medians = [_median(rows, found, which) for which in range(2)]
    logarithmic = False
    if highest > lowest >= 0 and max(found.coarse[0]) > _SKEWED * found.totals[0] and not whole_numbers:
        on_logarithms = _zoomed_logarithms(rows, highest)
        logarithmic = on_logarithms.outside < _MOST_OUTSIDE * found.totals[0]
        found = on_logarithms if logarithmic else found
    return Distribution(
        lowest=lowest,
        highest=highest,
        start=found.grid.start,
        width=found.grid.width * found.together,
        logarithmic=logarithmic,
        counts=tuple(found.coarse[0].tolist()),
        chosen=tuple(found.coarse[1].tolist()),
        outside=found.outside,
        median=medians[0],
        chosen_median=medians[1],
    )


def _zoomed(rows: Rows, lowest: float, highest: float) -> "_Counts":
    """Fine bins that leave out the farthest few scores, where these would squeeze all others into one corner."""
    width = (highest - lowest) / _FINE * (1 + 1e-12)  # so that rounding does not leave the highest outside
    found = _Counts(rows, _Grid(lowest, width, _FINE if highest > lowest else 1))
    for _ in range(_ZOOMS):
        inner = found.inner()
        if found.grid.bins == 1 or inner.width * 4 > found.grid.width:
            break
        found = _Counts(rows, inner)
    return found


def _zoomed_logarithms(rows: Rows, highest: float) -> "_Counts":
    def logarithms() -> Iterator[Mapping[str, Array]]:
        for batch in rows():
            scores = batch["score"]
            below = np.full(len(scores), -np.inf)
            yield {**batch, "score": np.log10(scores, out=below, where=scores > 0)}

    least = min(float(batch["score"][batch["score"] > -np.inf].min(initial=np.inf)) for batch in logarithms())
    return _zoomed(logarithms, least, float(np.log10(highest)))


def _median(rows: Rows, found: "_Counts", which: int) -> float | None:
    """Narrows its bin down, unless that holds a single whole number."""
    grid = found.grid
    for _ in range(_ZOOMS):
        place = found.quantile(which, 0.5)
        if not 0 <= place < grid.bins:
            return None
        grid = _Grid(grid.start + place * grid.width, grid.width / _FINE, _FINE)
        width = found.grid.width
        if width in (0.0, 1.0) or width < _NEAR * abs(grid.start):
            break
        found = _Counts(rows, grid)
    return grid.start + grid.width * grid.bins / 2


@dataclass(frozen=True)
class _Grid:
    start: float
    width: float
    bins: int

    @property
    def end(self) -> float:
        return self.start + self.width * self.bins


class _Counts:
    """How many scores lie in each bin of a grid, and below it: 0 of all images, 1 of the chosen ones."""

    def __init__(self, rows: Rows, grid: _Grid) -> None:
        self.grid = grid
        self.counts = np.zeros((2, grid.bins), dtype=np.int64)
        self.below = [0, 0]
        self.totals = [0, 0]
        for batch in rows():
            scores, chosen = batch["score"], batch["chosen"]
            self._add(0, scores)
            self._add(1, scores[chosen])

    def _add(self, which: int, scores: Array) -> None:
        inside = scores[(scores >= self.grid.start) & (scores <= self.grid.end)]
        places = ((inside - self.grid.start) / (self.grid.width or 1.0)).astype(np.int64).clip(max=self.grid.bins - 1)
        self.counts[which] += np.bincount(places, minlength=self.grid.bins)
        self.below[which] += int((scores < self.grid.start).sum())
        self.totals[which] += len(scores)

    @property
    def together(self) -> int:
        """How many of the fine bins make one that is drawn."""
        return -(-self.grid.bins // BINS)

    @property
    def coarse(self) -> Array:
        """Counts `[2, B]` of the bins that are drawn."""
        padded = np.pad(self.counts, ((0, 0), (0, -self.grid.bins % self.together)))
        return padded.reshape(2, -1, self.together).sum(2)

    @property
    def outside(self) -> int:
        return self.totals[0] - int(self.counts[0].sum())

    def quantile(self, which: int, share: float) -> int:
        """The bin in which this share of the images ends; -1 or the number of bins where that is outside."""
        rank, below = max(int(np.ceil(share * self.totals[which])), 1), self.below[which]
        return -1 if rank <= below else int(np.searchsorted(below + np.cumsum(self.counts[which]), rank))

    def inner(self) -> _Grid:
        """The grid that holds all but the tails, with some room."""
        first = min(self.quantile(which, tail) for which, tail in enumerate(_TAILS))
        last = max(self.quantile(which, 1 - tail) for which, tail in enumerate(_TAILS))
        room = (last - first + 1) // 20 + 1
        first, last = max(first - room, 0), min(last + room, self.grid.bins - 1)
        width = self.grid.width * (last - first + 1) / _FINE
        return _Grid(self.grid.start + first * self.grid.width, width, _FINE)


def _tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists alone."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
