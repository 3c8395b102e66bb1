"""What was chosen and what was left out, in numbers that fit on a page: of any number of images, in constant memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from limbeck.transfer.score_table.radix import sortable

Array = NDArray[Any]
Rows = Callable[[], Iterator[Mapping[str, Array]]]
"""A pass over all images that were considered, batch by batch: "id" int64 `[B]`, "chosen" bool `[B]` and, where known,
"source" (names), "label" and "group" int64 `[B]` (-1 for none) and "score" float64 `[B]` (NaN for none)."""

BINS = 64
_SHARES = np.array([[0.001, 0.5, 0.999], [0.01, 0.5, 0.99]])  # tails and medians of all images, and of the chosen
_FAR = 4  # times the width between the tails: from there on bins leave out what lies beyond these
_MOST_OUTSIDE = 0.1  # share of the images that bins of logarithms may leave out
_WHOLE = 2.0**32  # numbers beyond it are binned as if they were no whole ones
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
        median, chosen_median: the lower one of two; None where it is infinite, or none is scored.
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
    """How the chosen images are spread over classes, groups or sources.

    Attributes:
        sizes, chosen: images in each of G parts, all and chosen; empty parts count.
        order: which end of the scores the chosen have in every part that was divided; None where they have none.
        lines: the score at which the chosen of each part begin, None in parts that were not divided; empty without an
            order.
        names: of sources; classes and groups are known by their numbers.
    """

    sizes: tuple[int, ...]
    chosen: tuple[int, ...]
    order: Literal["highest", "lowest"] | None = None
    lines: tuple[float | None, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """All images that were considered, and those of them that were chosen, in numbers.

    Attributes:
        whole: all images as one part.
        classes, groups, sources: None where there are no labels, no groups, no names of sources.
        scores: None where there are none.
    """

    whole: Shares
    classes: Shares | None
    groups: Shares | None
    scores: Distribution | None
    sources: Shares | None = None

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
        kinds = ("whole", "classes", "groups", "sources")
        shares = {kind: found[kind] and Shares(**_tuples(found[kind])) for kind in kinds if kind in found}
        return cls(**shares, scores=found["scores"] and Distribution(**_tuples(found["scores"])))


def summarise(rows: Rows) -> Summary:
    """The numbers of a table, which is read a few times.

    Args:
        rows: gives the same images whenever it is called, at least one.
    """
    tallies = {name: _Tally() for name in ("whole", "label", "group", "source")}
    sources: dict[str, int] = {}
    scored = _Scored()
    for batch in rows():
        parts = {**batch, "whole": np.zeros(len(batch["chosen"]), dtype=np.int64)}
        if "source" in batch:
            parts["source"] = _numbered(batch["source"], sources)
        for name, tally in tallies.items():
            if name in parts:
                tally.add(parts[name], batch["chosen"], batch.get("score"))
        scored.add(batch)
    assert len(tallies["whole"].sizes), "there are images"
    whole, classes, groups, named = (tally.shares() if len(tally.sizes) else None for tally in tallies.values())
    assert whole is not None
    if named is not None:
        named = Shares(named.sizes, named.chosen, named.order, named.lines, tuple(sources))
    return Summary(whole, classes, groups, _distribution(rows, scored), named)


def _numbered(names: Array, known: dict[str, int]) -> Array:
    """Numbers int64 `[B]` of names, new ones after those known."""
    encoded = pa.array(np.ascontiguousarray(names), pa.string()).dictionary_encode()
    places = [known.setdefault(name, len(known)) for name in encoded.dictionary.to_pylist()]
    return np.array(places, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]


class _Tally:
    """Images of each part, all and chosen, and the ends of their scores."""

    def __init__(self) -> None:
        self.sizes = self.chosen = np.zeros(0, dtype=np.int64)
        self.ends = np.zeros((4, 0))  # least and most of the chosen, least and most of the others
        self.scored = True

    def add(self, parts: Array, chosen: Array, scores: Array | None) -> None:
        known = parts >= 0
        self._grow(int(parts.max(initial=-1)) + 1)
        self.sizes += np.bincount(parts[known], minlength=len(self.sizes))
        self.chosen += np.bincount(parts[chosen & known], minlength=len(self.sizes))
        self.scored = self.scored and scores is not None
        if scores is not None:
            for place, among in ((0, chosen & known), (2, ~chosen & known)):
                with np.errstate(invalid="ignore"):  # a part with an image without a score has no order
                    np.minimum.at(self.ends[place], parts[among], scores[among])
                    np.maximum.at(self.ends[place + 1], parts[among], scores[among])

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
        drawn = divided[: len(lines)] & np.isfinite(lines)
        known = tuple(float(line) if one else None for line, one in zip(lines, drawn, strict=True))
        return Shares(tuple(self.sizes.tolist()), tuple(self.chosen.tolist()), order, known)


class _Scored:
    """How many images have a score, all and chosen, and what the finite scores lie between."""

    def __init__(self) -> None:
        self.counts = np.zeros(2, dtype=np.int64)
        self.lowest, self.highest, self.least_positive = np.inf, -np.inf, np.inf
        self.whole_numbers = True

    def add(self, batch: Mapping[str, Array]) -> None:
        for scores, chosen in _scores(lambda: iter([batch])):
            self.counts += len(scores), int(chosen.sum())
            finite = scores[np.abs(scores) < _HUGE]
            self.lowest = min(self.lowest, finite.min(initial=np.inf))
            self.highest = max(self.highest, finite.max(initial=-np.inf))
            self.least_positive = min(self.least_positive, finite[finite > 0].min(initial=np.inf))
            near = np.abs(finite) < _WHOLE
            self.whole_numbers = self.whole_numbers and bool((near & (finite == np.rint(finite))).all())


def _scores(rows: Rows) -> Iterator[tuple[Array, Array]]:
    """Scores `[B]` and whether each image was chosen, of those that have a score."""
    for batch in rows():
        if "score" in batch:
            known = ~np.isnan(batch["score"])
            yield batch["score"][known], batch["chosen"][known]


def _distribution(rows: Rows, scored: _Scored) -> Distribution | None:
    """Bins over the scores; of their logarithms where most would lie in the first bin and the scores allow it."""
    if scored.lowest > scored.highest:
        return None
    lowest, highest = float(scored.lowest), float(scored.highest)
    quantiles = _quantiles(rows, scored.counts)
    ends = _without_far(quantiles, lowest, highest)
    logarithmic = lowest >= 0 and not scored.whole_numbers and quantiles[0, 1] - ends[0] < (ends[1] - ends[0]) / BINS
    start, width, counts = _binned(rows, ends, whole_numbers=scored.whole_numbers)
    if logarithmic:
        with np.errstate(divide="ignore"):
            on_logarithms = np.log10(quantiles.clip(min=0)), np.log10(scored.least_positive), np.log10(highest)
        found = _binned(rows, _without_far(*on_logarithms), logarithmic=True)
        logarithmic = scored.counts[0] - found[2][0].sum() < _MOST_OUTSIDE * scored.counts[0]
        start, width, counts = found if logarithmic else (start, width, counts)
    medians = [float(median) if np.isfinite(median) else None for median in quantiles[:, 1]]
    return Distribution(
        lowest=lowest,
        highest=highest,
        start=float(start),
        width=float(width),
        logarithmic=bool(logarithmic),
        counts=tuple(counts[0].tolist()),
        chosen=tuple(counts[1].tolist()),
        outside=int(scored.counts[0] - counts[0].sum()),
        median=medians[0],
        chosen_median=medians[1],
    )


def _quantiles(rows: Rows, counts: Array) -> Array:
    """The scores `[2, 3]` in which `_SHARES` of all images and of the chosen ones end; NaN of no images.

    Exact: scores as sortable keys of 64 bits, of which each pass finds 16 more by counting how often each value of
    these occurs among the keys that begin as the wanted one does.
    """
    ranks = np.ceil(_SHARES * counts[:, None]).clip(min=1).astype(np.int64)
    found = np.zeros((2, 3), dtype=np.uint64)
    bits, mask = np.uint64(16), np.uint64(2**16 - 1)
    for shift in (48, 32, 16, 0):
        digits = np.zeros((2, 3, 2**16), dtype=np.int64)
        for scores, chosen in _scores(rows):
            for which, some in enumerate((scores, scores[chosen])):
                keys = sortable(some, descending=False) >> np.uint64(shift)
                for place in range(3):
                    own = keys[keys >> bits == found[which, place]] & mask
                    np.add.at(digits[which, place], own.astype(np.int64), 1)
        for place in np.ndindex(2, 3):
            below = digits[place].cumsum()
            digit = min(int(np.searchsorted(below, ranks[place])), 2**16 - 1)
            ranks[place] -= below[digit] - digits[place][digit]
            found[place] = found[place] << bits | np.uint64(digit)
    negative = found < np.uint64(2**63)
    scores = np.where(negative, ~found, found ^ np.uint64(2**63)).view(np.float64)
    return np.where(counts[:, None] > 0, scores, np.nan)


def _without_far(quantiles: Array, lowest: float, highest: float) -> tuple[float, float]:
    """The ends of all scores; of those between the tails, with some room, where the rest would squeeze these."""
    low, high = np.nanmin(quantiles), np.nanmax(quantiles)
    low, high = (float(np.clip(one, lowest, highest)) for one in (low, high))
    room = (high - low) / 20
    low, high = max(low - room, lowest), min(high + room, highest)
    return (low, high) if (high - low) * _FAR < highest - lowest else (lowest, highest)


def _binned(
    rows: Rows, ends: tuple[float, float], *, whole_numbers: bool = False, logarithmic: bool = False
) -> tuple[float, float, Array]:
    """Start and width of the bins, and the images in each, all and chosen, int64 `[2, B]`."""
    low, high = ends
    bins, width = (BINS, (high - low) / BINS) if high > low else (1, 0.0)
    if whole_numbers:
        low, high = np.floor(low) - 0.5, np.ceil(high) + 0.5
        width = np.ceil((high - low) / BINS)
        bins = int(np.ceil((high - low) / width))
        high = low + width * bins
    counts = np.zeros((2, bins), dtype=np.int64)
    for scores, chosen in _scores(rows):
        if logarithmic:
            scores = np.log10(scores, out=np.full(len(scores), -np.inf), where=scores > 0)
        inside = (scores >= low) & (scores <= high)
        places = ((scores[inside] - low) / (width or 1.0)).astype(np.int64).clip(max=bins - 1)
        counts[0] += np.bincount(places, minlength=bins)
        counts[1] += np.bincount(places[chosen[inside]], minlength=bins)
    return low, width, counts


def _tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists alone."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
