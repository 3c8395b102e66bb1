"""Experts as straight lines."""

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.condense.experts.store import ExpertStore


class StraightStore:
    """Experts replaced by straight lines from their first to their last snapshot.

    Only these two snapshots are read; any number between theirs, whole or not, is a point of the line. Source: Zhong et
    al., "Dataset distillation by matching convexified trajectory", 2024, https://arxiv.org/abs/2406.19827.

    Args:
        store: of the experts.
    """

    def __init__(self, store: ExpertStore) -> None:
        self.store = store
        self.first, self.last = store.kept[0], store.kept[-1]

    @property
    def count(self) -> int:
        return self.store.count

    @property
    def snapshots(self) -> int:
        return self.store.snapshots

    def theta(self, expert: int, snapshot: float) -> Tensor:
        """Parameters float32 `[P]` of an expert at a point of its line.

        Raises:
            UserError: the point is beyond either end.
        """
        if not self.first <= snapshot <= self.last:
            raise UserError(f"`snapshot` must be from {self.first} to {self.last}, got {snapshot}.")
        share = (snapshot - self.first) / (self.last - self.first)
        return torch.lerp(self.store.theta(expert, self.first), self.store.theta(expert, self.last), share)
