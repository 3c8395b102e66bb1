"""What one call does besides what all methods share."""

import pytest
import torch
from tests.transfer.generate.synthesis.toys import BATCH, STEPS, labels_of, network, settings_of, synthesiser

from limbeck.errors import UserError
from limbeck.interruption import Interrupted, StopRequest
from limbeck.models.classifier import Classifier
from limbeck.models.taps import Taps
from limbeck.transfer.generate.settings import Losses
from limbeck.transfer.generate.synthesis.state import make_adam, step_down

TEACHER, STUDENT = network(0), network(1)


def test_without_a_student_and_with_no_weight_on_it_there_is_no_adversary() -> None:
    settings = settings_of("fast")
    labels, weights = labels_of(settings), settings.losses.model_copy(update={"adversarial": 0.0})
    alone = synthesiser(settings, TEACHER).call(0, labels)
    left = synthesiser(settings, TEACHER).call(0, labels, weights=weights, student=STUDENT)
    both = synthesiser(settings, TEACHER).call(0, labels, student=STUDENT)
    assert torch.equal(alone.images, left.images)
    assert list(alone.losses) == list(left.losses) == ["batch_norm", "one_hot"]
    assert alone.student_logits is left.student_logits is None
    assert both.losses["adversarial"] <= 0
    assert both.student_logits is not None
    assert both.student_logits.shape == (BATCH, 3)


def test_losses_are_means_of_those_of_images_and_of_layers_sums() -> None:
    settings = settings_of("fast")
    batch = synthesiser(settings, TEACHER).call(0, labels_of(settings), student=STUDENT)
    for name, values in batch.image_losses.items():
        assert values.shape == (BATCH,)
        assert batch.losses[name] == pytest.approx(values.mean().item())
    assert batch.layers.shape == (2,)
    assert batch.layers.sum().item() == pytest.approx(batch.losses["batch_norm"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("fast", BATCH * STEPS),
        ("inexact", BATCH * (STEPS + 1)),
        ("dafl", BATCH * (STEPS + 2)),
        ("cmi", 2 * BATCH * STEPS),
        ("average-of-kept", BATCH * (STEPS + 1)),
    ],
)
def test_passes_of_the_teacher_are_counted(name: str, passes: int) -> None:
    settings = settings_of(name)
    made, counts = synthesiser(settings, TEACHER), []
    made.teacher.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    assert made.call(0, labels_of(settings), student=STUDENT).passes == sum(counts) == passes


def test_a_stop_is_a_request_or_a_function_and_is_looked_at_between_steps() -> None:
    settings = settings_of("fast")
    made, request, looked = synthesiser(settings, TEACHER), StopRequest(), []
    made.call(0, labels_of(settings), stop=request)
    made.call(1, labels_of(settings), stop=lambda: looked.append(len(made.state_dict())))
    assert len(looked) == STEPS - 1
    request.requested = True
    with pytest.raises(Interrupted, match=f"stopped after step 1 of {STEPS} of call 2"):
        made.call(2, labels_of(settings), stop=request)
    with pytest.raises(UserError, match="`number` must be 2, the call that was stopped, got 3; go on with it"):
        made.call(3, labels_of(settings))


def test_a_state_stays_as_it_is_when_calls_go_on() -> None:
    settings = settings_of("bsr")
    made = synthesiser(settings, TEACHER)
    with pytest.raises(Interrupted):
        made.call(0, labels_of(settings), stop=lambda: True)
    state = made.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    made.call(0, labels_of(settings))
    made.call(1, labels_of(settings))
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.items())
    assert all(tensor.device.type == "cpu" and not tensor.requires_grad for tensor in state.values())


def test_memory_of_statistics_begins_after_the_first_call() -> None:
    settings = settings_of("fast")
    made = synthesiser(settings, TEACHER)
    assert not any(name.startswith("terms.") for name in made.state_dict())
    made.call(0, labels_of(settings))
    assert sum(name.startswith("terms.memory.") for name in made.state_dict()) == 4


