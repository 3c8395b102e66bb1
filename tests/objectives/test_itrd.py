"""Information-theoretic distillation against the reference's numbers."""

from tests.objectives.golden import Golden

from limbeck.objectives import ITRD


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("itrd", "extras")
    objective = ITRD(correlation_weight=1.0, mutual_weight=1.0)
    objective.build(golden.setup())
    golden.linear(objective.student_linear, "embed.linear")
    golden.check(objective(**golden.inputs))
