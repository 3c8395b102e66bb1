"""Factor transfer against the reference's numbers, with its paraphraser's and translator's weights."""

import pytest
import torch
from tests.objectives.golden import Golden
from tests.objectives.pairs import Pair
from torch import nn

from limbeck.errors import UserError
from limbeck.objectives import FT, weighted_sum
from limbeck.objectives.functional import whole_factors


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("ft")
    objective = FT(factors=golden.hp["k"], power=golden.hp["p1"], norm=golden.hp["p2"])
    objective.build(golden.setup())
    objective.load_state_dict(golden.parameters)
    rebuilt = objective.rebuild((golden.inputs["teacher_stage"],))
    assert rebuilt.item() == pytest.approx(golden.results["reconstruction_mse"].item(), rel=1e-5)
    golden.check(objective((golden.inputs["student_stage"],), (golden.inputs["teacher_stage"],)))
    assert all(parameter.grad is None for parameter in objective.paraphraser.parameters())


def test_rate_of_the_paraphraser() -> None:
    objective = weighted_sum({"cross_entropy": 1, "ft": {"preparing_rate": 1.0}})
    assert (objective.preparing_rate, weighted_sum("ft").preparing_rate) == (1.0, 0.2)
    with pytest.raises(UserError, match="`preparing_rate` must be > 0, got 0"):
        weighted_sum({"ft": {"preparing_rate": 0.0}})


def test_whole_factors_by_hand() -> None:
    student, teacher = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4)
    expected = 0.0
    for a, other in zip(student.flatten(1).tolist(), teacher.flatten(1).tolist(), strict=True):
        lengths = sum(x * x for x in a) ** 0.5, sum(x * x for x in other) ** 0.5
        expected += sum(abs(x / lengths[0] - y / lengths[1]) for x, y in zip(a, other, strict=True)) / 96
    assert whole_factors(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_the_authors_form() -> None:
    """Every number of the factor is compared, nothing is normalised, and the reconstruction is compared by L1."""
    pair = Pair()
    objective = pair.build("ft", form="authors", factors=0.4, preparing=0.0).objectives()["ft"]
    assert isinstance(objective, FT)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in objective.modules())
    signals = pair.signals()
    students, teachers = signals["student_stages"], signals["teacher_stages"]
    teacher = teachers[-1].detach()
    factor = objective.paraphraser.get_submodule("encoder")(teacher)
    assert factor.shape[1] == round(0.4 * teacher.shape[1]) == 26  # of 64 channels, where cutting off gives 25
    loss = objective(students, teachers)
    torch.testing.assert_close(loss, whole_factors(objective.translator(students[-1]), factor))
    loss.backward()
    assert students[-1].grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in objective.paraphraser.parameters())
    copy = objective.paraphraser(teacher)
    torch.testing.assert_close(objective.rebuild(teachers), (copy - teacher).abs().mean())


def test_options_of_the_other_form() -> None:
    with pytest.raises(UserError, match="`power` belongs to `form: benchmark`, got 3 with `form: authors`; leave it"):
        FT(form="authors", power=3)
    with pytest.raises(UserError, match="unknown `form` 'paper'"):
        FT(form="paper")
