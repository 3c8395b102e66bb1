"""Softmax regression: the teacher's head on the student's embedding."""

import pytest
import torch
from tests.objectives.feature_peers import DTYPES, FeaturePeer
from tests.objectives.pairs import CLASSES, Pair

from limbeck.errors import UserError
from limbeck.models import Outputs
from limbeck.objectives import SRRL, Setup
from limbeck.objectives.functional import srrl


@DTYPES
def test_value_and_gradient_equal_the_reference(dtype: torch.dtype) -> None:
    peer = FeaturePeer("srrl", dtype)
    objective = SRRL()
    peer.build(objective, lambda name: name.removeprefix("transfer."))
    peer.golden.check(objective(peer.student.embedding, peer.teacher.embedding, peer.teacher.logits))


def test_number_by_number() -> None:
    weight, bias = torch.randn(2, 3), torch.randn(2)
    student, teacher, logits = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 2)
    features = answers = 0.0
    for i in range(4):
        for d in range(3):
            features += (student[i, d].item() - teacher[i, d].item()) ** 2 / 12
        for k in range(2):
            answer = bias[k].item() + sum(weight[k, d].item() * student[i, d].item() for d in range(3))
            answers += (answer - logits[i, k].item()) ** 2 / 8
    loss = srrl(student, teacher, logits, lambda x: x @ weight.t() + bias)
    assert loss.item() == pytest.approx(features + answers, rel=1e-5)


def test_the_authors_project_the_map_and_pool_it_then() -> None:
    pair = Pair()
    signals = pair.signals()
    pair_ = pair.build("srrl", form="authors")
    objective = pair_.objectives()["srrl"]
    assert pair_.needs == {"student_last_map", "teacher_embedding", "teacher_logits"}
    stage = signals["student_last_map"].detach()
    kernel = objective.get_parameter("transfer.conv.weight").detach()[:, :, 0, 0]
    projected = torch.einsum("dc,bchw->bdhw", kernel, stage)
    mean, variance = projected.mean((0, 2, 3)), projected.var((0, 2, 3), unbiased=False)
    normed = (projected - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    embedding = normed.clamp_min(0).flatten(2).mean(2)
    head = pair.setup.teacher_head
    assert head is not None
    expected = srrl(embedding, signals["teacher_embedding"], signals["teacher_logits"], head)
    loss, _ = pair_(signals)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert signals["student_last_map"].grad.abs().max() > 0
    assert signals["student_embedding"].grad is None
    other = Pair().build("srrl")(signals)[0]
    assert other.item() != pytest.approx(loss.item(), rel=1e-3), "pooling does not commute with norm and ReLU"


def test_the_authors_projection_starts_as_theirs() -> None:
    """Normal with variance 2 / fan-out; the projection of embeddings as torch does."""
    stage = torch.zeros(1, 64, 4, 4)
    setup = Setup(
        Outputs(torch.zeros(1, CLASSES), last_map=stage),
        Outputs(torch.zeros(1, CLASSES), torch.zeros(1, 500)),
        ids=torch.arange(4),
        teacher_head=torch.nn.Linear(500, CLASSES),
    )
    objective = SRRL(form="authors")
    objective.build(setup)
    weight = objective.get_parameter("transfer.conv.weight")
    assert weight.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.05)
    assert weight.abs().max() > 3 * weight.std(), "not uniform"


@pytest.mark.parametrize("form", ["benchmark", "authors"])
def test_the_head_is_the_teachers_and_stays(form: str) -> None:
    pair = Pair()
    objective = pair.build("srrl", form=form).objectives()["srrl"]
    head = objective.get_submodule("teacher_head")
    assert pair.setup.teacher_head is not None
    assert head is not pair.setup.teacher_head
    for key, value in pair.setup.teacher_head.state_dict().items():
        assert torch.equal(head.state_dict()[key], value)
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_unknown_form() -> None:
    with pytest.raises(UserError, match=r"unknown `form` 'author'; did you mean 'authors'.*benchmark, authors"):
        SRRL(form="author")
