"""The chosen rows of the table of the pools, and how many images there were to choose from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.rows import is_in

if TYPE_CHECKING:
    from limbeck.transfer.borrow.chosen import Chosen

Array = NDArray[Any]
CONFIDENCE = criterion_by("confidence").column
_COLUMNS = ("id", "source", "group", "native")


@dataclass(frozen=True, eq=False)
class Considered:
    """Counts of all images, and the rows of the n that were chosen, each once.

    Attributes:
        sizes: number of images of each pool and class, int64 `[P, K]`.
        chosen: number of those chosen, int64 `[P, K]`.
        rows: "id", "source", "group", "native" int64 `[n]` and "confidence" float64 `[n]`, NaN where unknown.
    """

    sizes: Array
    chosen: Array
    rows: Mapping[str, Array]


def marked(
    table: ScoreTable, chosen: "Chosen", *columns: str, among: Array | None = None
) -> Iterator[dict[str, Array]]:
    """Batches of a table's columns, with a mask "chosen", bool `[B]`.

    Args:
        table: of the pools.
        chosen: from the table.
        columns: to read besides "id" and "source".
        among: bool `[n]`, which of the chosen rows to mark; None for all.
    """
    ids, sources = (column if among is None else column[among] for column in (chosen.rows.ids, chosen.rows.sources))
    for batch in table.batches(*dict.fromkeys(("id", "source", *columns))):
        yield {**batch, "chosen": is_in(batch["id"], batch["source"], ids, sources)}


def considered(table: ScoreTable, chosen: "Chosen") -> Considered:
    """Counts and chosen rows, from one pass over the table; memory grows only with the number chosen."""
    pools, classes = len(table.sources), len(chosen.classes)
    sizes, counts = np.zeros((2, pools * classes), dtype=np.int64)
    sure = (CONFIDENCE,) if table.has(CONFIDENCE) else ()
    parts: list[dict[str, Array]] = []
    for batch in marked(table, chosen, *_COLUMNS, *sure):
        places, is_chosen = batch["source"] * classes + batch["group"], batch["chosen"]
        sizes += np.bincount(places, minlength=len(sizes))
        counts += np.bincount(places[is_chosen], minlength=len(sizes))
        unknown = np.full(is_chosen.sum(), np.nan)
        parts.append({name: batch[name][is_chosen] for name in _COLUMNS} | {"confidence": unknown})
        if sure:
            parts[-1]["confidence"] = batch[CONFIDENCE][is_chosen]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in (*_COLUMNS, "confidence")}
    order = np.lexsort((rows["id"], rows["source"]))
    return Considered(
        sizes.reshape(pools, classes),
        counts.reshape(pools, classes),
        {name: column[order] for name, column in rows.items()},
    )
