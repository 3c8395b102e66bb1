"""Statistics of what was chosen and what was left out, for any number of images in constant memory."""

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
_FAR = 4  # bins leave out scores beyond the tails where the full range is wider than so many times theirs
_MOST_OUTSIDE = 0.1  # share of the images that bins of logarithms may leave out
_WHOLE = 2.0**32  # numbers beyond it are not binned as whole numbers
_HUGE = 1e300  # beyond it a difference of two scores may overflow
_PARTS = {"whole": pa.int64(), "label": pa.int64(), "group": pa.int64(), "source": pa.string()}
_COUNTED = [([], "count_all"), ("score", "count"), ("score", "min"), ("score", "max")]
_MERGED = [("count_all", "sum"), ("score_count", "sum"), ("score_min", "min"), ("score_max", "max")]


@dataclass(frozen=True)
class Distribution:
    """Histograms of the scores of all images and of the chosen ones.

    Attributes:
        lowest, highest: of all finite scores.
        start, width: bin i holds the scores from start + i * width; equal scores give one bin of width 0.
        logarithmic: whether start and width are of the decimal logarithms of the scores, all of which are >= 0 then.
        counts, chosen: images in each bin, all and chosen.
        outside: images in no bin: their scores are infinite (or 0 if bins are logarithmic), or far from all others.
        median, chosen_median: the lower of two; None if it is infinite or no image is scored.
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
    """How many images of each class, group or source were chosen.

    Attributes:
        sizes, chosen: images in each of G parts, all and chosen; empty parts count.
        order: the end of the scores that the chosen images occupy in every part from which some, but not all, were
            chosen; None if it is not the same everywhere.
        lines: the score at which the chosen images of each part begin, None for parts chosen whole or not at all; empty
            without an `order`.
        names: of sources; classes and groups are identified by their numbers.
    """

    sizes: tuple[int, ...]
    chosen: tuple[int, ...]
    order: Literal["highest", "lowest"] | None = None
    lines: tuple[float | None, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """Statistics of all images considered and of those chosen.

    Attributes:
        whole: all images as one part.
        classes, groups, sources: None if there are no labels, no groups or no names of sources.
        scores: None if there are none.
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
    """The statistics of a table, which is read several times.

    Args:
        rows: yields the same images on every call, at least one.
    """
    counted: dict[str, list[pa.Table]] = {part: [] for part in _PARTS}
    for batch in rows():
        chosen = batch["chosen"]
        columns = {"score": np.full(len(chosen), np.nan), **batch, "whole": np.zeros(len(chosen), dtype=np.int64)}
        scores = pa.array(columns["score"], from_pandas=True)  # without those that are NaN
        for part, tables in counted.items():
            if part in columns:
                values = pa.array(np.ascontiguousarray(columns[part]), _PARTS[part])
                table = pa.table({"part": values, "chosen": chosen, "score": scores})
                tables.append(table.group_by(["part", "chosen"], use_threads=False).aggregate(_COUNTED))
    whole, classes, groups, sources = (
        _shares(pa.concat_tables(tables)) if tables else None for tables in counted.values()
    )
    assert whole is not None, "there are images"
    return Summary(whole, classes, groups, _distribution(rows), sources)


def _shares(batches: pa.Table) -> Shares | None:
    """Combines the counts of all batches; None if no image belongs to any part."""
    totals = batches.group_by(["part", "chosen"], use_threads=False).aggregate(_MERGED)
    places, names = totals["part"].to_numpy(), ()
    if totals.schema.field("part").type == pa.string():
        names = tuple(sorted(set(places)))
        places = np.array([names.index(name) for name in places])
    count, inside = int(places.max()) + 1, places >= 0
    if count == 0:
        return None
    which = totals["chosen"].to_numpy()[inside].astype(np.int64), places[inside]  # those left out, then the chosen
    counts, scored = np.zeros((2, 2, count), dtype=np.int64)
    least, most = np.full((2, 2, count), np.nan)
    columns = ("count_all_sum", "score_count_sum", "score_min_min", "score_max_max")
    for into, column in zip((counts, scored, least, most), columns, strict=True):
        into[which] = totals[column].to_numpy()[inside]
    order, lines = None, np.zeros(0)
    divided = (counts[0] > 0) & (counts[1] > 0)
    if divided.any() and (counts == scored).all():
        if (least[1] >= most[0])[divided].all():
            order, lines = "highest", least[1]
        elif (most[1] <= least[0])[divided].all():
            order, lines = "lowest", most[1]
    drawn = divided[: len(lines)] & np.isfinite(lines)
    begin = tuple(float(line) if is_drawn else None for line, is_drawn in zip(lines, drawn, strict=True))
    return Shares(tuple(counts.sum(0).tolist()), tuple(counts[1].tolist()), order, begin, names)


