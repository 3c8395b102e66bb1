"""Choosing images from the table of the pools: best first in every class that the teacher predicts."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from torch import Tensor

from limbeck.data.classes import few
from limbeck.errors import UserError
from limbeck.transfer.borrow.chosen import Chosen, ChosenRows, PartCounts, looked_up
from limbeck.transfer.borrow.criteria import criterion_by, sureness_by
from limbeck.transfer.borrow.first_come import OrderOf, drawn_order, places_in_order
from limbeck.transfer.borrow.quotas import equal_shares, shares_of_parts, spread_shares
from limbeck.transfer.borrow.settings import NONE, BorrowSettings
from limbeck.transfer.borrow.thresholds import Passing, passing
from limbeck.transfer.choice import allocate
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.rows import Candidates, Rows

CANDIDATES = 2**16
"""Images, or twice as many as are wanted, that k-centre chooses among: drawn at random, equally many of every class."""

_IN_ORDER = replace(criterion_by("margin"), order="lowest")
"""Prefers images in a given order: its column of scores holds their positions in it."""

FeaturesOf = Callable[[Sequence[str], np.ndarray], Tensor]
"""From pool names and ids int64 `[n]` of some images to the teacher's embeddings, float `[n, D]`."""


def choose(
    table: ScoreTable,
    settings: BorrowSettings,
    count: int,
    *,
    pools: Sequence[str],
    seed: int = 0,
    calibration: ScoreTable | None = None,
    features_of: FeaturesOf | None = None,
    order_of: OrderOf | None = None,
) -> Chosen:
    """The images to borrow: `count` of them, or fewer if `short: leave` leaves classes short.

    Every class of the teacher has an equal share. The criteria of a mixture choose one after another, in the order in
    which they are named, each among the images that are left. The order of the table's rows does not matter, nor does
    that of the pools, except for `fill: first-come` and `by: none`.

    Args:
        table: of all pools, see `pool_table`.
        settings: which images are preferred.
        count: number of images wanted.
        pools: names of the pools, in the order of the settings.
        seed: of random draws.
        calibration: a table of the calibration images, if `threshold` needs one.
        features_of: computes embeddings, for k-centre.
        order_of: the order in which the images of a pool come, for `fill: first-come` and `by: none`; by default drawn.

    Raises:
        UserError: there are too few images, in all or, with `short: repeat`, of some class; fewer are wanted than there
            are classes; the table lacks a column.

    Example:
        >>> columns = {"id": [0, 1, 2, 0], "source": ["cats", "cats", "cats", "dogs"], "group": [0, 0, 1, 1]}
        >>> table = ScoreTable({**columns, "margin:teacher-logits": [0.2, 0.9, 0.1, 0.8]}, {"groups": ["cat", "dog"]})
        >>> settings = BorrowSettings(pools=["cats", "dogs"], by="margin", budget=2)
        >>> choose(table, settings, 2, pools=["cats", "dogs"]).rows.ids.tolist()
        [1, 0]
    """
    names = table.names("group")
    sizes = _class_sizes(table, len(names))
    chooser = _Chooser(table, settings, tuple(pools), seed, calibration, features_of, order_of or drawn_order(seed))
    rows, parts, start = ChosenRows.none(), list[PartCounts](), 0
    for by, wanted in shares_of_parts(settings.shares, count).items():
        if not wanted:
            continue
        more, counts = chooser.part(by, wanted, len(parts), rows, start)
        rows = rows.and_those(more)
        parts.append(counts)
        start += 0 if counts.wanted is None else wanted
    chosen = Chosen(
        rows=rows, parts=tuple(parts), classes=names, sources=table.sources, found=sizes, count=count, seed=seed
    )
    _warn(chosen, settings)
    return chosen


