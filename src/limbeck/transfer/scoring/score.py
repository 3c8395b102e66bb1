"""Scoring a whole image set batch by batch; apart from the scores, memory does not grow with the set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck.data.storage import image_digests
from limbeck.errors import UserError
from limbeck.progress import Progress, Silent
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.part_entries import function_of
from limbeck.transfer.parts import REPRESENTATIONS, SCORES
from limbeck.transfer.scoring.context import ScoringContext, head_weights, labels_for
from limbeck.transfer.scoring.features import PixelFeatures, Representation, representation, together
from limbeck.transfer.scoring.scores import ScoreInputs

if TYPE_CHECKING:
    from limbeck.data import ImageSet

IDS_PER_BATCH = 2**20
BESIDE = {
    "digest": "128-bit hash of the pixels, as `ImageSet.digests` has it",
    "group": "number of the class that the teacher gives",
}
"""Columns that tables may have besides scores -> what they hold."""


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
        images: in memory or on disk; pixels are read once, or not at all if the criterion needs none.
        criterion: only its representation and score matter here.
        seed: of random scores and of training.
        context: teacher, folder and progress.
        progress: updated after every batch with the number of images scored.
        features: `[N, D]` of the criterion's representation, if already computed.
        whole: the set that `images` are a part of, if the scores depend on all of it; or, for average-adjusted
            histograms, its average histogram.

    Raises:
        UserError: a score is not finite.

    Example:
        >>> score_images(images, lb.Criterion(score="variance")).shape
        torch.Size([200])
    """
    arguments: dict[str, Any] = {"seed": seed, "context": context, "progress": progress, "features": features}
    average = whole if isinstance(whole, Tensor) else None
    part_of = None if isinstance(whole, Tensor) else whole
    return score_columns(images, {"": criterion}, whole=part_of, average=average, **arguments)[""]


def score_columns(
    images: "ImageSet",
    criteria: Mapping[str, Criterion],
    *,
    beside: Sequence[str] = (),
    seed: int = 0,
    context: ScoringContext | None = None,
    progress: Progress | None = None,
    features: Tensor | None = None,
    whole: "ImageSet | None" = None,
    average: Tensor | None = None,
) -> dict[str, Tensor]:
    """Scores of every image by several criteria, with one pass over the images and one teacher pass per image.

    Args:
        images, seed, context, progress: as for `score_images`.
        criteria: by the name of their column.
        beside: further columns, of `BESIDE`.
        features: `[N, D]` of the representation that all criteria share, if already computed.
        whole: the set that `images` are a part of.
        average: the average histogram of `whole`.

    Returns:
        float64 `[N]` for each criterion, then the columns `beside`: digests uint8 `[N, 16]`, groups int64 `[N]`.

    Raises:
        UserError: a score is not finite; or, with the column "group", the teacher's logits are NaN.

    Example:
        >>> found = score_columns(images, {"v": lb.Criterion(score="variance")}, beside=["digest"])
        >>> found["v"].shape, found["digest"].shape
        (torch.Size([200]), torch.Size([200, 16]))
    """
    context = ScoringContext(seed=seed) if context is None else context
    whole = images if whole is None else whole
    represent: dict[str, Representation] = {}
    columns: dict[str, _Column] = {}
    results: dict[str, Tensor] = {}
    for name, criterion in criteria.items():
        if SCORES[criterion.score].trains:
            results[name] = _trained(criterion, whole, context)[whole.positions(images.ids)]
            continue
        columns[name] = column = _Column(
            representation_name(criterion, criterion.representation), _scoring(criterion, images, context, seed)
        )
        if column.seen and features is None and column.seen not in represent:
            adjusted = average is not None and criterion.representation == "average-adjusted-histogram"
            options = representation_options(criterion, criterion.representation)
            source: Any = average if adjusted else whole
            represent[column.seen] = representation(criterion.representation, source, context, options)
    for name in beside:
        columns[name] = _beside(name, images, context, represent)
    title = f"scoring by {', '.join(dict.fromkeys(criterion.score for criterion in criteria.values()))}"
    results |= _filled(images, columns, represent, features, progress or Silent(), title)
    if "group" in results:
        _check_predicted(results["group"], images)
    for name, criterion in criteria.items():
        # Next to groups there may be scores that nobody chooses by; readers of a column check that it is finite.
        if not SCORES[criterion.score].trains and "group" not in results:
            check_finite(results[name], images, criterion)
    return {name: results[name] for name in (*criteria, *beside)}


@dataclass(frozen=True)
class _Column:
    """A column to compute.

    Attributes:
        seen: the representation that it is computed from, with its options; empty for none.
        of: function of positions int64 `[B]` and features `[B, D]`, giving `[B, ...]`.
    """

    seen: str
    of: Callable[[Tensor, Tensor], Tensor]


