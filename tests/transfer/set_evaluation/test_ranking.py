"""DD-Ranking measured: which students are taught on which images, and the scores that follow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.set_evaluation.test_set_evaluation import USE, first_images

import limbeck as lb
from limbeck.errors import UserError
from limbeck.evaluation.dd_ranking import augmentation_robust_score, label_robust_score
from limbeck.transfer.set_evaluation import ranking
from limbeck.transfer.set_evaluation.accuracies import NetworkAccuracy
from limbeck.transfer.set_evaluation.ranking import Ranking, rank_set

Call = tuple[lb.TransferSet, dict[str, Any]]


@pytest.fixture(scope="module")
def train() -> lb.ImageSet:
    return lb.load("digits")


@pytest.fixture(scope="module")
def test() -> lb.ImageSet:
    images = lb.load("digits", "test")
    return images.subset(images.ids[:100])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The calls that would teach; the accuracies follow from their options."""
    seen: list[Call] = []

    def fake(chosen: lb.TransferSet, test: lb.ImageSet, **how: Any) -> list[NetworkAccuracy]:
        seen.append((chosen, how))
        seeds = how["seeds"] if isinstance(how["seeds"], list) else list(range(how["seeds"]))
        base = 0.8 if len(chosen) > 100 else 0.5 if how["training"] == {"views": "none"} else 0.6
        top1 = [base - (0.1 if how.get("labels") == "hard" else 0) - seed / 100 for seed in seeds]
        rate = how["rate"] if isinstance(how.get("rate"), float) else 0.05
        return [
            NetworkAccuracy(
                network="convnet_d3",
                model="convnet_d3",
                options={},
                seeds=seeds,
                top1=top1,
                labels=how.get("labels", "kept"),
                protocol="kept",
                learning_rate=rate,
                tried={},
                steps=1,
                seconds=1.0,
            )
        ]

    monkeypatch.setattr(ranking, "evaluate_set", fake)
    return seen


def test_the_scores_are_those_of_the_accuracies(
    calls: list[Call], train: lb.ImageSet, test: lb.ImageSet, tmp_path: Path
) -> None:
    chosen = lb.TransferSet(first_images(2), use=USE)
    scores = rank_set(chosen, test, train, full=0.8, seeds=2, rates=(0.1, 0.2), folder=tmp_path)
    means = {name: accuracy.mean for name, accuracy in scores.accuracies.items()}
    assert means["set"] == pytest.approx(0.595)
    assert scores.label_robust == label_robust_score(
        full_hard=0.8,
        synthetic_hard=means["set, hard labels"],
        synthetic=means["set"],
        random=means["random images"],
    )
    assert scores.augmentation_robust == augmentation_robust_score(
        synthetic=means["set"],
        random=means["random images"],
        synthetic_plain=means["set without augmentation"],
        random_plain=means["random images without augmentation"],
    )
    assert scores.to_dict()["label_robust"]["hard_label_recovery"] == scores.label_robust.hard_label_recovery
    searched = [options.get("rate") for _, options in calls]
    assert searched == [None, "search", "search", 0.05, None, "search", 0.05]
    draws = [taught for taught, options in calls if taught.images.name == chosen.images.name and taught is not chosen]
    for draw in draws:
        assert draw.images.class_counts().tolist() == [2] * 10
        assert draw.use == chosen.use
    assert draws[0].images.fingerprint == draws[2].images.fingerprint != draws[1].images.fingerprint
    held_out = calls[1][1]["validation"]
    assert not set(held_out.ids.tolist()) & {identity for draw in draws for identity in draw.images.ids.tolist()}
    assert len({options["folder"] for _, options in calls}) == len(calls)


def test_the_full_data_are_taught_on_where_no_figure_is_given(
    calls: list[Call], train: lb.ImageSet, test: lb.ImageSet
) -> None:
    chosen = lb.TransferSet(first_images(1), use=USE)
    scores = rank_set(chosen, test, train, full={"epochs": 5}, seeds=1)
    taught, options = calls[-1]
    assert options["training"] == {"epochs": 5}
    assert options["labels"] == "hard"
    assert taught.use == {"student": USE["student"]}
    assert len(taught) == 1437, "all of them, those that choose rates for others, too"
    assert scores.full == pytest.approx(0.7)


