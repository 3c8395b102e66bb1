"""What arms of a comparison, or several transfer sets, chose from the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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
from limbeck.report.controls import Controls
from limbeck.report.transfer_set.old_layouts import TABLE_OF_RUN
from limbeck.report.transfer_set.page import evidence_of_run
from limbeck.transfer.evidence import EVIDENCE, TABLE
from limbeck.transfer.summary import Shares

Row = dict[str, Any]
Ids = Mapping[str, NDArray[np.int64]]
"""Ids by the name of their source, each ascending."""

FEW = 6  # arms; above this similar ones are put side by side


@dataclass(frozen=True)
class Choice:
    """The images that one arm chose.

    Attributes:
        name: of the arm, as it is shown.
        quiet: whether it is a control, or drawn at random.
        ids: those chosen.
        images: how many it chose from.
        classes: None without labels.
        pool: names of the sources that images were chosen from.
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
        sources = self.ids.keys() & other.ids.keys()
        return sum(len(np.intersect1d(self.ids[name], other.ids[name], assume_unique=True)) for name in sources)


@dataclass(frozen=True)
class Choices:
    """What all arms chose from the same images at one budget.

    Attributes:
        budget: in words.
        seed: of all arms; None where each has its own.
        arms: two or more may be compared.
        others: arms that left no choice of this seed.
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
        counts = np.diag([len(arm) for arm in self.arms])
        for i, arm in enumerate(self.arms):
            for j, other in enumerate(self.arms[:i]):
                counts[i, j] = counts[j, i] = arm.common(other)
        return counts

    @property
    def shares(self) -> NDArray[np.float64]:
        """`common` as share of the smaller of both choices."""
        sizes = self.common.diagonal()
        return self.common / np.minimum(sizes[:, None], sizes)


def choices_of_runs(folder: Path, results: Row) -> list[Choices]:
    """What the arms of a comparison chose at each budget, from the smallest on."""
    controls = Controls.of(results)
    runs: dict[str, list[Row]] = {}
    for run in sorted(results["runs"], key=lambda run: run["images"]):
        control = controls.get(run["arm"])
        # Without a teacher a student learns from the images of another control.
        own = control is None or control.teacher
        if own and run.get("folder") and formats.at(run["budget"]) and _table_of(folder / run["folder"]).is_file():
            runs.setdefault(str(run["budget"]), []).append(run)
    all_choices, names = [], []
    for budget, of_budget in runs.items():
        for choices in _at_budget(folder, budget, of_budget, controls):
            names = names or similar(choices)
            arms = sorted(choices.arms, key=lambda arm: names.index(arm.name) if arm.name in names else len(names))
            all_choices.append(replace(choices, arms=arms))
    return all_choices


def similar(choices: Choices) -> list[str]:
    """Names of the arms; if they are many, those that share much are side by side."""
    names = [arm.name for arm in choices.arms]
    if len(names) <= FEW:
        return names
    return [names[place] for place in similar_order(torch.from_numpy(choices.shares))]


def chosen_ids(path: Path, mend: str) -> Ids:
    """The ids of the chosen images, from a table of evidence or the Parquet file of a transfer set.

    Args:
        path: the file; in one without sources, "" is the source of all.
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


def _at_budget(folder: Path, budget: str, runs: Sequence[Row], controls: Controls) -> list[Choices]:
    """The choices with the lowest seed that any arm has, those from the same images together."""
    seed = min(run["seed"] for run in runs)
    arms = []
    for run in sorted(runs, key=lambda run: bool(run["control"])):
        if run["seed"] == seed:
            more = [other for other in runs if other["arm"] == run["arm"] and other["seed"] != seed]
            second = min(more, key=lambda other: other["seed"], default=None)
            arms.append(_choice(folder, run, second, controls))
    with_seed = {run["arm"] for run in runs if run["seed"] == seed}
    others = [controls.label(arm) for arm in dict.fromkeys(run["arm"] for run in runs) if arm not in with_seed]
    left_some = [choice for choice in arms if choice is not None]
    pools = dict.fromkeys(choice.pool for choice in left_some)
    return [Choices(budget, seed, [choice for choice in left_some if choice.pool == pool], others) for pool in pools]


def _choice(folder: Path, run: Row, second: Row | None, controls: Controls) -> Choice | None:
    """None where nothing was left out, so that there was no choice."""
    evidence = evidence_of_run(folder / run["folder"], pictures=False)
    summary = None if evidence is None else evidence.summary
    if summary is None or summary.chosen in (0, summary.images):
        return None
    pool = frozenset(summary.sources.names if summary.sources is not None else [""])
    choice = Choice(
        controls.label(run["arm"]), bool(run["control"]), _ids(folder, run), summary.images, summary.classes, pool
    )
    if second is None:
        return choice
    return replace(choice, again=choice.common(replace(choice, ids=_ids(folder, second))) / len(choice))


def _ids(folder: Path, run: Row) -> Ids:
    return chosen_ids(_table_of(folder / run["folder"]), "Delete it and report again to go without.")


def _table_of(run: Path) -> Path:
    table = run / EVIDENCE / TABLE
    return table if table.is_file() else run / TABLE_OF_RUN