def _filled(
    images: "ImageSet",
    columns: Mapping[str, _Column],
    represent: Mapping[str, Representation],
    features: Tensor | None,
    progress: Progress,
    title: str,
) -> dict[str, Tensor]:
    """Computes all columns `[N, ...]`, batch by batch."""
    count, filled = len(images), dict[str, Tensor]()

    def fill(names: Sequence[str], positions: Tensor, seen: Mapping[str, Tensor]) -> None:
        for name in names:
            values = columns[name].of(positions, seen[columns[name].seen])
            if name not in filled:
                filled[name] = torch.empty(count, *values.shape[1:], dtype=values.dtype)
            filled[name][positions] = values

    at_hand = [name for name, column in columns.items() if column.seen not in represent]
    to_see = [name for name, column in columns.items() if column.seen in represent]
    progress.begin(title, count)
    try:
        for positions in torch.arange(count).split(IDS_PER_BATCH) if at_hand else ():
            kept = torch.empty(len(positions), 0) if features is None else features[positions]
            fill(at_hand, positions, {columns[name].seen: kept for name in at_hand})
            if not to_see:
                progress.update(int(positions[-1]) + 1)
        done = 0
        for positions, seen in together(images, represent) if to_see else ():
            fill(to_see, positions, seen)
            done += len(positions)
            progress.update(done)
    finally:
        progress.end()
    return filled


_OF_SEVERAL = ("entropy", "variance")
"""Scores that compare the numbers of an image with each other."""


def _scoring(
    criterion: Criterion, images: "ImageSet", context: ScoringContext, seed: int
) -> Callable[[Tensor, Tensor], Tensor]:
    """A function from positions and features to scores, float64 `[B]`."""
    score, needs_head = score_function(criterion), SCORES[criterion.score].head
    head = head_weights(context.teacher, criterion.score) if needs_head and context.teacher is not None else None
    labels, stream, shape = labels_for(criterion, images, context.teacher), criterion.stream("random"), images.shape

    def scored(positions: Tensor, features: Tensor) -> Tensor:
        if criterion.representation == "function" and features.shape[1] == 1 and criterion.score in _OF_SEVERAL:
            raise UserError(
                f"score {criterion.score!r} is 0 for all images where `function` gives one number for each; hand such "
                "a function over as `score`, or name a score that reads it."
            )
        batch_labels = None if labels is None else labels[positions]
        return score(features, ScoreInputs(images.ids[positions], batch_labels, seed, head, stream, shape)).double()

    return scored


def _beside(name: str, images: "ImageSet", context: ScoringContext, represent: dict[str, Representation]) -> _Column:
    """A column of `BESIDE`; adds its representation to `represent`."""
    if name == "digest":
        represent[name] = PixelFeatures(image_digests, context.meter)
        return _Column(name, lambda positions, digests: digests)
    assert name == "group", f"unknown column {name!r}"
    if "teacher-logits" not in represent:
        represent["teacher-logits"] = representation("teacher-logits", images, context)
    return _Column("teacher-logits", lambda positions, logits: predicted_class(logits))


def _trained(criterion: Criterion, whole: "ImageSet", context: ScoringContext) -> Tensor:
    """Scores of the whole set by a score that trains on it."""
    return score_function(criterion)(whole, context, **criterion.options_of(SCORES[criterion.score]))


def score_function(criterion: Criterion) -> Callable[..., Tensor]:
    """The criterion's score as a function of features, or of the whole set if the score trains."""
    entry, kind = SCORES[criterion.score], REPRESENTATIONS[criterion.representation].kind
    function = function_of(entry.functions.get(kind, next(iter(entry.functions.values()))))  # the first of "any" kind
    if entry.trains or not entry.options:
        return function
    return partial(function, **criterion.options_of(entry))


def predicted_class(logits: Tensor) -> Tensor:
    """The class of the largest logit (the first of several), int64 `[B]`; -1 if some logit is NaN.

    Example:
        >>> predicted_class(torch.tensor([[0.0, 2.0, 2.0], [float("nan"), 1.0, 0.0]]))
        tensor([ 1, -1])
    """
    return logits.argmax(1).masked_fill_(logits.isnan().any(1), -1)


def _check_predicted(groups: Tensor, images: "ImageSet") -> None:
    """Raises a UserError that names the first image without a predicted class."""
    broken = groups < 0
    if broken.any():
        first = images.ids[broken][0].item()
        raise UserError(
            f"the teacher's logits are not numbers for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look at these images, leave them out, or ask in another `precision`."
        )


def check_finite(scores: Tensor, images: "ImageSet", criterion: Criterion) -> None:
    """Raises a UserError that names the first image whose score is not finite."""
    broken = ~scores.isfinite()
    if broken.any():
        first = images.ids[broken][0].item()
        else_ask = "ask the teacher in another `precision`, " if criterion.needs_teacher else ""
        raise UserError(
            f"score {criterion.score!r} is not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look at these images, {else_ask}or choose another criterion."
        )


def representation_name(criterion: Criterion, name: str) -> str:
    """The name of a representation with the options that the criterion gives it; empty for "none"."""
    options = representation_options(criterion, name)
    return "" if name == "none" else ":".join([name, *(f"{key}={value}" for key, value in options.items())])


def representation_options(criterion: Criterion, name: str) -> dict[str, object]:
    """The options of the criterion that belong to the representation `name`."""
    return criterion.options_of(REPRESENTATIONS[name])
