"""What arms or transfer sets have in common: the images that two of them share, and how they take the classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from limbeck.report.controls import Controls
from limbeck.report.figures import transfer_set as figures
from limbeck.report.transfer_set.balance import apart
from limbeck.report.transfer_set.old_layouts import TABLE_OF_RUN
from limbeck.report.transfer_set.page import evidence_of_run
from limbeck.report.vega import figure
from limbeck.transfer.evidence import EVIDENCE, TABLE
from limbeck.transfer.summary import Shares

Row = dict[str, Any]
Ids = Mapping[str, NDArray[np.int64]]
"""Ids by the name of their source, each ascending."""

_FEW = 6  # arms; above this similar ones are put side by side
COLOURS = "Blue is more than chance would give, orange less; in full colour they hold the same images, or share none."
AWAY = "Away from even is the share of the images that would have to be exchanged for classes of equal size."
_AGAIN = (
    "Chosen again is the share that an arm chose with the next seed, too: all of its images where nothing is drawn, so "
    "that its spread over seeds is that of training alone."
)


@dataclass(frozen=True)
class Choice:
    """The images that one arm chose.

    Attributes:
        name: of the arm, as it is shown.
        quiet: whether it is a control, or drawn at random.
        ids: those chosen.
        images: of how many.
        classes: None without labels.
        pool: names of the sources that were looked through.
        again: share of them that the arm chose with another seed, too; None with one seed.
    """

    name: str
    quiet: bool
    ids: Ids
    images: int
    classes: Shares | None
    pool: frozenset[str] = frozenset()
    again: float | None = None

    def __len__(self) -> int:
        return sum(map(len, self.ids.values()))

    def common(self, other: "Choice") -> int:
        """How many images both chose."""
        both = self.ids.keys() & other.ids.keys()
        return sum(len(np.intersect1d(self.ids[name], other.ids[name], assume_unique=True)) for name in both)


@dataclass(frozen=True)
class Choices:
    """What all arms chose from the same images at one budget.

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
        found = np.diag([len(one) for one in self.arms])
        for i, one in enumerate(self.arms):
            for j, other in enumerate(self.arms[:i]):
                found[i, j] = found[j, i] = one.common(other)
        return found

    @property
    def shares(self) -> NDArray[np.float64]:
        """`common` as share of the smaller of both choices."""
        sizes = self.common.diagonal()
        return self.common / np.minimum(sizes[:, None], sizes)


def overlap_section(folder: Path, results: Row) -> Section | None:
    """Overlap and balance of the arms at each budget; None where fewer than two left a table of what they chose from.

    Raises:
        UserError: a table is broken.
    """
    found = [choices for choices in _by_budget(folder, results) if len(choices.arms) > 1]
    if not found:
        return None
    blocks = [Note(_how(found)), *overlap_blocks(found, _classes(results)), Note(f"{AWAY} {_AGAIN}")]
    return Section("overlap", "What the arms chose", blocks)


def overlap_blocks(found: Sequence[Choices], classes: Sequence[str]) -> list[Block]:
    """A map of what two arms share and a table of their balance for each of `found`; `classes` are names by number."""
    charts = [_chart(place, choices) for place, choices in enumerate(found)]
    tables = [_table(choices, classes) for choices in found]
    if max(len(choices.arms) for choices in found) <= _FEW:
        return [Grid(charts), *tables]
    return [block for pair in zip(charts, tables, strict=True) for block in pair]


def chosen_ids(path: Path, mend: str) -> Ids:
    """The ids of those chosen, of a table of evidence or the Parquet file of a transfer set.

    Args:
        path: the file; in one without sources all are of "".
        mend: what to do about a broken one, as a sentence.
    """
    try:
        names = pq.read_schema(path).names
        wanted = ["source_id" if "source_id" in names else "id", *(["source"] if "source" in names else [])]
        table = pq.read_table(path, columns=wanted, filters=[("chosen", "==", True)] if "chosen" in names else None)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}). {mend}") from error
    ids = table[wanted[0]].to_numpy()
    if len(wanted) == 1:
        return {"": np.sort(ids)}
    sources = table["source"].combine_chunks().dictionary_encode()
    places = sources.indices.to_numpy(zero_copy_only=False)
    return {name: np.sort(ids[places == place]) for place, name in enumerate(sources.dictionary.to_pylist())}


