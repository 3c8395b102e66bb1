"""DIST: blind to scale and shift of probabilities."""

import numpy as np
import pytest
import torch

from limbeck.objectives.functional import dist


def test_correlations_by_numpy() -> None:
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    p, q = (logits.div(4).softmax(1).double().numpy() for logits in (student, teacher))
    classes = 1 - np.mean([np.corrcoef(p[i], q[i])[0, 1] for i in range(6)])
    images = 1 - np.mean([np.corrcoef(p[:, k], q[:, k])[0, 1] for k in range(5)])
    assert dist(student, teacher, beta=2, gamma=3).item() == pytest.approx(16 * (2 * classes + 3 * images), rel=1e-3)


def test_the_teacher_itself_has_loss_zero() -> None:
    logits = 10 * torch.randn(6, 5)
    assert dist(logits, logits).item() == pytest.approx(0, abs=1e-3)