@dataclass(frozen=True)
class _Chooser:
    """Chooses the share of each criterion of a mixture; for its fields see `choose`."""

    table: ScoreTable
    settings: BorrowSettings
    pools: tuple[str, ...]
    seed: int
    calibration: ScoreTable | None
    features_of: FeaturesOf | None
    order_of: OrderOf

    def _first_come(self, by: str) -> bool:
        return self.settings.fill == "first-come" or by == NONE

    def part(self, by: str, count: int, part: int, taken: ChosenRows, start: int) -> tuple[ChosenRows, PartCounts]:
        """The rows that one criterion chooses among those left, with repetitions, and its counts for every class."""
        classes = len(self.table.names("group"))
        per_class = criterion_by(by).per_class
        if per_class and count < classes:
            raise UserError(
                f"`budget` must give each of the {classes} classes of the teacher an image, got {count} by {by!r}; "
                "raise it, or borrow by 'random', which goes by no class."
            )
        sure = self._passing(by)
        left = self._left(by, sure, taken)
        passed = _class_sizes(left, classes)
        wanted = equal_shares(count, classes, start) if per_class else None
        quotas = self._quotas(by, count, passed, wanted, start, later=len(taken) > 0)
        among, rows = left, ChosenRows.none()
        if quotas.any():
            among = self._in_order(self._candidates(left, quotas)) if criterion_by(by).space else left
            rows = self._chosen(by, part, among, quotas)
        if self.settings.short == "repeat":
            groups = rows.groups if per_class else np.zeros_like(rows.groups)
            rows = rows.with_repetitions(np.array([count]) if wanted is None else wanted, groups)
        distinct, repeated = (
            np.bincount(rows.groups[mask], minlength=classes) for mask in (rows.copies == 0, rows.copies > 0)
        )
        values, candidates = None if sure is None else sure.values, len(among) if len(among) < len(left) else None
        return rows, PartCounts(by, wanted, passed, distinct, repeated, values, candidates)

    def _passing(self, by: str) -> Passing | None:
        threshold = self.settings.threshold
        if threshold is None or by == "random":
            return None
        return passing(self.table, sureness_by(by), threshold, self.calibration, self.seed)

    def _left(self, by: str, sure: Passing | None, taken: ChosenRows) -> ScoreTable:
        """The rows that may still be chosen; the table itself if these are all."""
        if sure is None and not len(taken) and not self._first_come(by):
            return self.table
        own, read = criterion_by(by), criterion_by(by) if sure is None else sureness_by(by)
        parts = []
        for rows in Candidates(self.table, read, self.seed, "group").read("group"):
            keep = ~taken.hold(rows)
            if sure is not None:
                keep &= sure.passes(rows)
            # Keep scores only if the criterion reads the same column; random scores are drawn anew.
            columns = _columns(rows, own.column if own.column == read.column and own.score != "random" else None)
            parts.append({name: values[keep] for name, values in columns.items()})
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if self._first_come(by):
            columns[_IN_ORDER.column] = places_in_order(
                self.pools, self.table.sources, columns["source"], columns["id"], self.order_of
            )
        return self._table(columns)

    def _table(self, columns: dict[str, np.ndarray]) -> ScoreTable:
        """A table in memory, with some 32 bytes per row."""
        places, rows = np.unique(columns["source"], return_inverse=True)
        names = [self.table.sources[place] for place in places]  # only sources that some row has
        source = pa.DictionaryArray.from_arrays(rows.astype(np.int32), names)
        about = {"name": self.table.name, "groups": list(self.table.names("group"))}
        return ScoreTable(pa.table({**columns, "source": source}), about)

    def _quotas(
        self, by: str, count: int, passed: np.ndarray, wanted: np.ndarray | None, start: int, *, later: bool
    ) -> np.ndarray:
        """Number of distinct images to take from each class, or in all for a criterion that does not work per class.

        For a `later` criterion of a mixture, there may be no images left.
        """
        short, available = self.settings.short, int(passed.sum())
        if (available == 0 and not (short == "leave" and later)) or (short == "spread" and available < count):
            raise UserError(self._too_few(by, count, available))
        if wanted is None:
            return np.array([min(count, available)])
        if short == "spread":
            return spread_shares(count, passed, start)
        empty = [self.table.names("group")[place] for place in np.flatnonzero((passed == 0) & (wanted > 0))]
        if short == "repeat" and empty:
            takes = "takes no image" if self.settings.threshold is None else "is sure enough of no image"
            raise UserError(
                f"`short: repeat` needs an image of every class to show again, and the teacher {takes} of the pools "
                f"as {few([repr(name) for name in empty])}; use 'spread' or 'leave', name more pools"
                f"{'' if self.settings.threshold is None else ', or a weaker `threshold`'}."
            )
        return np.minimum(wanted, passed)

    def _too_few(self, by: str, count: int, there: int) -> str:
        every = len(self.table)
        threshold = "" if self.settings.threshold is None or by == "random" else " with this `threshold`"
        which = "" if there == every else f", of which {there:,} can be chosen by {by!r}{threshold}"
        return (
            f"`budget` must be at most what the pools hold, {every:,} distinct images{which}, got {count:,}; lower it, "
            "name more pools, or say what happens to what is lacking (`short: repeat` or `leave`)."
        )

    def _chosen(self, by: str, part: int, among: ScoreTable, quotas: np.ndarray) -> ChosenRows:
        criterion = criterion_by(by)
        features = None
        if criterion.space:
            assert self.features_of is not None, "whoever borrows by k-centre gives embeddings"
            rows = _read(among, "source", "id")
            features = self.features_of([among.sources[place] for place in rows["source"]], rows["id"])
        preferred = _IN_ORDER if self._first_come(by) else criterion
        selection = allocate(
            among, preferred, int(quotas.sum()), seed=self.seed, balance="group", features=features, quotas=quotas
        )
        places = {name: place for place, name in enumerate(self.table.sources)}
        sources = np.array([places[name] for name in selection.sources], dtype=np.int64)
        return ChosenRows.of(self.table, sources, selection.ids.numpy(), part)

    def _in_order(self, left: ScoreTable) -> ScoreTable:
        """Sorts by pool and id, so that the teacher's batches do not depend on the order of the table."""
        rows = _read(left, "source", "id", "group")
        places = np.array([self.table.sources.index(name) for name in left.sources])
        rows["source"] = places[rows["source"]]
        order = np.lexsort((rows["id"], rows["source"]))
        return self._table({name: values[order] for name, values in rows.items()})

    def _candidates(self, left: ScoreTable, quotas: np.ndarray) -> ScoreTable:
        """The rows that a greedy criterion chooses among: a random sample, to bound memory, or all if they are few."""
        most = max(CANDIDATES, 2 * int(quotas.sum()))
        if len(left) <= most:
            return left
        each = np.maximum(spread_shares(most, _class_sizes(left, len(quotas))), quotas)
        drawn = allocate(
            left, criterion_by("balanced-random"), int(each.sum()), seed=self.seed, balance="group", quotas=each
        )
        places = {name: place for place, name in enumerate(self.table.sources)}
        columns = {"source": np.array([places[name] for name in drawn.sources]), "id": drawn.ids.numpy()}
        columns |= looked_up(self.table, columns["source"], columns["id"], "group")
        return self._table(columns)


