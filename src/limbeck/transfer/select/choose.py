"""`select`: the images of a set that are worth teaching on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.errors import UserError
from limbeck.precision import Precision
from limbeck.progress import Progress
from limbeck.randomness import check_seed
from limbeck.transfer.budget import Budget, parse_budget
from limbeck.transfer.choice import allocate
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.parts import ALLOCATIONS, SCORES
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.scoring.context import Represent, check_criterion, make_context
from limbeck.transfer.select.duplicates import distinct
from limbeck.transfer.selection import Selection

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

DEFAULT_CRITERION = "entropy"


def select(
    images: ImagesLike,
    *,
    criterion: str | Mapping[str, Any] | Callable[..., Any] | Criterion = DEFAULT_CRITERION,
    budget: str | int | float | Budget,
    seed: int = 0,
    teacher: "Classifier | str | Path | None" = None,
    dedupe: bool = False,
    function: Represent | None = None,
    score: str | Callable[..., Any] | None = None,
    folder: str | Path | None = None,
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> Selection:
    """Choose exactly as many distinct images as the budget says.

    The choice does not depend on the order in which the set stores its images. For random criteria over the whole set,
    the images for a smaller budget are among those for a larger one with the same seed.

    Args:
        images: what to choose from, or a data set's name, see `limbeck.load`; N images, labelled if the criterion or
            the budget works per class.
        criterion: a name of `CRITERIA`, parts joined by slashes ("hrgb/kmpc/ls"), a mapping of parts, or your own. Your
            own function, or its import path ("my_parts:busy"), is a score, see `score`.
        budget: a count (500), a share (0.1, "10%") or images per class ("50/class": 50 times the number of classes that
            have images, and exactly 50 of each if the criterion works per class).
        seed: of random scores and orders, of clusterings and of training; nothing else depends on it.
        teacher: for criteria that need one; a classifier, or whatever `load_model` takes.
        dedupe: choose among images of distinct content, see `distinct`; the budget counts these.
        function: from pixels uint8 `[B, C, H, W]` to features `[B, D]`, for the representation "function".
        score: how images are scored: a name, your own function to one number per image `[B]`, or its import path; of
            your own the highest are preferred, see `Criterion` for others. Its parameters say what it reads: `pixels`
            uint8 `[B, C, H, W]`, the teacher's `logits` `[B, K]`, `values` (the gray image) `[B, D]`, `labels`, `ids`
            and so on, see docs/plugins.md. With a `score`, `criterion` is a mapping of the other parts, such as
            {"order": "lowest"}.
        folder: where networks that a criterion trains are kept; by default in limbeck's cache.
        precision: of the teacher: "fp32", "bf16" (may order near ties differently), or "auto" for the fastest on the
            machine. The transfer set records it.
        progress: reports progress of scoring and training.

    Raises:
        UserError: an unknown criterion; a function that is not a score, or whose numbers are not finite; a budget that
            cannot be met exactly (see `Budget.resolve`); missing labels or teacher.

    Example:
        >>> transfer_set = select(images, criterion="entropy", budget="10%").transfer_set(images)
        >>> len(transfer_set.images)
        20
    """
    criterion, budget = find_criterion(_with_score(criterion, score)), parse_budget(budget)
    if function is not None and "function" not in criterion.represented:
        raise UserError(
            f"criterion {criterion.name!r} does not read the `function`; give {{'representation': 'function', ...}} as "
            "`criterion`, or the function as `score` if it gives one number per image."
        )
    check_seed(seed)
    images = as_image_set(images, "train", "images")
    context = make_context(teacher, folder, seed, progress, function, precision=precision)
    check_criterion(criterion, images, context)
    images = checked_pool(images, criterion, budget, dedupe=dedupe)
    return choose(PoolScores(images, context, progress=progress), criterion, budget)


def _with_score(criterion: Any, score: str | Callable[..., Any] | None) -> Any:
    """`criterion` with `score` as its score."""
    if score is None or (isinstance(criterion, str) and criterion == DEFAULT_CRITERION):
        return criterion if score is None else {"score": score, "name": SCORES.named(score)}
    if not isinstance(criterion, Mapping) or "score" in criterion:
        raise UserError(
            "beside `score`, `criterion` must be a mapping of the other parts, as {'allocation': 'top-n', 'order': "
            f"'lowest'}}, got {criterion!r}."
        )
    return {**criterion, "score": score}


def checked_pool(images: "ImageSet", criterion: Criterion, budget: Budget, *, dedupe: bool) -> "ImageSet":
    """The images to choose from, checked against the budget before anything is scored.

    Raises:
        UserError: see `Budget.resolve`.
    """
    pool = distinct(images) if dedupe else images
    try:
        budget.resolve(pool, per_class=criterion.per_class)
    except UserError as error:
        if len(pool) == len(images):
            raise
        raise UserError(f"{error} Without duplicates, {len(pool)} of {len(images)} images are left.") from None
    return pool


def choose(scores: PoolScores, criterion: Criterion, budget: Budget) -> Selection:
    """Chooses images by the scores of their pool, exactly as many as the budget says."""
    table = scores.table(criterion)
    features = scores.features(criterion) if ALLOCATIONS[criterion.allocation].greedy else None
    return allocate(table, criterion, budget, seed=scores.context.seed, features=features)
