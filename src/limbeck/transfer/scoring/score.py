"""Scoring a whole image set, batch by batch, in memory that does not grow with it (but for the scores)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import REPRESENTATIONS
from limbeck.transfer.parts import SCORES as ENTRIES
from limbeck.transfer.scoring.features import (
    ScoringContext,
    head_weights,
    labels_for,
    representation,
)
from limbeck.transfer.scoring.scores import SCORES, ScoreInputs, entropy_of_logits

if TYPE_CHECKING:
    from limbeck.data import ImageSet

IDS_PER_BATCH = 2**20

Score = Callable[[Tensor, ScoreInputs], Tensor]


def score_images(
    images: "ImageSet",
    criterion: Criterion,
    *,
    seed: int = 0,
    context: ScoringContext | None = None,
    progress: Callable[[int], None] | None = None,
    features: Tensor | None = None,
    whole: "ImageSet | Tensor | None" = None,
) -> Tensor:
    """Score of every image, float64 `[N]` in the order in which the set stores them.

    Args:
        images: in memory or on disk; pixels are read once, and not at all where the criterion needs none.
        criterion: its representation and score count here.
        seed: for random scores, and for what is trained.
        context: teacher, folder and who watches.
        progress: called after every batch with the number of images in it.
        features: `[N, D]` of the criterion's representation, where they are there already.
        whole: the set that `images` are a part of, where the scores depend on all of it; or, for average-adjusted
            histograms, its average one.

    Raises:
        UserError: a score is not finite.

    Example:
        >>> score_images(images, lb.Criterion(score="variance")).shape
        torch.Size([200])
    """
    context = ScoringContext(seed=seed) if context is None else context
    if ENTRIES[criterion.score].trains:
        from limbeck.transfer.scoring.forgetting import forgetting

        learned = images if whole is None or isinstance(whole, Tensor) else whole
        scores = forgetting(learned, context, model=criterion.option("model"), epochs=criterion.option("epochs"))
        return scores[learned.positions(images.ids)]
    head = head_weights(context.teacher) if ENTRIES[criterion.score].head and context.teacher is not None else None
    score, stream = score_function(criterion), criterion.stream("random")
    scores = torch.empty(len(images), dtype=torch.float64)
    labels = labels_for(criterion, images, context.teacher)
    for positions, part in _features(images, criterion, context, features, images if whole is None else whole):
        here = None if labels is None else labels[positions]
        scores[positions] = score(part, ScoreInputs(images.ids[positions], here, seed, head, stream)).double()
        if progress is not None:
            progress(len(positions))
    check_finite(scores, images, criterion)
    return scores


def score_function(criterion: Criterion) -> Score:
    """The criterion's score as a function of its representation's features."""
    if criterion.score == "entropy" and criterion.representation == "teacher-logits":
        return entropy_of_logits
    return SCORES[criterion.score]


def check_finite(scores: Tensor, images: "ImageSet", criterion: Criterion) -> None:
    """Raises a UserError that names the first image whose score is not finite."""
    broken = ~scores.isfinite()
    if broken.any():
        first = images.ids[broken][0].item()
        raise UserError(
            f"score {criterion.score!r} is not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look at these images, or choose another criterion."
        )


def _features(
    images: "ImageSet",
    criterion: Criterion,
    context: ScoringContext,
    features: Tensor | None,
    whole: "ImageSet | Tensor",
) -> Iterator[tuple[Tensor, Tensor]]:
    """(positions int64 [B], features [B, D]); D = 0 without a representation."""
    name = criterion.representation
    if name == "none" or features is not None:
        for positions in torch.arange(len(images)).split(IDS_PER_BATCH):
            yield positions, torch.empty(len(positions), 0) if features is None else features[positions]
        return
    yield from representation(name, whole, context, representation_options(criterion, name)).over(images)


def representation_options(criterion: Criterion, name: str) -> dict[str, object]:
    """The options of the criterion's that go to the representation `name`."""
    return {option: criterion.option(option) for option in REPRESENTATIONS[name].options}
