"""What every representation, score and allocation must do."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier, create
from limbeck.testing.assertions import ensure, ensure_close, ensure_equal, ensure_finite
from limbeck.testing.images import natural, reordered, saturated
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import collect, representation
from limbeck.transfer.scoring.score import score_function
from limbeck.transfer.scoring.scores import ScoreInputs
from limbeck.transfer.select import score_table, select, select_from_scores

Options = dict[str, Any]

NUMBERS = {"shares": (0.0, 1.0), "entropies": (0.0, 6.0), "values": (0.0, 1.0), "logits": (-1e3, 1e3)}
"""The least and the most that each kind of numbers may be."""


def brightness(pixels: Tensor) -> Tensor:
    """Stands in for a function of the user's own."""
    return pixels.flatten(1).float()


def teacher_for(images: ImageSet) -> Classifier:
    """An untrained teacher."""
    channels, side, _ = images.shape
    return create("resnet8", num_classes=images.num_classes, channels=channels, seed=1, input_size=side)


def _context(images: ImageSet, folder: str) -> ScoringContext:
    return ScoringContext(teacher=teacher_for(images), folder=Path(folder), function=brightness)


def rows_know_nothing_of_order_and_neighbours(name: str, options: Options) -> None:
    """A row of numbers for each image, whatever stands beside it, in which order, and in batches of which size."""
    images = natural(70, channels=1, size=8)
    with TemporaryDirectory() as folder:
        context = _context(images, folder)
        represent = representation(name, images, context, options)
        whole = collect(images, represent)
        ensure(whole.ndim == 2 and len(whole) == 70, f"{name} must give 70 rows for 70 images, got {list(whole.shape)}")
        ensure_finite(whole, f"what {name} sees")
        shuffled = reordered(images, 3)
        again = collect(shuffled, representation(name, shuffled, context, options))
        other = f"what {name} sees of an image must not depend on"
        ensure_close(again, whole[images.positions(shuffled.ids)], f"{other} the order of the images")
        repeated = collect(images, representation(name, images, context, options))
        ensure_equal(repeated, whole, f"{name} of one seed must see the same twice")
        parts = torch.cat([represent(images.gather(rows)) for rows in torch.arange(70).split(16)])
        ensure_close(parts, whole, f"{other} the size of the batch")


def saturated_images_are_finite(name: str, options: Options, *, channels: int) -> None:
    """Black, white and striped images, and the scores of them."""
    images = saturated(channels)
    with TemporaryDirectory() as folder:
        features = collect(images, representation(name, images, _context(images, folder), options))
    ensure_finite(features, f"what {name} sees of black and white")
    scores = score_function(Criterion(representation=name, options=options))(
        features, ScoreInputs(images.ids, images.labels, 0)
    )
    ensure(scores.dtype == torch.float64, f"scores must be float64, got {scores.dtype}")
    ensure_finite(scores, f"the score {REPRESENTATIONS[name].score!r} of what {name} sees")


def saturated_numbers_are_finite(name: str, options: Options) -> None:
    """The least and most that features can be, and a row's score does not depend on the others'."""
    entry = SCORES[name]
    if entry.trains:
        return
    ids, labels = torch.arange(6), torch.tensor([0, 1, 2, 0, 1, 2])
    for kind in entry.functions:
        of_images = entry.representation == "pixels"
        low, high = (0.0, 1.0) if of_images else NUMBERS.get(kind, (0.0, 1.0))
        features = torch.full((6, 3 * 4 * 4 if of_images else 3), low)
        features[1:3] = high
        features[3:, 0] = high
        seen = next((key for key, part in REPRESENTATIONS.items() if part.kind == kind), "none")
        seen, shape = ("pixels", (3, 4, 4)) if of_images else (seen, None)
        score = score_function(Criterion(score=name, representation=seen, options=options))
        scores = score(features, ScoreInputs(ids, labels, 0, torch.eye(3), shape=shape))
        ensure(scores.shape == (6,), f"{name} must give one number for each of 6 images, got {list(scores.shape)}")
        ensure(scores.dtype == torch.float64, f"scores must be float64, got {scores.dtype}")
        ensure_finite(scores, f"{name} of {kind}")
        last = score(features[4:], ScoreInputs(ids[4:], labels[4:], 0, torch.eye(3), shape=shape))
        ensure_close(last, scores[4:], f"{name} of an image must not depend on the others of a batch")