def test_images_that_choose_rates_are_not_drawn_as_random_ones(
    calls: list[Call], train: lb.ImageSet, test: lb.ImageSet
) -> None:
    chosen = lb.TransferSet(first_images(1), use=USE)
    left = torch.cat([train.ids[(train.labels == label).nonzero().flatten()[:3]] for label in range(10)])
    choosing = train.subset(train.ids[~torch.isin(train.ids, left)])
    rank_set(chosen, test, train, full={"epochs": 5}, seeds=1, validation=choosing)
    draws = [taught.images for taught, options in calls if options["seeds"] == [0]]
    assert len(draws) == 2
    for drawn in draws:
        assert set(drawn.ids.tolist()) <= set(left.tolist())
    assert calls[1][1]["validation"] is choosing
    assert len(calls[-1][0]) == len(train)
    with pytest.raises(UserError, match=r"`validation` must leave images of `train` to draw at random, got all 1,437"):
        rank_set(chosen, test, train, full=0.8, validation=train)


def test_random_images_have_labels_of_the_same_kind(calls: list[Call], train: lb.ImageSet, test: lb.ImageSet) -> None:
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    chosen = lb.TransferSet(first_images(1), logits, use=USE, soft_label_kind="logits")
    with pytest.raises(
        UserError, match=r"`teacher` must give random images soft labels, as the set has them, got None"
    ):
        rank_set(chosen, test, train, full=0.8)
    names = train.classes[::-1]
    teacher = lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, width=4, classes=names).eval()
    rank_set(chosen, test, train, full=0.8, seeds=1, teacher=teacher)
    draw = calls[2][0]
    assert draw.soft_labels is not None
    expected = teacher(draw.images.tensor()).logits.flip(1)
    assert torch.allclose(draw.soft_labels, expected, atol=1e-5)
    hard = replace(chosen, use={**USE, "objective": {"cross_entropy": 1.0}})
    rank_set(hard, test, train, full=0.8, seeds=1)
    assert calls[-1][0].soft_labels is None


def test_classes_of_a_set_without_labels_are_its_most_probable_ones(
    calls: list[Call], train: lb.ImageSet, test: lb.ImageSet
) -> None:
    images = first_images(1)
    sure = torch.nn.functional.one_hot(torch.tensor([3] * 4 + [7] * 6), 10).float()
    chosen = lb.TransferSet(
        images.with_labels(None, images.classes), sure, use={**USE, "objective": {"cross_entropy": 1.0}}
    )
    rank_set(chosen, test, train, full=0.8, seeds=1)
    assert calls[2][0].images.class_counts().tolist() == [0, 0, 0, 4, 0, 0, 0, 6, 0, 0]


def test_random_images_are_as_many_as_students_see(calls: list[Call], train: lb.ImageSet, test: lb.ImageSet) -> None:
    chosen = lb.TransferSet(first_images(1), use=USE, per_image=4)
    rank_set(chosen, test, train, full=0.8, seeds=1)
    draws = [taught for taught, _ in calls if taught is not chosen]
    assert len(draws) == 2
    for draw in draws:
        assert draw.per_image == 1
        assert draw.images.class_counts().tolist() == [4] * 10
    few = train.subset(torch.cat([train.ids[train.labels == label][:3] for label in range(10)]))
    with pytest.raises(UserError, match=r"`train` must have 4 images of '0' to draw at random, as the set has, got 3"):
        rank_set(chosen, test, few, full=0.8, seeds=1, validation=test)


def test_what_cannot_be_ranked(calls: list[Call], train: lb.ImageSet, test: lb.ImageSet) -> None:
    chosen = lb.TransferSet(first_images(1), use=USE)
    with pytest.raises(UserError, match=r"`full` must be the accuracy after all the real images, 0 to 1, .* got 84.8"):
        rank_set(chosen, test, train, full=84.8)
    with pytest.raises(UserError, match=r"`train` must be labelled real images, got 'digits/train' without labels"):
        rank_set(chosen, test, train.with_labels(None, train.classes), full=0.8)
    assert train.labels is not None
    without = train.subset(train.ids[train.labels > 0])
    with pytest.raises(UserError, match=r"`train` must have 1 images of '0' to draw at random, as the set has, got 0"):
        rank_set(chosen, test, without, full=0.8)
    bare = lb.TransferSet(chosen.images.with_labels(None, chosen.images.classes), use=USE)
    with pytest.raises(UserError, match=r"must have labels to be ranked, got none at all"):
        rank_set(bare, test, train, full=0.8)
    assert not calls


def test_it_is_measured_for_real(train: lb.ImageSet, test: lb.ImageSet) -> None:
    chosen = lb.TransferSet(first_images(1), use=USE)
    scores = rank_set(chosen, test, train, full=0.9, seeds=1, rates=(0.05,))
    assert isinstance(scores, Ranking)
    assert scores.network == "convnet_d3 (width 4)"
    assert 0 <= scores.label_robust.score <= 1
