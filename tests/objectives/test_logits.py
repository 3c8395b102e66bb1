"""Logit standardisation, in every loss that reads the logits of both networks."""

import inspect

import pytest
import torch
from tests.objectives.pairs import Pair

from limbeck.objectives.catalogue import OBJECTIVES, objective_class
from limbeck.objectives.logits import standardised

LOGIT_LOSSES = [name for name, entry in OBJECTIVES.items() if {"student_logits", "teacher_logits"} <= set(entry.needs)]


def test_mean_zero_deviation_one() -> None:
    logits = standardised(5 + 3 * torch.randn(4, 10))
    torch.testing.assert_close(logits.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits.std(1), torch.ones(4))


@pytest.mark.parametrize("name", LOGIT_LOSSES)
def test_the_teachers_scale_and_shift_do_not_matter(name: str) -> None:
    assert inspect.signature(objective_class(name)).parameters["standardise"].default is False
    if name in ("wsld", "ea_kd", "mlkd"):  # weights and relations are those of plain logits, as published
        return
    pair = Pair()
    objective = pair.build(name, standardise=True)
    signals = pair.signals()
    changed = {**signals, "teacher_logits": 7 * signals["teacher_logits"] + 2}
    torch.testing.assert_close(objective(signals)[0], objective(changed)[0], rtol=1e-4, atol=1e-5)
    plain = pair.build(name)
    assert not torch.allclose(plain(signals)[0], plain(changed)[0])
