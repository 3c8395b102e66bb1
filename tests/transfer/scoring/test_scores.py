import math
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import UserError
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.scoring.scores import (
    ScoreInputs,
    confidence,
    el2n,
    energy,
    entropy,
    entropy_of_logits,
    least_confidence,
    margin,
    minimal_margin,
    random,
    variance,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "select"

NOTHING = torch.empty(10_000, 0)


def draw(seed: int) -> torch.Tensor:
    return random(NOTHING, ScoreInputs(torch.arange(10_000), None, seed))


def test_entropy_by_hand():
    rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    assert entropy(rows, eps=0.0).tolist() == pytest.approx([0, math.log(2), math.log(4)])
    assert entropy(rows).tolist() == pytest.approx([-1e-7, math.log(2) - 2e-7, math.log(4) - 4e-7], abs=5e-8)


def test_random_depends_on_id_and_seed_alone():
    ids = torch.tensor([3, 5, 9])
    forward = random(NOTHING[:3], ScoreInputs(ids, None, 0))
    backward = random(NOTHING[:3], ScoreInputs(ids.flip(0), torch.tensor([1, 1, 0]), 0))
    assert torch.equal(forward, backward.flip(0))
    assert not torch.equal(draw(0), draw(1))


def test_random_is_uniform():
    values = draw(7)
    assert 0 <= values.min() <= values.max() < 1
    assert len(values.unique()) == len(values)
    counts = torch.histc(values, bins=20, min=0, max=1)
    assert ((counts - 500).square() / 500).sum() < 44  # chi squared, 19 degrees of freedom, p = 0.001


def test_entropy_of_logits_equals_the_golden_one():
    with np.load(GOLDEN / "logits.npz") as file:
        scores = entropy_of_logits(torch.from_numpy(file["in.logits"]))
        np.testing.assert_allclose(scores.numpy(), file["out.score"], rtol=1e-5)


LOGITS = torch.tensor([[2.0, 0.0, 1.0], [1e3, -1e3, 0.0], [5.0, 5.0, 5.0]])


def test_scores_of_logits_by_hand():
    first = LOGITS[0].double().softmax(0)
    assert margin(LOGITS).tolist() == pytest.approx([float(first[0] - first[2]), 1.0, 0.0])
    assert least_confidence(LOGITS).tolist() == pytest.approx([float(1 - first[0]), 0.0, 2 / 3])
    assert entropy_of_logits(LOGITS, eps=0.0).tolist() == pytest.approx(
        [float(torch.special.entr(first).sum()), 0.0, math.log(3)]
    )
    labels = torch.tensor([1, 0, 2])
    expected = [float((first - torch.tensor([0, 1, 0])).norm()), 0.0, math.sqrt(6) / 3]
    assert el2n(LOGITS, ScoreInputs(labels, labels, 0)).tolist() == pytest.approx(expected)


def test_confidence_and_energy_by_hand():
    """Exact for saturated logits, at any temperature."""
    first = LOGITS[0].double()
    assert confidence(LOGITS).tolist() == [float(first.softmax(0)[0]), 1.0, 1 / 3]
    assert energy(LOGITS).tolist() == pytest.approx(
        [-math.log(math.exp(2) + 1 + math.e), -1000, -5 - math.log(3)], rel=1e-15
    )
    assert energy(LOGITS)[1] == -1000
    assert confidence(LOGITS, temperature=4.0)[0] == float((first / 4).softmax(0)[0])
    warm = -4 * math.log(math.exp(0.5) + 1 + math.exp(0.25))
    assert energy(LOGITS, temperature=4.0)[0] == pytest.approx(warm, rel=1e-15)
    assert energy(LOGITS + 7).tolist() == pytest.approx((energy(LOGITS) - 7).tolist(), rel=1e-14)


def test_the_order_of_confidence_is_that_of_least_confidence_backwards():
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * 3
    assert torch.equal(confidence(logits).argsort(descending=True), least_confidence(logits).argsort())


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_temperature_is_above_0(value):
    with pytest.raises(UserError, match=f"`temperature` of a criterion must be above 0 and finite, got {value}"):
        Criterion(score="energy", options={"temperature": value})


def test_a_temperature_names_its_column():
    for value in (2, 2.0):
        assert (
            Criterion(score="energy", options={"temperature": value}).column == "energy:teacher-logits:temperature=2.0"
        )
    assert Criterion(score="confidence", options={"temperature": 1}).column == "confidence:teacher-logits"
    with pytest.raises(UserError, match="`temperature` of a criterion must be a number, got 'warm'"):
        Criterion(score="energy", options={"temperature": "warm"})


def test_minimal_margin_is_the_least_step_that_changes_the_answer():
    """The margin score of the literature, from logits and the head's weights, by moving an embedding by hand."""
    generator = torch.Generator().manual_seed(0)
    head, embeddings = torch.randn(5, 7, generator=generator), torch.randn(40, 7, generator=generator)
    logits = embeddings @ head.T
    scores = minimal_margin(logits, ScoreInputs(torch.arange(40), None, 0, head))
    order = logits.argsort(1, descending=True)
    for embedding, score, (top, second) in zip(embeddings.double(), scores, order[:, :2].tolist(), strict=True):
        away = (head[second] - head[top]).double()
        moved = head.double() @ (embedding + score * away / away.norm())
        assert float(moved[top]) == pytest.approx(float(moved[second]), abs=1e-5)


def test_classes_that_the_head_cannot_tell_apart_have_margin_zero():
    head = torch.ones(3, 4)
    assert minimal_margin(torch.ones(2, 3), ScoreInputs(torch.arange(2), None, 0, head)).tolist() == [0, 0]


def test_a_margin_needs_two_classes():
    with pytest.raises(UserError, match="at least 2 classes, got 1"):
        margin(torch.zeros(3, 1))


def test_variance_of_whole_numbers_is_exact():
    levels = torch.randint(0, 256, (9, 64), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    assert variance(levels).tolist() == pytest.approx(levels.double().var(1, correction=0).tolist(), rel=1e-14)
    assert variance(levels.float()).tolist() == pytest.approx(variance(levels).tolist(), rel=1e-12)
    assert variance(torch.full((2, 16), 200, dtype=torch.int32)).tolist() == [0, 0]
