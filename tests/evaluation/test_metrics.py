import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import log_loss, top_k_accuracy_score

from limbeck.evaluation import metrics

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0], [4.0, 3.0, 0.0]])
LABELS = torch.tensor([0, 2, 2, 1])


@st.composite
def predictions(draw):
    seed, n, classes = draw(st.integers(0, 2**31)), draw(st.integers(1, 40)), draw(st.integers(3, 8))
    source = torch.Generator().manual_seed(seed)
    scale = draw(st.sampled_from([0.1, 1.0, 30.0]))
    logits = torch.randn(n, classes, generator=source) * scale
    return logits, torch.randint(classes, (n,), generator=source)


def test_values_by_hand():
    assert metrics.top_k_accuracy(LOGITS, LABELS, 1) == 0.5
    assert metrics.top_k_accuracy(LOGITS, LABELS, 2) == 1.0
    assert metrics.confusion_matrix(LOGITS, LABELS).tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    assert metrics.per_class_accuracy(LOGITS, LABELS).tolist() == [1.0, 0.0, 0.5]


def test_class_without_images_has_no_accuracy():
    assert math.isnan(metrics.per_class_accuracy(LOGITS, torch.tensor([0, 0, 2, 2]))[1])


def test_ties_go_to_the_lower_class():
    logits = torch.zeros(3, 4)
    assert metrics.top_k_accuracy(logits, torch.tensor([0, 1, 2]), 1) == pytest.approx(1 / 3)
    assert metrics.top_k_accuracy(logits, torch.tensor([0, 1, 2]), 2) == pytest.approx(2 / 3)
    assert metrics.confusion_matrix(logits, torch.tensor([0, 1, 2]))[:, 0].tolist() == [1, 1, 1, 0]


@given(predictions())
def test_agrees_with_sklearn(case):
    logits, labels = case
    classes = np.arange(logits.shape[1])
    log_probabilities = logits.double().log_softmax(1)
    for k in (1, 2):
        expected = top_k_accuracy_score(labels, log_probabilities, k=k, labels=classes)
        assert metrics.top_k_accuracy(logits, labels, k) == pytest.approx(expected)
    if log_probabilities.min() > -30:  # sklearn clips probabilities
        expected = log_loss(labels, log_probabilities.exp(), labels=classes)
        assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(expected, rel=1e-6)
    expected = sklearn_confusion(labels, logits.argmax(1), labels=classes)
    assert (metrics.confusion_matrix(logits, labels).numpy() == expected).all()


def test_calibration_error_by_hand():
    # Confidences 0.8, 0.8 (one of two right) and 0.55 (right): 2/3 |0.5 - 0.8| + 1/3 |1 - 0.55|.
    logits = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.55, 0.45]]).log()
    error = metrics.expected_calibration_error(logits, torch.tensor([0, 1, 0]))
    assert error == pytest.approx(2 / 3 * 0.3 + 1 / 3 * 0.45, rel=1e-6)


def test_calibration_error_of_one_bin_is_the_gap_of_the_means():
    confidence = LOGITS.softmax(1).max(1).values.mean().item()
    error = metrics.expected_calibration_error(LOGITS, LABELS, bins=1)
    assert error == pytest.approx(abs(0.5 - confidence), rel=1e-6)


@given(predictions())
def test_calibration_error_is_a_loop_over_bins(case):
    logits, labels = case
    confidence, predicted = logits.double().softmax(1).max(1)
    right = (predicted == labels).double()
    expected = 0.0
    for b in range(15):
        inside = (confidence * 15 > b) & (confidence * 15 <= b + 1)
        if inside.any():
            expected += inside.double().mean() * (right[inside].mean() - confidence[inside].mean()).abs()
    assert metrics.expected_calibration_error(logits, labels) == pytest.approx(float(expected), abs=1e-9)


def test_saturated_logits_stay_finite():
    logits = torch.tensor([[1e3, -1e3], [-1e3, 1e3], [1e3, -1e3]])
    labels = torch.tensor([0, 1, 1])
    assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(2000 / 3)
    assert metrics.expected_calibration_error(logits, labels) == pytest.approx(1 / 3)
    assert metrics.top_k_accuracy(logits, labels) == pytest.approx(2 / 3)