def scores_belong_to_images(name: str, options: Options) -> None:
    """Whatever their order, and read from a file or not."""
    images = natural(40, size=8)
    criterion = Criterion(score=name, options=options)
    with TemporaryDirectory() as place:
        folder = Path(place)
        inputs: dict[str, Any] = {"teacher": teacher_for(images), "folder": folder}
        scores = select(images, criterion=criterion, budget=8, **inputs).scores
        shuffled = reordered(images, 3)
        again = select(shuffled, criterion=criterion, budget=8, **inputs).scores
        expected = scores[images.positions(shuffled.ids)]
        ensure_close(again, expected, f"{name} must not depend on the order of the images", abs=1e-6)
        context = _context(images, place)
        tables = [PoolScores(images, context, folder / "kept").table(criterion) for _ in range(2)]
        path = score_table(images, folder / "scores.parquet", criteria=[criterion], **inputs)
        for table in (*tables, path):
            from_table = select_from_scores(table, criterion=criterion, budget=8).scores
            ensure_equal(from_table, scores, f"{name} must be the same from a table of scores")


def exactly_the_same_images_are_chosen(name: str, options: Options, *, order: Any) -> None:
    """As many as the budget says, whatever the order of the images, and from a table of scores."""
    images, entry = natural(40), ALLOCATIONS[name]
    criterion = Criterion(score="entropy", allocation=name, order=order, options=options)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.parquet"
        path = None if entry.greedy else score_table(images, path, criteria=[criterion], seed=5)
        for n in (4, 9, 40):
            chosen = select(images, criterion=criterion, budget=n, seed=5)
            ensure(len(chosen.ids.unique()) == n, f"{name} must choose {n} images, got {len(chosen.ids.unique())}")
            again = select(images, criterion=criterion, budget=n, seed=5)
            ensure_equal(again.ids, chosen.ids, f"{name} of one seed must choose the same twice")
            shuffled = select(reordered(images, n), criterion=criterion, budget=n, seed=5)
            ensure_equal(shuffled.ids, chosen.ids, f"{name} must not depend on the order of the images")
            if path is not None:
                _check_from_table(name, select_from_scores(path, criterion=criterion, budget=n, seed=5), chosen)
            if entry.per_class:
                _check_balance(name, images, chosen.ids, n)


def _check_from_table(name: str, found: Any, chosen: Any) -> None:
    ensure_equal(found.ids, chosen.ids, f"{name} must choose the same from a table of scores")
    ensure((found.groups is None) == (chosen.groups is None), f"{name} must tell its groups from a table, too")
    if found.groups is not None and chosen.groups is not None:
        ensure_equal(found.groups, chosen.groups, f"{name} must find the same groups from a table of scores")


def _check_balance(name: str, images: ImageSet, ids: Tensor, n: int) -> None:
    counts = images.subset(ids).class_counts()
    if n == len(images):
        ensure(int(counts.sum()) == n, f"{name} must take all images, got {int(counts.sum())}")
        return
    gap = int(counts.max() - counts[counts < images.class_counts()].min())
    ensure(gap <= 1, f"{name} must take equal shares of the classes, got {counts.tolist()}")


_ALIKE = ImageSet(torch.full((12, 1, 8, 8), 9, dtype=torch.uint8), torch.arange(12) % 3, ids=torch.arange(12).flip(0))


def _chosen_of_alike(criterion: Criterion) -> list[int]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* the same score")  # as is meant here
        return select(_ALIKE, criterion=criterion, budget=6).ids.tolist()


def images_that_are_alike_are_chosen_once(name: str, options: Options) -> None:
    criterion = Criterion(score="entropy", allocation=name, options=options)
    chosen = _chosen_of_alike(criterion)
    ensure(len(set(chosen)) == 6, f"{name} must choose 6 images of 12 that are alike, got {chosen}")


def ties_are_broken_by_id(name: str, options: Options) -> None:
    """Of images that are all alike those of lowest id are chosen, but where chance or distance decides."""
    criterion = Criterion(score="entropy", allocation=name, options=options)
    chosen = sorted(_chosen_of_alike(criterion))
    ensure(chosen == list(range(6)), f"{name} must prefer low ids among images that are alike, got {chosen}")


REPRESENTATION_CHECKS: Mapping[str, Callable[..., None]] = {
    "rows know nothing of order and neighbours": rows_know_nothing_of_order_and_neighbours,
    "saturated gray images are finite": partial(saturated_images_are_finite, channels=1),
    "saturated colour images are finite": partial(saturated_images_are_finite, channels=3),
}
SCORE_CHECKS: Mapping[str, Callable[..., None]] = {
    "saturated numbers are finite": saturated_numbers_are_finite,
    "scores belong to images": scores_belong_to_images,
}
ALLOCATION_CHECKS: Mapping[str, Callable[..., None]] = {
    **{
        f"exactly the same images are chosen, {order}": partial(exactly_the_same_images_are_chosen, order=order)
        for order in ("highest", "lowest", "random")
    },
    "images that are alike are chosen once": images_that_are_alike_are_chosen_once,
    "ties are broken by id": ties_are_broken_by_id,
}
