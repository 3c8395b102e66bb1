"""Where borrowed images are from: counts of pools and classes, and of classes that the teacher knows by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.transfer.borrow.considered import Considered
from limbeck.transfer.class_names import known_as, why_unmatched
from limbeck.transfer.evidence_figures import StackedBars, TableFigure, Value
from limbeck.transfer.words import few, listing, percent

if TYPE_CHECKING:
    from limbeck.transfer.borrow.chosen import Chosen
    from limbeck.transfer.borrow.pools import Pool

LOST = {
    "unreadable": "Unreadable",
    "equal": "Equal to others",
    "excluded": "Excluded",
    "judged": "Equal to judged ones",
}
"""Why an image could not be chosen -> the heading of its column in tables."""
_COMMONEST = 3


@dataclass(frozen=True, eq=False)
class PoolCounts:
    """Counts for one pool.

    Attributes:
        name: of the pool.
        images: number of distinct images that could be chosen.
        chosen: number of those chosen.
        classes: number of its classes that were not excluded; 0 without labels.
        unmatched: why their names do not tell which of them the teacher knows; "" if they do.
        known: its classes that the teacher knows by name -> the teacher's name for them.
        known_chosen: number of chosen images of these classes.
        lost: key of `LOST` -> number of images.
    """

    name: str
    images: int
    chosen: int
    classes: int
    unmatched: str
    known: Mapping[str, str]
    known_chosen: int
    lost: Mapping[str, int]


def pool_counts(
    found: Considered,
    sources: Sequence[str],
    pools: Sequence["Pool"],
    classes: Sequence[str],
    lost: Mapping[str, Mapping[str, Any]],
) -> list[PoolCounts]:
    """Counts for every pool, in the order of `pools`.

    Args:
        found: counts and chosen rows of the table of the pools.
        sources: names of the pools that have images in the table, by their index there.
        pools: all pools.
        classes: of the teacher.
        lost: by pool name, what the table says about images that were left out, see `pool_table`.
    """
    counts = []
    for pool in pools:
        native = pool.images.classes if pool.images.labels is not None else ()
        left = [name for name in native if name not in pool.excluded]
        unclear = why_unmatched(native, classes)
        known = {} if unclear else known_as(left, classes)
        place = sources.index(pool.name) if pool.name in sources else -1
        native_chosen = found.rows["native"][found.rows["source"] == place]
        of_known = int(np.isin(native_chosen, [number for number, name in enumerate(native) if name in known]).sum())
        before = {"unreadable": pool.unreadable, "excluded": sum(pool.excluded.values())}
        before |= {key: int(lost.get(pool.name, {}).get(key, 0)) for key in ("equal", "judged")}
        size, taken = (int(matrix[place].sum()) if place >= 0 else 0 for matrix in (found.sizes, found.chosen))
        counts.append(PoolCounts(pool.name, size, taken, len(left), unclear, known, of_known, before))
    return counts


def known_sentence(counts: Sequence[PoolCounts]) -> str:
    """A sentence on the share of chosen images of classes that the teacher knows by name, without a full stop."""
    total = sum(pool.chosen for pool in counts)
    known = sum(pool.known_chosen for pool in counts)
    unclear = sum(pool.chosen for pool in counts if pool.unmatched)
    if unclear == total:
        return f"Nothing tells what share of the images is of classes that the teacher knows: {counts[0].unmatched}"
    rest = f"; {percent(unclear, total)} are from pools whose names do not tell" if unclear else ""
    if not any(pool.known for pool in counts):
        return f"No image is of a class whose name the teacher knows{rest}"
    giving = [pool for pool in counts if pool.known]
    where = listing(
        f"{len(pool.known)} of the {pool.classes:,} of {pool.name} ({few(list(dict.fromkeys(pool.known.values())))})"
        for pool in giving
    )
    return f"{percent(known, total)} of the images are of classes whose name the teacher knows: {where}{rest}"


def known_share(counts: Sequence[PoolCounts]) -> float:
    """Share of the chosen images of classes that the teacher knows by name, in [0, 1]."""
    return sum(pool.known_chosen for pool in counts) / max(sum(pool.chosen for pool in counts), 1)


def pool_table_figure(counts: Sequence[PoolCounts]) -> TableFigure:
    """A row for each pool: its images, how many were chosen, and how many of these the teacher knows by name."""
    lost = [key for key in LOST if any(pool.lost.get(key) for pool in counts)]
    total = max(sum(pool.chosen for pool in counts), 1)
    rows: list[list[Value]] = [
        [
            pool.name,
            *(pool.lost.get(key, 0) for key in lost),
            pool.images,
            pool.chosen,
            pool.chosen / total,
            None if pool.unmatched else f"{len(pool.known)} of {pool.classes:,}",
            None if pool.unmatched else pool.known_chosen,
            None if pool.unmatched else pool.known_chosen / max(pool.chosen, 1),
        ]
        for pool in counts
    ]
    share, of_known = "Share of the chosen", "Share of its chosen"
    columns = ["Pool", *(LOST[key] for key in lost), "Distinct images", "Chosen", share]
    columns += ["Classes known by name", "Chosen of these", of_known]
    note = (
        "A class is known by name if the teacher has one of that name. Distinct images are those that could be chosen."
    )
    if lost:
        note += (
            " Those in the columns before could not: of equal pictures one is kept, of the pool whose name comes first."
        )
    return TableFigure(title="What each pool gave", columns=columns, rows=rows, percent=[share, of_known], note=note)


def class_table(found: Considered, pools: Sequence["Pool"], sources: Sequence[str], chosen: "Chosen") -> TableFigure:
    """A row for each class of the teacher: wanted, found, from which pool, short and repeated."""
    wanted, distinct_counts, repeated, short = chosen.wanted, chosen.distinct, chosen.repeated, chosen.short
    alone = chosen.parts[0] if len(chosen.parts) == 1 else None
    sure = None if alone is None or alone.thresholds is None else alone.passed
    mostly = _mostly(found, pools, sources, len(chosen.classes))
    several = len(sources) > 1
    columns = [
        "Class the teacher gives",
        *(["Wanted"] if wanted is not None else []),
        "Found",
        *(["Sure enough"] if sure is not None else []),
        *(f"of {name}" for name in sources if several),
        "Chosen",
        *(["Short"] if wanted is not None else []),
        *(["Shown again"] if repeated.any() else []),
        "Mostly",
    ]
    rows: list[list[Value]] = []
    for place, name in enumerate(chosen.classes):
        rows.append(
            [
                name,
                *([int(wanted[place])] if wanted is not None else []),
                int(chosen.found[place]),
                *([int(sure[place])] if sure is not None else []),
                *([int(count) for count in found.chosen[:, place]] if several else []),
                int(distinct_counts[place]),
                *([int(short[place])] if wanted is not None else []),
                *([int(repeated[place])] if repeated.any() else []),
                mostly[place],
            ]
        )
    note = (
        "Every image counts for the class that the teacher gives it. Wanted is an equal share of the budget, found are "
        "the images of the class in all pools. Mostly are the commonest classes that the pools themselves call the "
        "chosen images."
    )
    return TableFigure(title="Images of each class", columns=columns, rows=rows, note=note)


def class_bars(found: Considered, sources: Sequence[str], classes: Sequence[str]) -> StackedBars:
    """The chosen images of every class, by pool."""
    parts = {name: [int(count) for count in found.chosen[place]] for place, name in enumerate(sources)}
    return StackedBars(
        title="Images of each class, by pool",
        one="class",
        part="pool",
        names=list(classes),
        parts=parts,
        note="A class is the one that the teacher gives.",
    )


def _mostly(found: Considered, pools: Sequence["Pool"], sources: Sequence[str], classes: int) -> list[str | None]:
    """The pools' own classes that are commonest among the chosen images of each of the teacher's classes."""
    names = {pool.name: pool.images.classes for pool in pools}
    native, source, group = (found.rows[key] for key in ("native", "source", "group"))
    labelled = native >= 0
    width = int(native.max(initial=0)) + 1
    keys, counts = np.unique(
        (group[labelled] * len(sources) + source[labelled]) * width + native[labelled], return_counts=True
    )
    order = np.lexsort((keys, -counts))
    ranked: list[int] = keys[order].tolist()
    commonest: list[list[str]] = [[] for _ in range(classes)]
    for key, count in zip(ranked, counts[order].tolist(), strict=True):
        (label, place), number = divmod(key // width, len(sources)), key % width
        if len(commonest[label]) < _COMMONEST:
            commonest[label].append(f"{names[sources[place]][number]} {count:,}")
    return [", ".join(texts) or None for texts in commonest]
