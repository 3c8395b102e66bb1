"""Weighted sums as recipes write them."""

import pytest
import torch

from limbeck.errors import UserError
from limbeck.objectives import weighted_sum
from limbeck.objectives.functional import cross_entropy, kd


def test_a_sum_is_the_sum_of_its_weighted_terms() -> None:
    student, teacher, labels = torch.randn(5, 7), torch.randn(5, 7), torch.arange(5)
    total, terms = weighted_sum({"ce": 0.1, "kd": {"weight": 0.9, "temperature": 2}})(
        {"student_logits": student, "teacher_logits": teacher, "labels": labels}
    )
    expected = 0.1 * cross_entropy(student, labels) + 0.9 * kd(student, teacher, temperature=2)
    torch.testing.assert_close(total, expected)
    assert set(terms) == {"cross_entropy", "kd"}


def test_needs_are_those_of_all_terms() -> None:
    sums = weighted_sum({"cross_entropy": 1, "kd": 1})
    assert sums.needs == {"student_logits", "teacher_logits", "labels"}
    assert sums.outputs_needed("teacher") == {"logits"}
    assert weighted_sum("cross_entropy").outputs_needed("teacher") == frozenset()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dkb", "unknown objective 'dkb'; did you mean 'dkd'"),
        ({"kd": -1}, "weight of objective 'kd' must be a finite number >= 0, got -1"),
        ({"kd": float("nan")}, "weight of objective 'kd' must be a finite"),
        ({"kd": "much"}, "got 'much'"),
        ({"kd": 0}, "at least one term with a weight above 0"),
        ({}, "at least one term"),
        ({"kd": {"temprature": 3}}, "unknown option of objective 'kd': 'temprature'; did you mean 'temperature'"),
        ({"kd": {"temperature": "hot"}}, "`objective.kd.temperature` must be a number, got 'hot'"),
        ({"kd": {"temperature": 0}}, "`temperature` must be > 0, got 0"),
        ({"kd": 1, "hinton": 1}, "names 'kd' twice"),
        (None, "`objective` must be a name, or a mapping from names to weights or options, got None"),
        (5, "`objective` must be a name, or a mapping from names to weights or options, got 5"),
        (["kd"], "`objective` must be a name, or a mapping from names to weights or options, got ..kd"),
        ({1: 1}, "`objective` must name its terms by text, got 1"),
        (
            {"rrd": {"temperature": 0.5}},
            "`objective.rrd.temperature` would change nothing, got 0.5: `memory` is 'queue'",
        ),
        ({"crd": {"enqueue": "after"}}, "`objective.crd.enqueue` would change nothing, got 'after': `memory` is 'mom"),
        ({"crd": {"memory": "queue", "draws": "independent"}}, "`objective.crd.draws` would change nothing"),
        ({"ce": {"label_smoothing": 1}}, "`label_smoothing` must be at least 0 and below 1, got 1"),
    ],
)
def test_wrong_specifications(spec: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        weighted_sum(spec)  # pyright: ignore[reportArgumentType]


def test_options_that_the_memory_reads_are_taken() -> None:
    weighted_sum({"crd": {"memory": "queue", "temperature": 0.1, "enqueue": "after"}})
    weighted_sum({"rrd": {"memory": "momentum", "temperature": 0.1, "negatives": "any", "enqueue": "before"}})


def test_terms_that_remember_every_image_say_so() -> None:
    objective = weighted_sum({"crd": 1, "rrd": 1, "kd": 1})
    assert objective.remembering_ids == ("crd",)
    assert weighted_sum({"crd": {"memory": "queue"}, "rrd": {"memory": "momentum"}}).remembering_ids == ("rrd",)
    assert weighted_sum("kd").remembering_ids == ()
