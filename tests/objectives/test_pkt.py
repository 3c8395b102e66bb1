"""Probabilistic knowledge transfer against the reference's numbers."""

from tests.objectives.golden import Golden

from limbeck.objectives.functional import pkt


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("pkt")
    golden.check(pkt(**golden.inputs))
