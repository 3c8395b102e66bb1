"""Weighted soft labels against the reference's numbers."""

import torch
from tests.objectives.golden import Golden

from limbeck.objectives.functional import cross_entropy, wsld


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("wsld", "extras")
    labels = golden.inputs.pop("label")
    golden.check(wsld(**golden.inputs, labels=labels, temperature=golden.hp["T"], alpha=golden.hp["alpha"]))


def test_labels_are_a_term_that_can_be_left_out() -> None:
    student, teacher, labels = torch.randn(5, 7), torch.randn(5, 7), torch.arange(5)
    parts = wsld(student, teacher, labels, hard=0.0) + cross_entropy(student, labels)
    torch.testing.assert_close(wsld(student, teacher, labels), parts)
