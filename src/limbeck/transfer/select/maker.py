"""`select` as a maker: the images of the pool that a criterion prefers."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_set_rows import Column
from limbeck.data.transfer_source import FixedSource, TransferSource
from limbeck.errors import UserError
from limbeck.files import atomic_path, disk_errors
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.choice import allocate
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.maker import Made, MakerContext
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.score_table.read import METADATA
from limbeck.transfer.scoring.context import ScoringContext, check_criterion, check_without_teacher, make_context
from limbeck.transfer.select.choose import checked_pool
from limbeck.transfer.select.evidence import evidence_of
from limbeck.transfer.select.settings import SelectSettings
from limbeck.transfer.selection import Selection

if TYPE_CHECKING:
    from limbeck.data import ImageSet

CHOSEN = "chosen.parquet"
"""File in the maker's folder with the chosen images."""
_SCORES = "scores"


class SelectMaker:
    """Chooses from the pool, see `limbeck.select`; the transfer set is in the order of ids.

    Results for the pool (scores, clusters, the teacher's logits) are kept in the shared folder of a comparison, where
    every budget, seed and criterion that needs them finds them; each of them counts their cost.

    Example:
        >>> context = MakerContext(folder=Path("made"), pool=images, classes=images.classes, shape=images.shape)
        >>> made = SelectMaker().make(SelectSettings(criterion="variance", budget="2/class"), context)
        >>> len(made.source.images(0)), made.cost.images_read
        (20, 200)
    """

    findable: ClassVar[tuple[str, ...]] = (_SCORES,)

    def count(self, settings: SelectSettings, context: MakerContext) -> int:
        criterion, pool = find_criterion(settings.criterion), _pool(context)
        check_without_teacher(criterion, pool, _scoring(context))
        pool = checked_pool(pool, criterion, parse_budget(settings.budget), dedupe=settings.dedupe)
        return parse_budget(settings.budget).resolve(pool, per_class=criterion.per_class)

    def make(self, settings: SelectSettings, context: MakerContext) -> Made:
        criterion, budget, whole = find_criterion(settings.criterion), parse_budget(settings.budget), _pool(context)
        scoring = _scoring(context)
        check_criterion(criterion, whole, scoring)
        pool = checked_pool(whole, criterion, budget, dedupe=settings.dedupe)
        folder = (context.shared or context.folder) / _SCORES
        scores = PoolScores(pool, scoring, folder, context.progress, own=context.shared is None)
        table = scores.table(criterion)
        features = scores.features(criterion) if ALLOCATIONS[criterion.allocation].greedy else None
        began = time.perf_counter()
        selection = allocate(table, criterion, budget, seed=context.seed, features=features)
        transfer_set = _by_id(selection.transfer_set(pool))
        cost = sum(scores.costs.values(), Cost(seconds=time.perf_counter() - began))
        _save(context.folder, transfer_set, selection, whole)
        return Made(source=FixedSource(transfer_set), cost=cost, evidence=evidence_of(selection, pool))

    def load(self, settings: SelectSettings, context: MakerContext) -> TransferSource:
        path, pool = context.folder / CHOSEN, _pool(context)
        mend = f"remove the folder {str(context.folder)!r}, so that it is made again."
        if not path.is_file():
            raise UserError(f"there is no {str(path)!r}, the images that were chosen; {mend}")
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[METADATA])
            fingerprint, description = about["pool"], dict(about["about"])
            ids = torch.from_numpy(table["id"].to_numpy().copy())
            columns = {name: _column(table[name]) for name in table.column_names if name not in ("id", "place")}
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{str(path)!r} is damaged ({error}); {mend}") from error
        if fingerprint != pool.fingerprint:
            raise UserError(
                f"{str(path)!r} was chosen from images of fingerprint {fingerprint}, and those of {pool.name!r} have "
                f"{pool.fingerprint}; give the same images, or choose again in another folder."
            )
        return FixedSource(TransferSet(pool.subset(ids), provenance=columns, about=description))

    def evidence(self, settings: SelectSettings, context: MakerContext, source: TransferSource) -> Evidence | None:
        """None: there are no rounds, so the evidence of `make` is final."""


def _pool(context: MakerContext) -> "ImageSet":
    assert context.pool is not None, "makers that need a pool are refused without one before"
    return context.pool


def _scoring(context: MakerContext) -> ScoringContext:
    options: dict[str, Any] = {"device": context.device, "precision": context.precision}
    return make_context(context.teacher, None, context.seed, context.progress, **options)


def _by_id(chosen: TransferSet) -> TransferSet:
    """The same images in the order of their ids, in which students see them."""
    order = chosen.images.ids.argsort()
    provenance = {
        name: column[order] if isinstance(column, Tensor) else [column[place] for place in order.tolist()]
        for name, column in chosen.provenance.items()
    }
    return TransferSet(chosen.images.subset(chosen.images.ids[order]), provenance=provenance, about=chosen.about)


def _save(folder: Path, made: TransferSet, selection: Selection, pool: "ImageSet") -> None:
    """Saves a row for each chosen image: id, place in the order of preference, and provenance."""
    place = selection.ids.argsort()  # the images are in the order of their ids
    columns = {"id": made.images.ids, "place": place, **made.provenance}
    arrays = {name: column.numpy() if isinstance(column, Tensor) else column for name, column in columns.items()}
    about = {"pool": pool.fingerprint, "about": dict(made.about)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / CHOSEN) as temporary:
        pq.write_table(pa.table(arrays).replace_schema_metadata({METADATA: json.dumps(about)}), temporary)


def _column(column: pa.ChunkedArray) -> Column:
    if pa.types.is_string(column.type):
        return column.to_pylist()
    return torch.from_numpy(column.to_numpy().copy())  # Arrow's memory is read-only
