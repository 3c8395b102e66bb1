"""What criteria chose beside each other: the images that two of them share, and how evenly the classes are taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from limbeck.errors import UserError
from limbeck.evaluation.correlation import similar_order
from limbeck.report import formats
from limbeck.report.blocks import Block, Cell, Chart, Grid, Note, Section, Table
from limbeck.report.figures import transfer_set as figures
from limbeck.report.transfer_set.balance import apart
from limbeck.report.vega import figure
from limbeck.transfer.summary import Shares

Row = dict[str, Any]
_WITHOUT = ("no-teacher",)  # learns from the images of random
_FEW = 6  # arms; above this similar ones are put side by side
COLOURS = "Blue is more than chance would give, orange less; in full colour they chose the same images, or share none."
AWAY = "Away from even is the share of the images that would have to be exchanged for classes of equal size."
_AGAIN = (
    "Chosen again is the share that an arm chose with the next seed, too: all of its images where nothing is drawn, so "
    "that its spread over seeds is that of training alone."
)


@dataclass(frozen=True)
class Choice:
    """The images that one run chose.

    Attributes:
        arm: of the run.
        control: whether nobody asked for it.
        ids: int64 `[n]`, ascending.
        images: of how many.
        classes: None without labels.
        again: share of them that the arm chose with another seed, too; None with one seed.
    """

    arm: str
    control: bool
    ids: NDArray[np.int64]
    images: int
    classes: Shares | None
    again: float | None = None

    def common(self, other: "Choice") -> int:
        """How many images both chose."""
        return len(np.intersect1d(self.ids, other.ids, assume_unique=True))


@dataclass(frozen=True)
class Choices:
    """What all arms chose at one budget.

    Attributes:
        budget: in words.
        seed: of all arms; None where each has its own.
        arms: two or more may be compared.
        others: the arms that left nothing for it.
        kind: what an arm is called.
    """

    budget: str
    seed: int | None
    arms: Sequence[Choice]
    others: Sequence[str] = ()
    kind: str = "arm"

    @cached_property
    def common(self) -> NDArray[np.int64]:
        """Images that two arms share, `[A, A]`."""
        found = np.diag([len(one.ids) for one in self.arms])
        for i, one in enumerate(self.arms):
            for j, other in enumerate(self.arms[:i]):
                found[i, j] = found[j, i] = one.common(other)
        return found

    @property
    def shares(self) -> NDArray[np.float64]:
        """`common` as share of the smaller of both choices."""
        sizes = self.common.diagonal()
        return self.common / np.minimum(sizes[:, None], sizes)


def criteria_section(folder: Path, results: Row) -> Section | None:
    """Overlap and balance of the arms at each budget; None where fewer than two left their selection.

    Raises:
        UserError: a selection is broken.
    """
    found = [choices for choices in _by_budget(folder, results) if len(choices.arms) > 1]
    if not found:
        return None
    blocks = [Note(_how(found)), *overlap_blocks(found, _classes(results)), Note(f"{AWAY} {_AGAIN}")]
    return Section("criteria", "What the criteria chose", blocks)


def overlap_blocks(found: Sequence[Choices], classes: Sequence[str]) -> list[Block]:
    """A map of what two arms share and a table of their balance for each of `found`; `classes` are names by number."""
    charts = [_chart(place, choices) for place, choices in enumerate(found)]
    tables = [_table(choices, classes) for choices in found]
    if max(len(choices.arms) for choices in found) <= _FEW:
        return [Grid(charts), *tables]
    return [block for pair in zip(charts, tables, strict=True) for block in pair]


def _by_budget(folder: Path, results: Row) -> list[Choices]:
    runs: dict[str, list[Row]] = {}
    for run in sorted(results["runs"], key=lambda run: run["images"]):
        known = run["arm"] not in _WITHOUT and run.get("folder") and formats.at(run["budget"])
        if known and (folder / run["folder"] / "selection.parquet").is_file():
            runs.setdefault(str(run["budget"]), []).append(run)
    found, names = [], []
    for budget, some in runs.items():
        choices = _at_budget(folder, budget, some)
        names = names or similar(choices)
        arms = sorted(choices.arms, key=lambda one: names.index(one.arm) if one.arm in names else len(names))
        found.append(Choices(budget, choices.seed, arms, choices.others))
    return found


def _at_budget(folder: Path, budget: str, runs: Sequence[Row]) -> Choices:
    """The choices with the lowest seed that any arm has."""
    seed = min(run["seed"] for run in runs)
    arms = []
    for run in sorted(runs, key=lambda run: bool(run["control"])):
        if run["seed"] == seed:
            more = [other for other in runs if other["arm"] == run["arm"] and other["seed"] != seed]
            second = min(more, key=lambda other: other["seed"], default=None)
            arms.append(_choice(folder, run, second))
    others = dict.fromkeys(run["arm"] for run in runs if run["arm"] not in {one.arm for one in arms})
    return Choices(budget, seed, arms, list(others))


def _choice(folder: Path, run: Row, second: Row | None) -> Choice:
    table = read_columns(folder / run["folder"] / "selection.parquet", "id", "label", "chosen")
    chosen = table["chosen"].to_numpy()
    ids = np.sort(table["id"].to_numpy()[chosen])
    again = None
    if second is not None:
        other = read_columns(folder / second["folder"] / "selection.parquet", "id", "chosen")
        again = len(np.intersect1d(ids, other["id"].to_numpy()[other["chosen"].to_numpy()])) / max(len(ids), 1)
    return Choice(run["arm"], bool(run["control"]), ids, len(chosen), _shares(table["label"], chosen), again)


def read_columns(path: Path, *columns: str, mend: str = "Delete it and report again to go without.") -> pa.Table:
    """Some columns of a Parquet file; a UserError that ends with `mend` where it is broken."""
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}). {mend}") from error


def _shares(labels: pa.ChunkedArray, chosen: NDArray[np.bool_]) -> Shares | None:
    if labels.null_count:
        return None
    known = labels.to_numpy()
    sizes = np.bincount(known)
    return Shares(tuple(sizes.tolist()), tuple(np.bincount(known[chosen], minlength=len(sizes)).tolist()), None, ())


def similar(choices: Choices) -> list[str]:
    """Names of the arms, of many those side by side that share much."""
    names = [one.arm for one in choices.arms]
    if len(names) <= _FEW:
        return names
    return [names[place] for place in similar_order(torch.from_numpy(choices.shares))]


def _how(found: Sequence[Choices]) -> str:
    seeds = formats.listing(dict.fromkeys(str(choices.seed) for choices in found))
    words = f"The images that two arms share, in percent of what each chose, with seed {seeds}. {COLOURS}"
    missing = [f"{formats.listing(map(formats.name, one.others))} at {one.budget}" for one in found if one.others]
    return f"{words} Without a selection of that seed: {'; '.join(missing)}." if missing else words


def _chart(place: int, choices: Choices) -> Chart:
    first = choices.arms[0]
    n, of = len(first.ids), first.images
    chance = n / of
    names = [formats.name(one.arm) for one in choices.arms]
    rows = [
        {"arm": names[i], "other": names[j], "both": int(choices.common[i, j]), "share": float(choices.shares[i, j])}
        for i in range(len(names))
        for j in range(i)
    ]
    give = 2 * sqrt(chance * (1 - chance) * (of - n) / max(of - 1, 1) / max(n, 1))
    caption = (
        f"Each chose {formats.number(n)} of {formats.number(of)} images. Two draws by chance would share "
        f"{formats.percent(chance)}, give or take {formats.points(give, signed=False)} points "
        "(two standard deviations)."
    )
    label = f"Images that two {choices.kind}s share at {choices.budget}"
    drawn = figure(figures.overlap_map(rows, names, chance), f"overlap-{place}", label, fluid=False)
    return Chart(drawn, f"Shared by two {choices.kind}s at {choices.budget}", caption)


def _table(choices: Choices, classes: Sequence[str]) -> Table:
    labelled = all(one.classes is not None for one in choices.arms)
    seeded = choices.seed is not None
    columns = [
        choices.kind.capitalize(),
        *(("Fewest of a class", "Most of a class", "Away from even") if labelled else ()),
        *(("Chosen again",) if seeded else ()),
    ]
    rows = [
        (
            Cell(formats.name(one.arm), tone="quiet" if one.control else "strong"),
            *(_balance(one.classes, classes) if labelled and one.classes is not None else ()),
            *((formats.percent(one.again),) if seeded else ()),
        )
        for one in choices.arms
    ]
    caption = f"Selections of {choices.budget}"
    if seeded:
        caption = f"At {choices.budget}, seed {choices.seed}: {formats.number(len(choices.arms[0].ids))} images each"
    return Table(caption, columns, rows, folded=len(rows) > 2 * _FEW)


def _balance(shares: Shares, classes: Sequence[str]) -> tuple[str, str, str]:
    counts = [
        (count, place) for place, (size, count) in enumerate(zip(shares.sizes, shares.chosen, strict=True)) if size
    ]
    (least, first), (most, last) = min(counts), max(counts)
    if least == most:
        return formats.number(least), formats.number(most), formats.percent(0.0)
    fewest = f"{formats.number(least)} ({formats.name_of(first, classes)})"
    return fewest, f"{formats.number(most)} ({formats.name_of(last, classes)})", formats.percent(apart(shares))


def _classes(results: Row) -> list[str]:
    judged = (results.get("teacher") or {}).get("evaluation") or {}
    return [str(row["class"]) for row in judged.get("per_class") or []]
