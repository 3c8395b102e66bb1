"""Scoring a whole image set, batch by batch, in memory that does not grow with it (but for the scores)."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.progress import Progress, Silent
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import REPRESENTATIONS, SCORES, function_of
from limbeck.transfer.scoring.context import ScoringContext, head_weights, labels_for
from limbeck.transfer.scoring.features import representation
from limbeck.transfer.scoring.scores import ScoreInputs

if TYPE_CHECKING:
    from limbeck.data import ImageSet

IDS_PER_BATCH = 2**20


def score_images(
    images: "ImageSet",
    criterion: Criterion,
    *,
    seed: int = 0,
    context: ScoringContext | None = None,
    progress: Progress | None = None,
    features: Tensor | None = None,
    whole: "ImageSet | Tensor | None" = None,
) -> Tensor:
    """Score of every image, float64 `[N]` in the order in which the set stores them.

    Args:
        images: in memory or on disk; pixels are read once, and not at all where the criterion needs none.
        criterion: its representation and score count here.
        seed: for random scores, and for what is trained.
        context: teacher, folder and who watches.
        progress: told after every batch how many images are scored.
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
    score, entry = score_function(criterion), SCORES[criterion.score]
    if entry.trains:
        learned = images if whole is None or isinstance(whole, Tensor) else whole
        options = {name: criterion.option(name) for name in entry.options}
        return score(learned, context, **options)[learned.positions(images.ids)]
    head = head_weights(context.teacher) if entry.head and context.teacher is not None else None
    scores, stream = torch.empty(len(images), dtype=torch.float64), criterion.stream("random")
    labels, watch, done = labels_for(criterion, images, context.teacher), progress or Silent(), 0
    watch.begin(f"scoring by {criterion.score}", len(images))
    try:
        for positions, part in _features(images, criterion, context, features, images if whole is None else whole):
            here = None if labels is None else labels[positions]
            scores[positions] = score(part, ScoreInputs(images.ids[positions], here, seed, head, stream)).double()
            done += len(positions)
            watch.update(done)
    finally:
        watch.end()
    check_finite(scores, images, criterion)
    return scores


def score_function(criterion: Criterion) -> Callable[..., Tensor]:
    """The criterion's score as a function of its representation's features; of one that trains, of the whole set."""
    entry, kind = SCORES[criterion.score], REPRESENTATIONS[criterion.representation].kind
    function = function_of(entry.functions.get(kind, next(iter(entry.functions.values()))))  # the first of "any" kind
    if entry.trains or not entry.options:
        return function
    return partial(function, **{name: criterion.option(name) for name in entry.options})


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