def test_contrast_remembers_what_is_kept() -> None:
    settings = settings_of("cmi")
    made = synthesiser(settings, TEACHER)
    assert made.terms.contrast is not None
    for number in range(2):
        assert made.call(number, labels_of(settings), student=STUDENT).losses["contrast"] > 0
        assert made.terms.contrast.ring.filled == (number + 1) * BATCH


def test_every_other_image_is_of_the_average() -> None:
    settings = settings_of("average")
    plain = settings.model_copy(update={"generator": settings.generator.model_copy(update={"average": None})})
    labels = labels_of(settings)
    averaged, unaveraged = (
        synthesiser(options, TEACHER).call(0, labels, student=STUDENT) for options in (settings, plain)
    )
    assert torch.equal(averaged.images[::2], unaveraged.images[::2])
    made, same = synthesiser(settings, TEACHER), synthesiser(plain, TEACHER)
    for number in range(2):
        averaged, unaveraged = (maker.call(number, labels, student=STUDENT) for maker in (made, same))
    differ = (averaged.images != unaveraged.images).flatten(1).any(dim=1)
    assert not differ[::2].any()
    assert differ[1::2].any()


def test_views_that_mix_images_are_refused() -> None:
    with pytest.raises(UserError, match="`views` must be of one image each while images are optimised"):
        synthesiser(settings_of("fast", views=["pad-crop", "mixup"]), TEACHER)


def test_a_teacher_without_batch_norm_is_refused_where_that_is_compared() -> None:
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    teacher = Classifier(body, num_classes=3, channels=1)
    with pytest.raises(UserError, match="no batch norm"):
        synthesiser(settings_of("fast"), teacher)
    batch = synthesiser(settings_of("zskt"), teacher).call(0, labels_of(settings_of("zskt")), student=STUDENT)
    assert batch.embedding.shape == (2 * BATCH, 0)


def test_losses_that_are_not_finite_are_said() -> None:
    teacher = network(0)
    torch.nn.init.constant_(teacher.network[8].bias, float("nan"))  # pyright: ignore
    with pytest.raises(UserError, match="losses of the images of call 0 are not finite: one_hot; lower"):
        synthesiser(settings_of("fast"), teacher).call(0, labels_of(settings_of("fast")), weights=Losses(one_hot=1.0))


def test_a_teacher_whose_embedding_nobody_knows_has_no_activation() -> None:
    teacher = network(0)
    teacher.taps = Taps()
    with pytest.raises(UserError, match=r"`losses\.activation` is the size of the teacher's embedding, and no tap of"):
        synthesiser(settings_of("dafl"), teacher)


def test_gray_pixels_of_a_teacher_for_colours_have_its_average_units() -> None:
    settings = settings_of("deep-inversion", inner_steps=1, batch_size=64)
    batch = synthesiser(settings, network(0, 3)).call(0, torch.zeros(64, dtype=torch.int64))
    inside = batch.images[(batch.images > 0) & (batch.images < 255)].float() / 255
    assert inside.mean().item() == pytest.approx(0.5, abs=0.02)  # N(0.5, 0.3), cut at 0 and 1
    assert batch.images.float().std().item() / 255 == pytest.approx(0.27, abs=0.02)


def test_gradients_may_lie_in_another_order_in_memory() -> None:
    """As they do where a generator turns its latents into a map, and a GPU or bfloat16 uses channels last."""
    weights = []
    for order in (torch.contiguous_format, torch.channels_last):
        weight = torch.zeros(2, 3, 2, 2, requires_grad=True)
        gradient = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=order)
        adam = make_adam([{"params": [weight], "lr": 1.0}], (0.5, 0.999))
        step_down(adam, [weight], [gradient])
        weights.append(weight.detach())
    assert torch.equal(*weights)
