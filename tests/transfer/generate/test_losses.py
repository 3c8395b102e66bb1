import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck import UserError
from limbeck.transfer.generate.losses import (
    ADVERSARIES,
    Moments,
    activation,
    adversarial,
    balance,
    batch_norm_distance,
    contrast,
    l2,
    one_hot,
    total_variation,
)
from limbeck.transfer.generate.settings import GenerateSettings

PRIORS = Path(__file__).parents[2] / "golden" / "datafree" / "priors.npz"


def logits(seed: int, images: int = 6, classes: int = 5, scale: float = 3.0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return (torch.randn(images, classes, generator=source, dtype=torch.float64) * scale).requires_grad_()


def pixels(seed: int, *shape: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=source, dtype=torch.float64).requires_grad_()


def probabilities(values: Tensor, temperature: float = 1.0) -> Tensor:
    return (values / temperature).exp() / (values / temperature).exp().sum(1, keepdim=True)


def kl(one: Tensor, other: Tensor) -> Tensor:
    return (one * (one / other).log()).sum(1)


def same(found: Tensor, wanted: Tensor, *inputs: Tensor, rtol: float = 1e-9) -> None:
    """Values, and gradients with respect to inputs."""
    torch.testing.assert_close(found, wanted, rtol=rtol, atol=1e-12)
    ours, theirs = (torch.autograd.grad(values.sum(), inputs, retain_graph=True) for values in (found, wanted))
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=1e-12)


def test_priors_of_the_reference() -> None:
    golden = np.load(PRIORS)
    images, outputs = torch.from_numpy(golden["in.images"]), torch.from_numpy(golden["in.logits"])
    torch.testing.assert_close(total_variation(images).mean(), torch.tensor(golden["out.tv"]), rtol=1e-6, atol=0)
    # Not so "out.jsd", which was computed from logits that the file does not hold.
    torch.testing.assert_close(balance(outputs), torch.tensor(golden["out.class_balance"]), rtol=1e-6, atol=0)


def test_batch_norm_distance() -> None:
    moments = [Moments(pixels(0, 3), pixels(1, 3)), Moments(pixels(2, 4), pixels(3, 4))]
    reference = [Moments(pixels(4, 3).detach(), pixels(5, 3).detach()), Moments(pixels(6, 4).detach(), pixels(7, 4))]
    parts = [
        (ours.mean - theirs.mean).square().sum().sqrt() + (ours.var - theirs.var).square().sum().sqrt()
        for ours, theirs in zip(moments, reference, strict=True)
    ]
    same(batch_norm_distance(moments, reference), torch.stack(parts), *moments[0], *moments[1])


def test_no_distance_has_a_finite_gradient() -> None:
    moments = Moments(torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True))
    batch_norm_distance([moments], [Moments(torch.ones(3), torch.ones(3))]).sum().backward()
    assert moments.mean.grad is not None
    assert moments.mean.grad.tolist() == [0, 0, 0]


def test_one_hot() -> None:
    outputs, labels = logits(0), torch.tensor([0, 1, 2, 3, 4, 0])
    expected = -probabilities(outputs).log()[torch.arange(6), labels]
    same(one_hot(outputs, labels), expected, outputs)
    same(one_hot(outputs), -probabilities(outputs).max(1).values.log(), outputs)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_kl(temperature: float) -> None:
    teacher, student = logits(0), logits(1)
    p, q = probabilities(teacher, temperature), probabilities(student, temperature)
    expected = -kl(p, q) * temperature**2
    loss = adversarial(teacher, student, form="kl", temperature=temperature)
    same(loss, expected, teacher, student)
    masked = adversarial(teacher, student, form="kl-where-equal", temperature=temperature)
    equal = teacher.argmax(1) == student.argmax(1)
    assert 0 < equal.sum() < 6
    same(masked, expected * equal, teacher, student)
    assert adversarial(teacher, student).equal(adversarial(teacher, student, form="kl-where-equal"))


def test_l1() -> None:
    teacher, student = logits(0), logits(1)
    same(adversarial(teacher, student, form="l1"), -(teacher - student).abs().sum(1) / 5, teacher, student)


def test_jensen_shannon() -> None:
    teacher, student = logits(0), logits(1)
    p, q = probabilities(teacher, 3), probabilities(student, 3)
    m = (p + q) / 2
    loss = adversarial(teacher, student, form="js", temperature=3)
    same(loss, -(kl(p, m) + kl(q, m)) / 2, teacher, student)
    assert (loss > -math.log(2)).all()


