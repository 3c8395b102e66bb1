"""Contrastive distillation against the reference's numbers, with the queue and with the momentum memory."""

import math

import pytest
import torch
from tests.objectives.golden import Golden
from tests.objectives.memory_golden import with_momentum, with_queue
from tests.objectives.pairs import Pair

from limbeck.errors import UserError
from limbeck.objectives import CRD
from limbeck.objectives.functional import info_nce, nce


def test_queue_equals_the_reference() -> None:
    golden = Golden("crd_fifo")
    with_queue(golden, CRD(features=16, memory="queue", negatives_count=32, temperature=golden.hp["T"]))


def test_momentum_memory_equals_the_reference() -> None:
    golden = Golden("crd_momentum")
    with_momentum(golden, CRD(features=16, negatives="any", negatives_count=32, temperature=golden.hp["T"]))


def test_own_embedding_is_no_negative_if_the_queue_is_filled_afterwards() -> None:
    pair, losses = Pair(), {}
    for when in ("before", "after"):
        objective = pair.build("crd", memory="queue", negatives_count=6, enqueue=when).objectives()["crd"]
        signals = pair.signals()
        losses[when] = objective(signals["student_embedding"], signals["teacher_embedding"], signals["ids"]).item()
        assert objective.state_dict()["memory.place"] == 0  # six of six are replaced
    assert losses["before"] != losses["after"]


def test_info_nce_by_hand() -> None:
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    expected = -math.log(math.e / (math.e + 1))
    assert info_nce(x, x, y, temperature=1).item() == pytest.approx(expected)


def test_nce_by_hand() -> None:
    scores = torch.tensor([[0.3, 0.1, 0.7]], dtype=torch.float64)
    p, c = scores.exp(), 2 / 10 + 1e-7
    expected = -(p[0, 0] / (p[0, 0] + c)).log() - ((2 / 10) / (p[0, 1:] + c)).log().sum()
    torch.testing.assert_close(nce(scores, 10), expected)


def test_nce_is_finite_at_any_temperature() -> None:
    scores = torch.tensor([[200.0, 300.0, -300.0]])
    torch.testing.assert_close(nce(scores, 10), torch.tensor(300.0 - math.log(0.2)), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "stack"}, "unknown `memory` 'stack'.*It is one of momentum, queue"),
        ({"positives": "relax"}, "unknown `positives` 'relax'.*It is one of own, same-class"),
        ({"draws": "unique"}, "unknown `draws` 'unique'.*It is one of distinct, independent"),
        ({"positives": "same-class", "negatives": "any"}, "goes with .*, got `memory: momentum` and `negatives: any`"),
        ({"positives": "same-class", "memory": "queue"}, "got `memory: queue` and `negatives: other-classes`"),
        ({"momentum": 1.0}, "`momentum` must be at least 0 and below 1, got 1.0"),
        ({"negatives_count": 0}, "`negatives_count` must be a whole number >= 1, got 0"),
        ({"temperature": 0}, "`temperature` must be > 0, got 0"),
        ({"features": 0.5}, "`features` must be a whole number >= 1, got 0.5"),
    ],
)
def test_wrong_options(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CRD(**options)
