"""Factor transfer against the reference's numbers, with its paraphraser's and translator's weights."""

import pytest
from tests.objectives.golden import Golden

from limbeck.objectives import FT


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("ft")
    objective = FT(factors=golden.hp["k"], power=golden.hp["p1"], norm=golden.hp["p2"])
    objective.build(golden.setup())
    objective.load_state_dict(golden.parameters)
    rebuilt = objective.rebuild((golden.inputs["teacher_stage"],))
    assert rebuilt.item() == pytest.approx(golden.results["reconstruction_mse"].item(), rel=1e-5)
    golden.check(objective((golden.inputs["student_stage"],), (golden.inputs["teacher_stage"],)))
    assert all(one.grad is None for one in objective.paraphraser.parameters())