def test_jensen_shannon_as_published() -> None:
    teacher, student = logits(0), logits(1)
    p, q = probabilities(teacher, 3), probabilities(student, 3)
    p, q, m = (values.clamp(0.01, 0.99) for values in (p, q, (p + q) / 2))
    loss = adversarial(teacher, student, form="js-clamped", temperature=3)
    same(loss, -(kl(m, p) + kl(m, q)) / 2, teacher, student)


def test_activation() -> None:
    embedding = logits(0)
    same(activation(embedding), -embedding.abs().sum(1) / 5, embedding)


def test_balance() -> None:
    outputs = logits(0)
    mean = probabilities(outputs).mean(0)
    same(balance(outputs), (mean * mean.log()).sum(), outputs)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 28, 28), (2, 3, 5, 7)])
def test_total_variation(shape: tuple[int, ...]) -> None:
    images = pixels(0, *shape)
    height, width = shape[2:]
    pairs = {
        (down, right): (
            images[:, :, down:, max(right, 0) : width + min(right, 0)],
            images[:, :, : height - down, max(-right, 0) : width - max(right, 0)],
        )
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
    }
    l1 = sum((first - second).abs().flatten(1).mean(1) for first, second in pairs.values())
    norms = sum((first - second).square().sum().sqrt() for first, second in pairs.values())
    assert isinstance(l1, Tensor)
    assert isinstance(norms, Tensor)
    same(total_variation(images), l1, images)
    same(total_variation(images, norm="l2"), norms, images)


def test_total_variation_of_single_pixels_and_rows() -> None:
    assert total_variation(torch.ones(2, 1, 1, 1)).tolist() == [0, 0]
    assert total_variation(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)).tolist() == [1]
    assert total_variation(torch.ones(2, 1, 1, 1), norm="l2").tolist() == 0


def test_l2() -> None:
    images = pixels(0, 2, 3, 8, 8)
    same(l2(images), images.square().sum((1, 2, 3)).sqrt(), images)


def test_contrast() -> None:
    local, whole = logits(0), logits(1)
    rows = -probabilities(local @ whole.detach().T, 0.5).log().diagonal()
    same(contrast(local, whole, new=4, temperature=0.5), rows[:4] + rows[4:].mean(), local)
    same(contrast(local, whole, new=6, temperature=0.5), rows, local)
    contrast(local, whole, new=4).sum().backward()
    assert whole.grad is None


def test_contrast_of_more_rows_than_are_taken_at_a_time() -> None:
    random = torch.Generator().manual_seed(0)
    local, whole = (torch.randn(600, 4, dtype=torch.float64, generator=random).requires_grad_() for _ in range(2))
    rows = -probabilities(local @ whole.detach().T, 0.5).log().diagonal()
    same(contrast(local, whole, new=9, temperature=0.5), rows[:9] + rows[9:].mean(), local)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "one_hot": one_hot,
    "activation": activation,
    "balance": balance,
    **{
        form: lambda outputs, form=form: adversarial(outputs, outputs.flip(0) * 2, form=form, temperature=2.0)
        for form in ADVERSARIES
    },
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_finite_at_any_size(name: str, size: float) -> None:
    outputs = (logits(0).detach().float() * size).requires_grad_()
    loss = LOSSES[name](outputs)
    loss.sum().backward()
    assert outputs.grad is not None
    assert loss.isfinite().all()
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_bf16_is_computed_in_float32(name: str) -> None:
    outputs = logits(0).detach().bfloat16()
    loss = LOSSES[name](outputs)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, LOSSES[name](outputs.float()), rtol=1e-6, atol=1e-7)


def test_names_and_numbers_out_of_range() -> None:
    zeros = torch.zeros(2, 3)
    with pytest.raises(UserError, match=r"unknown `form` 'kld'; did you mean 'kl'"):
        adversarial(zeros, zeros, form="kld")
    with pytest.raises(UserError, match=r"unknown `norm` 'l3'; did you mean"):
        total_variation(torch.zeros(1, 1, 2, 2), norm="l3")
    with pytest.raises(UserError, match=r"`new` must be between 1 and 2, the rows of `local`, got 3"):
        contrast(zeros, zeros, new=3)
    with pytest.raises(UserError, match=r"`temperature` must be"):
        adversarial(zeros, zeros, temperature=0)
    with pytest.raises(UserError, match=r"`temperature` must be"):
        contrast(zeros, zeros, new=1, temperature=0)


def test_statistics_are_of_a_loss_that_counts() -> None:
    assert GenerateSettings(budget=10, statistics="owner.safetensors").statistics == "owner.safetensors"
    with pytest.raises(ValueError, match=r"`statistics` are what `losses.batch_norm` compares images with"):
        GenerateSettings(budget=10, method="dafl", statistics="owner.safetensors")
