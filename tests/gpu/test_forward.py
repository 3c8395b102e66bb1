"""The forward pass over many images on a GPU gives what the CPU gives, batch by batch."""

import pytest
import torch
from tests.gpu.conftest import CPU
from tests.training.tiny import network, stripes

from limbeck.evaluation import evaluate, predict
from limbeck.models import create
from limbeck.models.forward import FrozenTeacher, device_of, outputs_over, whole_outputs

pytestmark = pytest.mark.gpu
WANT = ("logits", "embedding", "stages")


@pytest.mark.parametrize("batch_size", [7, 32, 500])
def test_outputs_are_those_of_the_cpu(device: torch.device, batch_size: int) -> None:
    classifier, images = network(), stripes(70)
    expected = whole_outputs(classifier, images, WANT, device=CPU)
    copy = network().to(device)
    outputs = whole_outputs(copy, images, WANT, batch_size=batch_size)
    assert outputs.logits.device == CPU
    for actual, wanted in zip((outputs.logits, outputs.embedding, *outputs.stages), _all(expected), strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-3, atol=1e-3)


def _all(outputs):
    return (outputs.logits, outputs.embedding, *outputs.stages)


def test_batches_come_in_order_and_stay_as_they_were(device: torch.device) -> None:
    """The next batch is computed while the caller reads this one, and must not overwrite it."""
    classifier, images = network().to(device), stripes(70)
    expected = whole_outputs(classifier, images).logits
    batches = list(outputs_over(classifier, images, batch_size=16))
    assert torch.equal(torch.cat([positions for positions, _ in batches]), torch.arange(70))
    torch.testing.assert_close(torch.cat([outputs.logits for _, outputs in batches]), expected, rtol=1e-3, atol=1e-3)


def test_a_frozen_teacher_counts_what_was_looked_at(device: torch.device) -> None:
    teacher, images = FrozenTeacher(network(), device=device), stripes(70)
    whole_outputs(teacher, images, batch_size=32)
    assert teacher.passes == 70
    next(outputs_over(teacher, images, batch_size=32))
    assert teacher.passes == 102


def test_a_teacher_in_bf16_is_near(device: torch.device) -> None:
    classifier, images = network(), stripes(70)
    exact = whole_outputs(FrozenTeacher(classifier, device=device), images).logits
    rough = whole_outputs(FrozenTeacher(classifier, device=device, dtype=torch.bfloat16), images).logits
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)
    assert not torch.equal(rough, exact)


def test_by_default_a_network_is_evaluated_on_the_device_and_stays_where_it_was(device: torch.device) -> None:
    classifier, images = network(), stripes(70)
    by_default = predict(classifier, images)
    assert device_of(classifier) == CPU
    torch.testing.assert_close(by_default, predict(classifier, images, device="cpu"), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_images_are_resized_there(device: torch.device, size: tuple[int, int]) -> None:
    classifier, images = create("resnet8", num_classes=2, channels=1), stripes(20)
    expected = whole_outputs(classifier, images, size=size, device=CPU).logits
    logits = whole_outputs(classifier, images, size=size, device=device).logits
    torch.testing.assert_close(logits, expected, rtol=1e-2, atol=1e-2)


def test_evaluation_agrees(device: torch.device) -> None:
    classifier, images = network(), stripes(60)
    on_cpu = evaluate(classifier, images, device="cpu")
    on_device = evaluate(network(), images, device=device)
    assert on_device.n == on_cpu.n == 60
    assert abs(on_device.top1 - on_cpu.top1) <= 1 / 60
