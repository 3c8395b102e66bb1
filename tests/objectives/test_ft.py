"""Factor transfer against the reference's numbers, with its paraphraser's and translator's weights."""

import pytest
from tests.objectives.golden import Golden

from limbeck.errors import UserError
from limbeck.objectives import FT, weighted_sum


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("ft")
    objective = FT(factors=golden.hp["k"], power=golden.hp["p1"], norm=golden.hp["p2"])
    objective.build(golden.setup())
    objective.load_state_dict(golden.parameters)
    rebuilt = objective.rebuild((golden.inputs["teacher_stage"],))
    assert rebuilt.item() == pytest.approx(golden.results["reconstruction_mse"].item(), rel=1e-5)
    golden.check(objective((golden.inputs["student_stage"],), (golden.inputs["teacher_stage"],)))
    assert all(one.grad is None for one in objective.paraphraser.parameters())


def test_rate_of_the_paraphraser() -> None:
    made = weighted_sum({"cross_entropy": 1, "ft": {"preparing_rate": 1.0}})
    assert (made.preparing_rate, weighted_sum("ft").preparing_rate) == (1.0, 0.2)
    with pytest.raises(UserError, match="`preparing_rate` must be > 0, got 0"):
        weighted_sum({"ft": {"preparing_rate": 0.0}})