def _scores(rows: Rows) -> Iterator[tuple[Array, Array]]:
    """Scores `[B]` of the images that have one, and whether each was chosen, bool `[B]`."""
    for batch in rows():
        if "score" in batch:
            scored = ~np.isnan(batch["score"])
            yield batch["score"][scored], batch["chosen"][scored]


def _distribution(rows: Rows) -> Distribution | None:
    """Bins over the scores, or over their logarithms if most would be in the first bin and all scores are >= 0."""
    counts = np.zeros(2, dtype=np.int64)
    lowest, highest, least_positive, whole_numbers = np.inf, -np.inf, np.inf, True
    for scores, chosen in _scores(rows):
        counts += len(scores), int(chosen.sum())
        finite = scores[np.abs(scores) < _HUGE]
        lowest, highest = min(lowest, finite.min(initial=np.inf)), max(highest, finite.max(initial=-np.inf))
        least_positive = min(least_positive, finite[finite > 0].min(initial=np.inf))
        whole_numbers = whole_numbers and bool(((np.abs(finite) < _WHOLE) & (finite == np.rint(finite))).all())
    if lowest > highest:
        return None
    quantiles = _quantiles(rows, counts)
    ends = _without_far(quantiles, lowest, highest)
    bins = _binned(rows, ends, whole_numbers=whole_numbers)
    logarithmic = lowest >= 0 and not whole_numbers and quantiles[0, 1] - ends[0] < (ends[1] - ends[0]) / BINS
    if logarithmic:
        with np.errstate(divide="ignore"):
            ends = _without_far(np.log10(quantiles.clip(min=0)), np.log10(least_positive), np.log10(highest))
        on_logarithms = _binned(rows, ends, logarithmic=True)
        logarithmic = counts[0] - on_logarithms[2][0].sum() < _MOST_OUTSIDE * counts[0]
        bins = on_logarithms if logarithmic else bins
    start, width, (images, chosen) = bins
    medians = [float(median) if np.isfinite(median) else None for median in quantiles[:, 1]]
    return Distribution(
        lowest=float(lowest),
        highest=float(highest),
        start=float(start),
        width=float(width),
        logarithmic=bool(logarithmic),
        counts=tuple(images.tolist()),
        chosen=tuple(chosen.tolist()),
        outside=int(counts[0] - images.sum()),
        median=medians[0],
        chosen_median=medians[1],
    )


def _quantiles(rows: Rows, counts: Array) -> Array:
    """The quantiles `_SHARES` of all scores and of the chosen ones, float64 `[2, 3]`; NaN without images.

    Exact, by radix search: scores are sortable keys of 64 bits, and each pass finds 16 more bits of a quantile by
    counting how often each value of these occurs among the keys that share its known leading bits.
    """
    ranks = np.ceil(_SHARES * counts[:, None]).clip(min=1).astype(np.int64)
    prefixes = np.zeros((2, 3), dtype=np.uint64)
    bits, mask = np.uint64(16), np.uint64(2**16 - 1)
    for shift in (48, 32, 16, 0):
        digits = np.zeros((2, 3, 2**16), dtype=np.int64)
        for scores, chosen in _scores(rows):
            for row, values in enumerate((scores, scores[chosen])):
                keys = sortable(values, descending=False) >> np.uint64(shift)
                for place in range(3):
                    matching = keys[keys >> bits == prefixes[row, place]] & mask
                    np.add.at(digits[row, place], matching.astype(np.int64), 1)
        for place in np.ndindex(2, 3):
            below = digits[place].cumsum()
            digit = min(int(np.searchsorted(below, ranks[place])), 2**16 - 1)
            ranks[place] -= below[digit] - digits[place][digit]
            prefixes[place] = prefixes[place] << bits | np.uint64(digit)
    negative = prefixes < np.uint64(2**63)
    scores = np.where(negative, ~prefixes, prefixes ^ np.uint64(2**63)).view(np.float64)
    return np.where(counts[:, None] > 0, scores, np.nan)


def _without_far(quantiles: Array, lowest: float, highest: float) -> tuple[float, float]:
    """The range of all scores; that between the tails, with a margin, if the full range is much wider."""
    low, high = np.nanmin(quantiles), np.nanmax(quantiles)
    low, high = (float(np.clip(end, lowest, highest)) for end in (low, high))
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
    """Turns lists, which JSON has for tuples, back into tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
