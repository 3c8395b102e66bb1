"""What every registered representation, score and allocation must do; a new one is covered by being registered."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.conftest import natural, reordered
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES, function_of
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import batch_size_for, collect, representation
from limbeck.transfer.scoring.score import score_function
from limbeck.transfer.scoring.scores import ScoreInputs
from limbeck.transfer.select import score_table, select, select_from_scores

SEEN = [name for name, entry in REPRESENTATIONS.items() if entry.kind != "nothing"]
NUMBERS = {"shares": (0.0, 1.0), "entropies": (0.0, 6.0), "values": (0.0, 1.0), "logits": (-1e3, 1e3)}
"""The least and the most that each kind of numbers may be."""


def few_epochs(name: str) -> dict[str, int]:
    """Options with which what is trained is trained quickly, and maps of few images are clustered."""
    entry: Any = REPRESENTATIONS.get(name) or SCORES.get(name) or ALLOCATIONS[name]
    return {"epochs": 1} if "epochs" in entry.options else {"clusters": 3} if "clusters" in entry.options else {}


def brightness(pixels: Tensor) -> Tensor:
    return pixels.flatten(1).float()


@pytest.fixture
def context(tmp_path: Path, teacher: Classifier) -> ScoringContext:
    return ScoringContext(teacher=teacher, folder=tmp_path / "networks", function=brightness)


def seen(name: str, images: ImageSet, context: ScoringContext) -> Tensor:
    return collect(images, representation(name, images, context, few_epochs(name)))


@pytest.mark.parametrize("name", SEEN)
def test_representations_are_rows_that_know_nothing_of_order_and_neighbours(
    name: str, context: ScoringContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = natural(70, channels=1, size=8)
    whole = seen(name, images, context)
    assert whole.shape[0] == 70
    assert whole.ndim == 2
    assert whole.isfinite().all()
    shuffled = reordered(images, 3)
    places = images.positions(shuffled.ids)
    torch.testing.assert_close(seen(name, shuffled, context), whole[places], rtol=1e-5, atol=1e-5)
    assert torch.equal(seen(name, images, context), whole), "same seed, same numbers"
    monkeypatch.setattr("limbeck.transfer.scoring.features.PIXELS_PER_BATCH", 64 * 16)
    monkeypatch.setattr("limbeck.transfer.scoring.features.FEWEST_IMAGES", 1)
    assert batch_size_for(images) == 16
    torch.testing.assert_close(seen(name, images, context), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("channels", [1, 3])
def test_representations_of_saturated_images_are_finite(name: str, channels: int, tmp_path: Path) -> None:
    levels = torch.tensor([0, 255, 128, 0], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, channels, 16, 16).clone()
    levels[3, :, ::2] = 255
    images = ImageSet(levels, torch.tensor([0, 1, 0, 1]))
    if REPRESENTATIONS[name].reads == "teacher":
        from limbeck.models import create

        teacher = create("resnet8", num_classes=2, channels=channels, input_size=16)
    else:
        teacher = None
    given = ScoringContext(teacher=teacher, folder=tmp_path, function=brightness)
    features = seen(name, images, given)
    assert features.isfinite().all()
    criterion = Criterion(representation=name, options=few_epochs(name))
    scores = score_function(criterion)(features, ScoreInputs(images.ids, images.labels, 0))
    assert scores.dtype == torch.float64
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", [name for name in SCORES if not SCORES[name].trains])
def test_scores_of_saturated_numbers_are_finite(name: str) -> None:
    ids, labels = torch.arange(6), torch.tensor([0, 1, 2, 0, 1, 2])
    for kind, function in SCORES[name].functions.items():
        low, high = NUMBERS.get(kind, (0.0, 1.0))
        features = torch.full((6, 3), low)
        features[1:3] = high
        features[3:, 0] = high
        scores = function_of(function)(features, ScoreInputs(ids, labels, 0, torch.eye(3)))
        assert scores.shape == (6,)
        assert scores.dtype == torch.float64
        assert scores.isfinite().all(), kind


@pytest.mark.parametrize("name", SCORES)
def test_scores_belong_to_images(name: str, context: ScoringContext, tmp_path: Path, teacher: Classifier) -> None:
    """Whatever their order, and read from a file or not."""
    images = natural(40, size=8)
    criterion = Criterion(score=name, options=few_epochs(name))
    scores = select(images, criterion=criterion, budget=8, teacher=teacher, folder=tmp_path).scores
    shuffled = reordered(images, 3)
    again = select(shuffled, criterion=criterion, budget=8, teacher=teacher, folder=tmp_path).scores
    torch.testing.assert_close(again, scores[images.positions(shuffled.ids)], rtol=1e-5, atol=1e-6)
    kept = [PoolScores(images, context, tmp_path / "kept").table(criterion) for _ in range(2)]
    path = score_table(images, tmp_path / "scores.parquet", criteria=[criterion], teacher=teacher, folder=tmp_path)
    for table in (*kept, path):
        assert torch.equal(select_from_scores(table, criterion=criterion, budget=8).scores, scores)


@pytest.mark.parametrize("name", ALLOCATIONS)
@pytest.mark.parametrize("order", ["highest", "lowest", "random"])
def test_allocations_choose_exactly_the_same_images(name: str, order: Any, tmp_path: Path) -> None:
    images = natural(40)
    criterion = Criterion(score="entropy", allocation=name, order=order, options=few_epochs(name))
    path = (
        None if ALLOCATIONS[name].greedy else score_table(images, tmp_path / "s.parquet", criteria=[criterion], seed=5)
    )
    for n in (4, 9, 40):
        chosen = select(images, criterion=criterion, budget=n, seed=5)
        assert len(chosen.ids.unique()) == n
        assert torch.equal(select(images, criterion=criterion, budget=n, seed=5).ids, chosen.ids)
        shuffled = select(reordered(images, n), criterion=criterion, budget=n, seed=5)
        assert torch.equal(shuffled.ids, chosen.ids)
        if path is not None:
            from_table = select_from_scores(path, criterion=criterion, budget=n, seed=5)
            assert torch.equal(from_table.ids, chosen.ids)
            assert (from_table.groups is None) == (chosen.groups is None)
            if from_table.groups is not None and chosen.groups is not None:
                assert torch.equal(from_table.groups, chosen.groups)
        if ALLOCATIONS[name].per_class:
            taken = images.subset(chosen.ids).class_counts()
            assert int(taken.max() - taken[taken < images.class_counts()].min()) <= 1 if n < 40 else taken.sum() == 40


@pytest.mark.parametrize("name", ALLOCATIONS)
def test_allocations_break_ties_by_id(name: str) -> None:
    """Of images that are all alike those of lowest id are chosen, but where chance or distance decides."""
    images = ImageSet(
        torch.full((12, 1, 8, 8), 9, dtype=torch.uint8), torch.arange(12) % 3, ids=torch.arange(12).flip(0)
    )
    criterion = Criterion(score="entropy", allocation=name, options=few_epochs(name))
    chosen = select(images, criterion=criterion, budget=6).ids.tolist()
    assert len(set(chosen)) == 6
    if not name.startswith("coverage"):
        assert sorted(chosen) == list(range(6))
