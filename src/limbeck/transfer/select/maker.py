"""`select` as a maker."""

import pyarrow.parquet as pq
import torch

from limbeck.cost import Cost
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource, TransferSource
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.maker import Made, MakerContext
from limbeck.transfer.scoring.features import check_installed
from limbeck.transfer.select.selection import select
from limbeck.transfer.select.settings import SelectSettings


class SelectMaker:
    """Stand-in."""

    def count(self, settings: SelectSettings, context: MakerContext) -> int:
        criterion = find_criterion(settings.criterion)
        check_installed(criterion)
        assert context.pool is not None
        return parse_budget(settings.budget).resolve(context.pool, per_class=criterion.per_class)

    def make(self, settings: SelectSettings, context: MakerContext) -> Made:
        assert context.pool is not None
        selection = select(
            context.pool,
            criterion=settings.criterion,
            budget=settings.budget,
            seed=context.seed,
            teacher=context.teacher,
            watch=context.progress,
        )
        selection.to_parquet(context.folder / "selection.parquet")
        evidence = Evidence(
            headline="chosen",
            rows=lambda: iter([{"id": selection.all_ids.numpy(), "chosen": selection.chosen.numpy()}]),
        )
        return Made(source=self._source(context, selection.ids), cost=Cost(), evidence=evidence)

    def load(self, settings: SelectSettings, context: MakerContext) -> TransferSource:
        table = pq.read_table(context.folder / "selection.parquet")
        ids = torch.from_numpy(table["id"].to_numpy()[table["chosen"].to_numpy()].copy())
        return self._source(context, ids)

    def _source(self, context: MakerContext, ids: torch.Tensor) -> FixedSource:
        assert context.pool is not None
        return FixedSource(TransferSet(context.pool.subset(ids.sort().values)))

    def evidence(self, settings: SelectSettings, context: MakerContext, source: TransferSource) -> Evidence | None:
        return None
