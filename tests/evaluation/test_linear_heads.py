"""Linear heads: what they equal, what they choose, that nothing in them is left to chance."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from limbeck.evaluation.linear_heads import (
    STRENGTHS,
    Schedule,
    choose_strength,
    fit_l2,
    fit_l2_path,
    fit_schedule,
    published_schedule,
)
from limbeck.evaluation.metrics import top_k_accuracy


def clouds(count: int = 120, classes: int = 3, spread: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian clouds in five dimensions, one for each class."""
    source = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, 5, generator=torch.Generator().manual_seed(99)) * 3
    labels = torch.arange(count) % classes
    return centres[labels] + spread * torch.randn(count, 5, generator=source), labels


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_l2_equals_scikit_learn(classes: int) -> None:
    features, labels = clouds(classes=classes, spread=3)
    rows = ((features - features.mean(0)) / features.std(0, correction=0)).double().numpy()
    reference = LogisticRegression(C=1 / (0.01 * len(rows)), tol=1e-8, max_iter=1000).fit(rows, labels.numpy())
    head = fit_l2(features, labels, classes, 0.01)
    expected = torch.from_numpy(reference.predict_proba(rows))
    assert torch.allclose(head(features).double().softmax(1), expected, atol=1e-5)
    assert head.converged


@pytest.mark.parametrize("strength", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("kind", ["correlated", "wide", "rare", "scaled"])
def test_l2_reaches_the_minimum_on_hard_features(kind: str, strength: float) -> None:
    """Against scikit-learn with a far smaller tolerance; with its default one they differ by up to 5."""
    source = torch.Generator().manual_seed(5)
    labels = torch.arange(150) % 3 if kind != "rare" else (torch.arange(150) < 4).long()
    features = torch.randn(150, 20 if kind != "wide" else 200, generator=source)
    features[:, :3] += labels[:, None]
    if kind == "correlated":  # as embeddings are: a few strong directions, and little else
        features = features[:, :4] @ torch.randn(4, 20, generator=source) + 0.01 * features
    if kind == "scaled":
        features *= torch.logspace(-4, 4, 20)
    rows = ((features.double() - features.mean(0)) / features.std(0, correction=0)).numpy()
    exact = LogisticRegression(C=1 / (strength * 150), tol=1e-10, max_iter=100_000).fit(rows, labels.numpy())
    head = fit_l2(features, labels, int(labels.max()) + 1, strength)
    assert head.converged
    difference = head(features).double().log_softmax(1) - torch.from_numpy(exact.predict_log_proba(rows))
    assert difference.abs().max() < 0.05


def test_l2_is_the_minimum_of_its_loss() -> None:
    features, labels = clouds(spread=3)
    head = fit_l2(features, labels, 3, 0.01)

    def loss(weight: Tensor) -> float:
        logits = functional.linear((features - head.mean) / head.scale, weight, head.bias)
        return (functional.cross_entropy(logits, labels) + 0.005 * weight.square().sum()).item()

    least = loss(head.weight)
    for seed in range(20):
        push = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)) * 0.05
        assert loss(head.weight + push) > least


def test_separable_clouds_are_told_apart_by_both() -> None:
    (features, labels), (new, new_labels) = clouds(spread=0.3), clouds(spread=0.3, seed=1)
    plan = Schedule(epochs=6, milestones=(3, 5))
    for head in (fit_l2(features, labels, 3, 1e-3), fit_schedule(features, labels, 3, plan, seed=0)):
        assert top_k_accuracy(head(new), new_labels) == 1.0


def test_same_head_every_time() -> None:
    features, labels = clouds(spread=3)
    assert torch.equal(fit_l2(features, labels, 3, 0.1).weight, fit_l2(features, labels, 3, 0.1).weight)
    plan = Schedule(epochs=2)
    first, again, other = (fit_schedule(features, labels, 3, plan, seed=seed).weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_path_equals_single_fits() -> None:
    features, labels = clouds(spread=3)
    strengths = [1.0, 0.1, 0.01]
    for strength, head in zip(strengths, fit_l2_path(features, labels, 3, strengths), strict=True):
        alone = fit_l2(features, labels, 3, strength)
        assert torch.allclose(head(features).softmax(1), alone(features).softmax(1), atol=1e-4)


def test_features_that_never_change_and_classes_without_images() -> None:
    features, labels = clouds()
    features = torch.cat([features, torch.full((len(features), 1), 1e4)], 1)
    head = fit_l2(features, labels * 2, 6, 0.01)
    logits = head(features)
    assert (logits[:, 1::2] == -torch.inf).all()
    assert logits[:, ::2].isfinite().all()
    assert top_k_accuracy(logits, labels * 2) > 0.9
    assert torch.equal(head.weight[:, -1], torch.zeros(6))


def test_strength_is_chosen_by_held_out_images_alone() -> None:
    source = torch.Generator().manual_seed(0)
    features, labels = torch.randn(60, 40, generator=source), torch.arange(60) % 3
    held_out = torch.arange(60) % 5 == 0
    chosen, strengths = choose_strength(features, labels, 3, held_out)
    assert chosen == STRENGTHS[0]  # noise is best ignored
    assert len(strengths) == 3
    features, labels = clouds(spread=0.3)
    held_out = torch.arange(len(labels)) % 5 == 0
    chosen, strengths = choose_strength(features, labels, 3, held_out)
    assert chosen < 0.05
    assert chosen == min(strengths, key=lambda row: row["nll"])["strength"]


@settings(max_examples=25, deadline=None)
@example([1, 1, 1, 0, 0, 0, 0, 0], 0)  # all of a class held out, and nothing else
@given(st.lists(st.integers(0, 3), min_size=8, max_size=30), st.integers(0, 100))
def test_any_labels_of_two_classes_can_be_fitted(drawn: list[int], seed: int) -> None:
    labels = torch.tensor([*drawn, 0, 0, 3, 3])
    features = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(labels), 3)).astype(np.float32))
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    held_out[[0, 1, 2]] = True
    chosen, strengths = choose_strength(features, labels, 4, held_out, (1.0, 0.1))
    assert chosen in (1.0, 0.1)
    assert all(np.isfinite(row["nll"]) for row in strengths)


def test_published_schedule() -> None:
    assert published_schedule("wrn_16_2") == Schedule(
        epochs=120, batch_size=64, learning_rate=0.05, milestones=(30, 60, 90), decay=0.1, weight_decay=5e-4
    )
    assert {published_schedule(name).learning_rate for name in ("MobileNetV2", "ShuffleV1", "ShuffleV2")} == {0.01}
