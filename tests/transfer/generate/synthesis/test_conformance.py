"""What every method must do, alone and with every option."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import torch
from tests.host_waits import host_waits
from tests.transfer.generate.synthesis.toys import BATCH, EVERY, STEPS, labels_of, network, settings_of, synthesiser
from torch import Tensor

from limbeck.interruption import Interrupted
from limbeck.models.classifier import Classifier
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.synthesis import Batch, Synthesiser

TEACHER, STUDENT = network(0), network(1)
CALLS = 2


def calls(made: Synthesiser, settings: GenerateSettings, first: int = 0, **options: Any) -> Iterator[Batch]:
    for number in range(first, CALLS):
        yield made.call(number, labels_of(settings, number), student=STUDENT, **options)


def assert_same(one: Batch, other: Batch) -> None:
    for field in fields(Batch):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if field.name == "image_losses":
            assert first.keys() == second.keys()
            assert all(torch.equal(first[name], second[name]) for name in first)
        else:
            assert torch.equal(first, second) if isinstance(first, Tensor) else first == second, field.name


@pytest.mark.parametrize("name", EVERY)
def test_killed_after_any_step_it_goes_on_to_the_bit(name: str) -> None:
    settings = settings_of(name)
    whole = list(calls(synthesiser(settings, TEACHER), settings))
    made, number, batches, stops = synthesiser(settings, TEACHER), 0, [], 0
    while number < CALLS:
        try:
            batches += calls_one(made, settings, number)
            number += 1
        except Interrupted:
            stops += 1
        state = made.state_dict()
        torch.manual_seed(stops)  # nothing depends on it
        made = synthesiser(settings, TEACHER, seed=0)
        made.load_state_dict(state)
    assert stops == CALLS * (STEPS - 1)
    for expected, batch in zip(whole, batches, strict=True):
        assert_same(expected, batch)


def calls_one(made: Synthesiser, settings: GenerateSettings, number: int) -> list[Batch]:
    return [made.call(number, labels_of(settings, number), student=STUDENT, stop=lambda: True)]


@pytest.mark.parametrize("name", EVERY)
def test_a_call_hangs_on_seed_number_labels_student_and_nothing_else(name: str) -> None:
    settings = settings_of(name)
    first = synthesiser(settings, TEACHER).call(0, labels_of(settings), student=STUDENT)
    torch.manual_seed(1)
    assert_same(first, synthesiser(settings, TEACHER).call(0, labels_of(settings), student=STUDENT))
    for seed, number in ((1, 0), (0, 1)):
        other = synthesiser(settings, TEACHER, seed=seed).call(number, labels_of(settings), student=STUDENT)
        assert not torch.equal(other.images, first.images)


@pytest.mark.parametrize("name", EVERY)
def test_networks_are_left_as_they_were(name: str) -> None:
    settings = settings_of(name)
    teacher, student = network(0).train(), network(1).train()
    student.network[0].bias.requires_grad_(False)  # pyright: ignore
    before = [describe(classifier) for classifier in (teacher, student)]
    for _ in calls_with(synthesiser(settings, teacher), settings, student):
        assert [describe(classifier) for classifier in (teacher, student)] == before


def calls_with(made: Synthesiser, settings: GenerateSettings, student: Classifier) -> Iterator[Batch]:
    for number in range(2):
        yield made.call(number, labels_of(settings, number), student=student)


def describe(one: Classifier) -> list[Any]:
    tensors = [value.tolist() for value in one.state_dict().values()]
    learning = [(parameter.requires_grad, parameter.grad) for parameter in one.parameters()]
    modules = [(part.training, len(part._forward_hooks), len(part._forward_pre_hooks)) for part in one.modules()]
    return [tensors, learning, modules]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)], ids=str)
def test_images_of_any_size_gray_and_in_colour(name: str, shape: tuple[int, int, int]) -> None:
    settings = settings_of(name, inner_steps=1)
    batch = synthesiser(settings, network(0, shape[0]), shape=shape).call(0, labels_of(settings), student=STUDENT)
    count = BATCH * max(1, settings.fresh)
    assert batch.images.dtype == torch.uint8
    assert batch.images.shape == (count, *shape)
    assert batch.images.is_contiguous()
    assert batch.images.float().std() > 0
    assert batch.labels.shape == batch.views.shape == (count,)
    assert batch.logits.shape == (count, 3)
    assert batch.embedding.shape == (count, 4)


@pytest.mark.parametrize("name", EVERY)
def test_in_bf16_it_does_about_the_same(name: str) -> None:
    kept = {} if settings_of(name).fresh else {"keep": "last"}
    settings = settings_of(name, **kept)
    exact, rounded = (
        synthesiser(settings, TEACHER, precision=precision).call(0, labels_of(settings), student=STUDENT)
        for precision in ("fp32", "bf16")
    )
    assert rounded.logits.dtype == rounded.layers.dtype == torch.float32
    assert rounded.losses.keys() == exact.losses.keys()
    for loss, value in exact.losses.items():
        assert rounded.losses[loss] == pytest.approx(value, rel=0.2, abs=0.2)


@pytest.mark.parametrize("name", EVERY)
def test_the_teacher_answers_to_what_is_stored(name: str) -> None:
    settings = settings_of(name)
    made = synthesiser(settings, TEACHER)
    for batch in calls(made, settings):
        shown = made.views.render(batch.images, batch.views)
        with torch.no_grad():
            outputs = TEACHER(shown, want=("logits", "embedding"))
        torch.testing.assert_close(batch.logits, outputs.logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(batch.embedding, outputs.embedding, rtol=1e-5, atol=1e-5)
        if settings.labels == "argmax":
            assert torch.equal(batch.labels, batch.logits.argmax(1))


@pytest.mark.parametrize("name", EVERY)
def test_steps_go_down(name: str) -> None:
    """After more steps, the images that are kept have a lower loss."""
    settings = settings_of(name, keep="last", fresh=0, views="none")
    settings = settings.model_copy(update={"generator": settings.generator.model_copy(update={"average": None})})
    weights = settings.losses.model_dump()
    totals = []
    for steps in (1, 12):
        changed = settings.model_copy(update={"inner_steps": steps})
        batch = synthesiser(changed, TEACHER).call(0, labels_of(changed), student=STUDENT)
        totals.append(sum(weights[loss] * value for loss, value in batch.losses.items()))
    assert totals[1] < totals[0]


# Noisy layers are drawn by the largest count of a label. `one_hot` and Adam of contrast's head read on a CPU alone.
@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("noisy", "conditional", "cmi")])
def test_between_steps_nothing_waits_for_a_gpu(name: str) -> None:
    settings = settings_of(name)
    made, waits = synthesiser(settings, TEACHER), []
    with host_waits() as waited:
        made.call(0, labels_of(settings), student=STUDENT, stop=lambda: waits.append(list(waited)))
    assert waits[0] == waits[-1]
