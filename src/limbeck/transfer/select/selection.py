"""`select`: from an image set to the ids worth teaching on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.data import TransferSet
from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.progress import Progress
from limbeck.randomness import check_seed
from limbeck.transfer.allocation import ALLOCATIONS, Ranked, rank
from limbeck.transfer.budget import Budget, parse_budget
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.parts import ALLOCATIONS as ENTRIES
from limbeck.transfer.parts import REPRESENTATIONS
from limbeck.transfer.scoring.features import (
    Represent,
    ScoringContext,
    check_means,
    collect,
    make_context,
    representation,
)
from limbeck.transfer.scoring.score import representation_options, score_images
from limbeck.transfer.select.duplicates import distinct

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

_KEPT = 2**30
"""Bytes of a teacher's answers that are kept for later selections."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """Which of N images were chosen, and the score of every one of them.

    Attributes:
        positions: int64 `[n]`, where the chosen images stand in the set, most preferred first.
        all_ids: int64 `[N]`, of all images in the order of the set.
        labels: int64 `[N]` in the same order, or None.
        scores: float64 `[N]` in the same order.
        groups: int64 `[N]` in the same order: the cluster or stratum of each image; None where there are none.
        criterion, budget, seed: how they were chosen.
        source: name of the set they were chosen from.

    Example:
        >>> selection = select(images, criterion="variance", budget=20)
        >>> len(selection.ids), int(selection.chosen.sum()), len(selection.scores)
        (20, 20, 200)
    """

    positions: Tensor
    all_ids: Tensor
    labels: Tensor | None
    scores: Tensor
    groups: Tensor | None = None
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
            "criterion": self.criterion.described(),
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
        """One row per image of the set: id, label (null without labels), score, chosen, and group if there are any."""
        labels = pa.nulls(len(self.all_ids), pa.int64()) if self.labels is None else pa.array(self.labels.numpy())
        columns = {
            "id": self.all_ids.numpy(),
            "label": labels,
            "score": self.scores.numpy(),
            "chosen": self.chosen.numpy(),
        }
        return pa.table(columns if self.groups is None else columns | {"group": self.groups.numpy()})

    def to_parquet(self, path: str | Path) -> None:
        """Write `table` to `path`, whole or not at all."""
        with atomic_path(path) as temporary:
            pq.write_table(self.table(), temporary)


def select(
    images: "ImageSet",
    *,
    criterion: str | Mapping[str, Any] | Criterion = "entropy",
    budget: str | int | float | Budget,
    seed: int = 0,
    teacher: "Classifier | None" = None,
    dedupe: bool = False,
    function: Represent | None = None,
    folder: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    watch: Progress | None = None,
    known: dict[str, Tensor] | None = None,
) -> Selection:
    """Choose exactly as many distinct images as the budget says.

    The same images are chosen in whatever order the set stores them, and for random criteria a smaller budget's
    images (over the whole set) are among a larger one's of the same seed.

    Args:
        images: what to choose from; N images, labelled if the criterion or the budget goes by class.
        criterion: a name of `CRITERIA`, parts joined by slashes ("hrgb/kmpc/ls"), a mapping of parts, or one's own.
        budget: a count (500), a share (0.1, "10%") or images per class ("50/class": so many for every class that has
            images, and exactly that of each where the criterion goes by class).
        seed: of random scores and orders, of clusterings and of what is trained; nothing else depends on it.
        teacher: for criteria that ask one.
        dedupe: choose among images of distinct content, see `distinct`; the budget counts those.
        function: from pixels uint8 `[B, C, H, W]` to features `[B, D]`, for the representation "function".
        folder: where networks that a criterion trains are kept; by default in limbeck's cache.
        progress: called after every scored batch with the number of images in it.
        watch: told about training on the way.
        known: what earlier calls asked the same teacher about the same images; what this one asks is put there, too,
            where it takes no more than a gibibyte.

    Raises:
        UserError: unknown criterion; a budget that cannot be met exactly (see `Budget.resolve`); labels or teacher
            missing.

    Example:
        >>> transfer_set = select(images, criterion="entropy", budget="10%").transfer_set(images)
        >>> len(transfer_set.images)
        20
    """
    criterion, budget = find_criterion(criterion), parse_budget(budget)
    check_seed(seed)
    context = make_context(teacher, folder, seed, watch, function)
    check_means(criterion, images, context)
    whole = images
    if dedupe:
        images, known = distinct(images), None
    try:
        n = budget.resolve(images, per_class=criterion.per_class)
    except UserError as error:
        if len(images) == len(whole):
            raise
        raise UserError(f"{error} Without duplicates, {len(images)} of {len(whole)} images are left.") from None
    features = _whole(images, criterion, criterion.space, context, known) if criterion.space else None
    seen = features if criterion.space == criterion.representation else None
    if seen is None and known is not None and _worth_keeping(images, criterion.representation, context):
        seen = _whole(images, criterion, criterion.representation, context, known)
    scores = score_images(images, criterion, seed=seed, context=context, progress=progress, features=seen)
    positions, groups = allocate(criterion, n, scores, images.ids, images.labels, features, seed)
    return Selection(
        positions=positions,
        all_ids=images.ids,
        labels=images.labels,
        scores=scores,
        groups=groups,
        criterion=criterion,
        budget=budget,
        seed=seed,
        source=images.name,
    )


def allocate(
    criterion: Criterion,
    n: int,
    scores: Tensor,
    ids: Tensor,
    labels: Tensor | None,
    features: Tensor | None,
    seed: int,
) -> tuple[Tensor, Tensor | None]:
    """Positions int64 `[n]` of the chosen images, most preferred first, and the group `[N]` of every image, if any."""
    ranking = rank(scores, ids, criterion.order, seed=seed, stream=criterion.stream("order"))

    def ranked_features() -> Tensor:
        assert features is not None, "allocations that measure distances are given features"
        return features[ranking].float()

    entry = ENTRIES[criterion.allocation]
    ranked = Ranked(
        scores=scores[ranking],
        ids=ids[ranking],
        labels=None if labels is None else labels[ranking],
        features=cache(ranked_features),
        options={name: criterion.option(name) for name in entry.options},
        seed=seed,
    )
    rows, ranked_groups = ALLOCATIONS[criterion.allocation](ranked, n)
    assert len(rows) == n
    groups = None
    if ranked_groups is not None:
        groups = torch.empty_like(ranked_groups)
        groups[ranking] = ranked_groups
    return ranking[rows], groups


def _whole(
    images: "ImageSet", criterion: Criterion, name: str, context: ScoringContext, known: dict[str, Tensor] | None
) -> Tensor:
    """Features `[N, D]` of the whole set in the representation `name`."""
    if known is not None and name in known:
        return known[name]
    features = collect(images, representation(name, images, context, representation_options(criterion, name)))
    if known is not None and REPRESENTATIONS[name].reads == "teacher" and features.nbytes <= _KEPT:
        known[name] = features
    return features


def _worth_keeping(images: "ImageSet", name: str, context: ScoringContext) -> bool:
    """Whether the teacher's answers, of which a score sees a batch at a time, are few enough to be kept whole."""
    if name != "teacher-logits" or context.teacher is None:
        return False
    return len(images) * context.teacher.num_classes * torch.float32.itemsize <= _KEPT