def similar(choices: Choices) -> list[str]:
    """Names of the arms, of many those side by side that share much."""
    names = [one.name for one in choices.arms]
    if len(names) <= _FEW:
        return names
    return [names[place] for place in similar_order(torch.from_numpy(choices.shares))]


def _by_budget(folder: Path, results: Row) -> list[Choices]:
    controls = Controls.of(results)
    runs: dict[str, list[Row]] = {}
    for run in sorted(results["runs"], key=lambda run: run["images"]):
        control = controls.get(run["arm"])
        own = control is None or control.teacher  # without a teacher a student learns from another control's images
        if own and run.get("folder") and formats.at(run["budget"]) and _table_of(folder / run["folder"]).is_file():
            runs.setdefault(str(run["budget"]), []).append(run)
    found, names = [], []
    for budget, some in runs.items():
        for choices in _at_budget(folder, budget, some, controls):
            names = names or similar(choices)
            arms = sorted(choices.arms, key=lambda one: names.index(one.name) if one.name in names else len(names))
            found.append(replace(choices, arms=arms))
    return found


def _at_budget(folder: Path, budget: str, runs: Sequence[Row], controls: Controls) -> list[Choices]:
    """The choices with the lowest seed that any arm has, those from the same images together."""
    seed = min(run["seed"] for run in runs)
    arms = []
    for run in sorted(runs, key=lambda run: bool(run["control"])):
        if run["seed"] == seed:
            more = [other for other in runs if other["arm"] == run["arm"] and other["seed"] != seed]
            second = min(more, key=lambda other: other["seed"], default=None)
            arms.append(_choice(folder, run, second, controls))
    here = {run["arm"] for run in runs if run["seed"] == seed}
    others = [controls.label(arm) for arm in dict.fromkeys(run["arm"] for run in runs) if arm not in here]
    left_some = [one for one in arms if one is not None]
    pools = dict.fromkeys(one.pool for one in left_some)
    return [Choices(budget, seed, [one for one in left_some if one.pool == pool], others) for pool in pools]


def _choice(folder: Path, run: Row, second: Row | None, controls: Controls) -> Choice | None:
    """None where nothing was left out, so that there was no choice."""
    evidence = evidence_of_run(folder / run["folder"], pictures=False)
    assert evidence is not None
    assert evidence.summary is not None
    summary = evidence.summary
    if summary.chosen in (0, summary.images):
        return None
    pool = frozenset(summary.sources.names if summary.sources is not None else [""])
    one = Choice(
        controls.label(run["arm"]), bool(run["control"]), _ids(folder, run), summary.images, summary.classes, pool
    )
    if second is None:
        return one
    return replace(one, again=one.common(replace(one, ids=_ids(folder, second))) / len(one))


def _ids(folder: Path, run: Row) -> Ids:
    return chosen_ids(_table_of(folder / run["folder"]), "Delete it and report again to go without.")


def _table_of(run: Path) -> Path:
    table = run / EVIDENCE / TABLE
    return table if table.is_file() else run / TABLE_OF_RUN


def _how(found: Sequence[Choices]) -> str:
    seeds = formats.listing(dict.fromkeys(str(choices.seed) for choices in found))
    words = f"The images that two arms share, in percent of what each chose, with seed {seeds}. {COLOURS}"
    missing = [f"{formats.listing(one.others)} at {one.budget}" for one in found if one.others]
    return f"{words} Without a choice of that seed: {'; '.join(missing)}." if missing else words


def _chart(place: int, choices: Choices) -> Chart:
    first = choices.arms[0]
    n, of = len(first), first.images
    chance = n / of
    names = [one.name for one in choices.arms]
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
            Cell(one.name, tone="quiet" if one.quiet else "strong"),
            *(_balance(one.classes, classes) if labelled and one.classes is not None else ()),
            *((formats.percent(one.again),) if seeded else ()),
        )
        for one in choices.arms
    ]
    caption = f"{choices.kind.capitalize()}s of {choices.budget}"
    if seeded:
        caption = f"At {choices.budget}, seed {choices.seed}: {formats.number(len(choices.arms[0]))} images each"
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
