"""Relational representation distillation against the reference's numbers, with the queue and the momentum memory."""

import torch
from tests.objectives.golden import Golden
from tests.objectives.memory_golden import with_momentum, with_queue
from tests.objectives.pairs import Pair

from limbeck.objectives import RRD


def test_queue_equals_the_reference() -> None:
    golden = Golden("rrd_fifo")
    options = {"student_temperature": golden.hp["T_s"], "teacher_temperature": golden.hp["T_t"]}
    with_queue(golden, RRD(features=16, memory="queue", negatives_count=32, **options))


def test_momentum_memory_equals_the_reference() -> None:
    golden = Golden("rrd_momentum")
    options = {"student_temperature": golden.hp["T_s"], "teacher_temperature": golden.hp["T_t"]}
    with_momentum(
        golden,
        RRD(features=16, memory="momentum", negatives="any", negatives_count=32, temperature=golden.hp["T"], **options),
    )


def test_teacher_projection_stays_random_unless_it_is_to_learn() -> None:
    for kind, learns in {"random": False, "learned": True}.items():
        pair = Pair()
        objective = pair.build("rrd", teacher_projection=kind).objectives()["rrd"]
        signals = pair.signals()
        objective(signals["student_embedding"], signals["teacher_embedding"], signals["ids"]).backward()
        weight = objective.get_parameter("teacher_linear.weight")
        assert weight.requires_grad == learns
        assert (weight.grad is not None) == learns
        assert signals["teacher_embedding"].grad is None


def test_queue_starts_with_unit_embeddings_or_as_in_the_reference() -> None:
    rows = Pair().build("rrd").state_dict()["terms.rrd.memory.keys"]
    columns = Pair().build("rrd", queue_start="columns").state_dict()["terms.rrd.memory.keys"]
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    torch.testing.assert_close(columns.norm(dim=0), torch.ones(columns.shape[1]))
