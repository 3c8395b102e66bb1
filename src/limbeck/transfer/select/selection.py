"""`select`: from an image set to the ids worth teaching on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.data import TransferSet
from limbeck.files import atomic_path
from limbeck.transfer.select.allocation import ALLOCATIONS, rank
from limbeck.transfer.select.budget import Budget, parse_budget
from limbeck.transfer.select.catalogue import Criterion, find_criterion
from limbeck.transfer.select.scoring import score_images

if TYPE_CHECKING:
    from limbeck.data import ImageSet


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """Which of N images were chosen, and the score of every one of them.

    Attributes:
        positions: int64 `[n]`, where the chosen images stand in the set, most preferred first.
        all_ids: int64 `[N]`, of all images in the order of the set.
        labels: int64 `[N]` in the same order, or None.
        scores: float64 `[N]` in the same order.
        criterion, budget, seed: how they were chosen.
        source: name of the set they were chosen from.
    """

    positions: Tensor
    all_ids: Tensor
    labels: Tensor | None
    scores: Tensor
    criterion: Criterion
    budget: Budget
    seed: int
    source: str

    @cached_property
    def ids(self) -> Tensor:
        """Ids of the chosen images, int64 `[n]`, most preferred first."""
        return self.all_ids[self.positions]

    @cached_property
    def chosen(self) -> Tensor:
        """Whether each image was chosen, bool `[N]` in the order of the set."""
        mask = torch.zeros(len(self.all_ids), dtype=torch.bool)
        mask[self.positions] = True
        return mask

    def transfer_set(self, images: "ImageSet") -> TransferSet:
        """The chosen images with their provenance; `images` is the set they were chosen from (or holds it)."""
        about = {
            "maker": f"select/{self.criterion.name}",
            "criterion": asdict(self.criterion),
            "budget": self.budget.label,
            "seed": self.seed,
        }
        return TransferSet(images.subset(self.ids), provenance=self.provenance(), about=about)

    def provenance(self) -> dict[str, list[str] | Tensor]:
        """One row per chosen image, most preferred first: source, source_id, score, maker."""
        return {
            "source": [self.source] * len(self.ids),
            "source_id": self.ids,
            "score": self.scores[self.positions],
            "maker": [f"select/{self.criterion.name}"] * len(self.ids),
        }

    def table(self) -> pa.Table:
        """One row per image of the set: id, label (null without labels), score, chosen."""
        labels = pa.nulls(len(self.all_ids), pa.int64()) if self.labels is None else pa.array(self.labels.numpy())
        return pa.table(
            {
                "id": self.all_ids.numpy(),
                "label": labels,
                "score": self.scores.numpy(),
                "chosen": self.chosen.numpy(),
            }
        )

    def to_parquet(self, path: str | Path) -> None:
        """Write `table` to `path`, whole or not at all."""
        with atomic_path(path) as temporary:
            pq.write_table(self.table(), temporary)


def select(
    images: "ImageSet",
    *,
    criterion: str | Criterion = "entropy",
    budget: str | int | float | Budget,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Selection:
    """Choose exactly as many distinct images as the budget says.

    The same images are chosen in whatever order the set stores them, and for random criteria a smaller budget's
    images (over the whole set) are among a larger one's of the same seed.

    Args:
        images: what to choose from; N images, labelled if the criterion or the budget goes by class.
        criterion: a name of `CRITERIA`, or one's own.
        budget: a count (500), a share (0.1, "10%") or images per class ("50/class").
        seed: of random criteria; the others do not depend on it.
        progress: called after every scored batch with the number of images in it.

    Raises:
        UserError: unknown criterion; a budget that cannot be met exactly (see `Budget.resolve`); labels missing.

    Example:
        >>> images = lb.load("cifar10")
        >>> transfer_set = lb.select(images, criterion="entropy", budget="10%").transfer_set(images)
    """
    criterion, budget = find_criterion(criterion), parse_budget(budget)
    n = budget.resolve(images, per_class=criterion.per_class)
    scores = score_images(images, criterion, seed=seed, progress=progress)
    ranking = rank(scores, images.ids, criterion.order)
    positions = ALLOCATIONS[criterion.allocation](ranking, n, images.labels)
    assert len(positions) == n
    return Selection(
        positions=positions,
        all_ids=images.ids,
        labels=images.labels,
        scores=scores,
        criterion=criterion,
        budget=budget,
        seed=seed,
        source=images.name,
    )