def _columns(rows: Rows, scores: str | None) -> dict[str, np.ndarray]:
    assert rows.sources is not None, "tables of pools name them"
    columns = {"id": rows.ids, "source": rows.sources, **rows.columns}
    return columns if scores is None else {**columns, scores: rows.scores}


def _read(table: ScoreTable, *names: str) -> dict[str, np.ndarray]:
    batches = list(table.batches(*names))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def _class_sizes(table: ScoreTable, classes: int) -> np.ndarray:
    """Number of rows of each class, int64 `[K]`."""
    sizes = table.sizes("group")
    if sizes is None or len(sizes) > classes:
        raise UserError(f"{table.title} must hold a `group` of every row, and the `groups` that names them.")
    return sizes


def _warn(chosen: Chosen, settings: BorrowSettings) -> None:
    """Warns of classes without images, and of criteria with nothing to choose from."""
    if chosen.takes_all:
        warnings.warn(
            f"{chosen.takes_all[0].lower()}{chosen.takes_all[1:]}; lower the budget, or name more pools or more "
            "`images` of them.",
            stacklevel=4,
        )
    empty = chosen.distinct == 0
    if chosen.wanted is None or not empty.any():
        return
    rest = "the others make up for it" if settings.short == "spread" else "the set is smaller for it"
    for takes, mask in (("takes no", chosen.found == 0), ("is sure enough of no", chosen.found > 0)):
        names = [repr(chosen.classes[place]) for place in np.flatnonzero(empty & mask)]
        if names:
            warnings.warn(
                f"the teacher {takes} image of the pools for {few(names)}, so the transfer set has none of "
                f"{'it' if len(names) == 1 else 'them'}, and {rest} (`short: {settings.short}`); name pools that look "
                f"more like the task{', or a weaker `threshold`' if takes.startswith('is') else ''}.",
                stacklevel=4,
            )
