"""Images of several pools as one transfer set, each with its pool and its id there."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.joined import content_ids, join
from limbeck.data.procedural.arguments import is_procedural
from limbeck.data.storage import DIGEST_BYTES
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_set_rows import Column, column_rows
from limbeck.models import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.transfer.borrow.chosen import Chosen, looked_up
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.pools import Pool
from limbeck.transfer.borrow.settings import BorrowSettings
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.score_table.read import ScoreTable


def transfer_set_of(
    chosen: Chosen,
    table: ScoreTable,
    pools: Sequence[Pool],
    settings: BorrowSettings,
    classes: Sequence[str],
    teacher: Classifier,
) -> TransferSet:
    """The chosen images with their provenance, in the order of their ids, which are derived from their content.

    Args:
        chosen: from the table.
        table: of these pools.
        pools: in any order.
        settings: by which they were chosen.
        classes: of the student.
        teacher: by which they were chosen.
    """
    rows = chosen.rows
    sources = [chosen.sources[place] for place in rows.sources.tolist()]
    images = images_of(pools, sources, rows.ids, rows.copies, classes)
    order = images.ids.argsort()
    columns = {name: column_rows(column, order) for name, column in _provenance(chosen, table, pools, sources).items()}
    about = {
        "maker": "borrow",
        "by": settings.shares,
        "budget": parse_budget(settings.budget).label,
        "teacher": {"name": teacher.name, "fingerprint": fingerprint(teacher)},
        "pools": {pool.name: _about_pool(pool, table) for pool in sorted(pools, key=lambda pool: pool.name)},
        "seed": chosen.seed,
        **settings.model_dump(mode="json", include={"threshold", "fill", "short", "exclude", "overlap"}),
    }
    if "precision" in table.about:
        about["precision"] = table.about["precision"]  # of the teacher
    return TransferSet(images.subset(images.ids[order]), provenance=columns, about=about)


def _about_pool(pool: Pool, table: ScoreTable) -> dict[str, Any]:
    """Settings to open the pool again, as in a recipe, and the fingerprint of its images."""
    settings = pool.settings
    about = {"name": settings.name, "split": settings.split, **settings.model_dump(mode="json", exclude_defaults=True)}
    if is_procedural(settings.name):
        about = {**about, "seed": settings.seed}
        del about["split"]
    recorded = table.about.get("pools", {}).get(pool.name, {}).get("fingerprint")
    return about if recorded is None else {**about, "fingerprint": recorded}  # which tables of earlier versions lack


def images_of(
    pools: Sequence[Pool], sources: Sequence[str], ids: np.ndarray, copies: np.ndarray, classes: Sequence[str]
) -> ImageSet:
    """Images of several pools, with ids derived from their content.

    Args:
        pools: distinct by name.
        sources: name of the pool of each image.
        ids: int64 `[n]`, in the pool.
        copies: int64 `[n]`, 0, and other numbers for repetitions of an image, which get ids of their own.
        classes: of the student.

    Raises:
        UserError: a pool has no such id.
    """
    place_of = {pool.name: place for place, pool in enumerate(pools)}
    places = torch.tensor([place_of[name] for name in sources])
    positions = torch.empty_like(places)
    for place, pool in enumerate(pools):
        in_pool = places == place
        if in_pool.any():
            positions[in_pool] = pool.images.positions(torch.from_numpy(ids)[in_pool])
    name = " + ".join(sorted(set(sources)))
    sets = [pool.images for pool in pools]
    numbered = join(sets, places, positions, ids=torch.arange(len(places)), classes=classes, name=name)
    own_ids = _ids(numbered.digests(), copies)
    return join(sets, places, positions, ids=own_ids, classes=classes, name=name)


def _ids(digests: Tensor, copies: np.ndarray) -> Tensor:
    """Ids from the content, and from the number of the copy unless it is the first."""
    digests = digests.clone()
    for row in np.flatnonzero(copies).tolist():
        digest = hashlib.blake2b(digests[row].numpy().tobytes(), digest_size=DIGEST_BYTES, salt=b"%d" % copies[row])
        digests[row] = torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)
    return content_ids(digests)


def _provenance(chosen: Chosen, table: ScoreTable, pools: Sequence[Pool], sources: list[str]) -> dict[str, Column]:
    """One row per image, in the order in which they were chosen."""
    rows, names = chosen.rows, [part.by for part in chosen.parts]
    scored = {by: criterion_by(by).column for by in names if criterion_by(by).score != "random"}
    confidence = criterion_by("confidence").column
    wanted = [name for name in ("native", confidence) if table.has(name)]
    pairs, first = np.unique(np.stack([rows.sources, rows.ids]), axis=1, return_inverse=True)
    table_columns = looked_up(table, pairs[0], pairs[1], *dict.fromkeys([*wanted, *scored.values()]))
    table_columns = {name: values[first.reshape(-1)] for name, values in table_columns.items()}
    by = [names[part] for part in rows.parts.tolist()]
    scores: list[Any] = [None] * len(rows)
    for part, name in enumerate(names):
        for row in np.flatnonzero(rows.parts == part).tolist() if name in scored else ():
            scores[row] = float(table_columns[scored[name]][row])
    columns: dict[str, Column] = {
        "source": sources,
        "source_id": torch.from_numpy(rows.ids),
        "score": scores,
        "criterion": by,
        "maker": [f"borrow/{name}" for name in by],
        "predicted_class": [chosen.classes[group] for group in rows.groups.tolist()],
    }
    if confidence in table_columns:
        columns["confidence"] = torch.from_numpy(table_columns[confidence])
    if "native" in table_columns:
        called = {pool.name: pool.images.classes for pool in pools}
        native = zip(sources, table_columns["native"].astype(np.int64).tolist(), strict=True)
        columns["native_class"] = [None if number < 0 else called[name][number] for name, number in native]
    if rows.copies.any():
        columns["copy"] = torch.from_numpy(rows.copies)
    return columns
