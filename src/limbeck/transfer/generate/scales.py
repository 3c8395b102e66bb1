"""How hard each loss pulls at images when they are at their start, and weights by which all pull alike."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.models import Classifier
from limbeck.models.forward import evaluating
from limbeck.models.shared_memory import private_copy
from limbeck.randomness import generator
from limbeck.transfer.generate.feature_statistics import exported
from limbeck.transfer.generate.losses import (
    activation,
    adversarial,
    balance,
    batch_norm_distance,
    l2,
    one_hot,
    total_variation,
)
from limbeck.transfer.generate.networks import build_network, draw_latents
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.statistics import BatchNormMoments, batch_norms

_IMAGES = 64  # at most; norms of gradients of means hardly depend on it


class Scale(NamedTuple):
    """A loss of images at their start, and the norm of its gradient by their pixels."""

    value: float
    gradient: float


def scales_at_start(
    settings: GenerateSettings,
    teacher: Classifier,
    *,
    shape: tuple[int, int, int],
    student: Classifier | None = None,
    seed: int = 0,
) -> dict[str, Scale]:
    """Every loss that the teacher allows, of the first images that an untrained generator makes, without views.

    Args:
        settings: of the generator, and forms of losses.
        teacher: stays as it is.
        shape: (channels, height, width) of the images.
        student: of the adversarial loss; None for one that knows nothing yet, and gives all classes alike.
        seed: of generator, latents and labels.

    Example:
        >>> settings = GenerateSettings(budget=64, method="dafl", generator={"width": 8})
        >>> sorted(scales_at_start(settings, teacher, shape=(1, 8, 8)))[:3]
        ['activation', 'adversarial', 'balance']
    """
    teacher = private_copy(teacher, "teacher").requires_grad_(False).eval()
    images, labels = _first_images(settings, teacher, shape, seed)
    images.requires_grad_()
    with torch.enable_grad(), nullcontext() if student is None else evaluating(student):
        scales = {}
        for name, loss in _losses(settings, teacher, images, labels, student).items():
            (gradient,) = torch.autograd.grad(loss.mean(), images, retain_graph=True, materialize_grads=True)
            scales[name] = Scale(float(loss.detach().mean()), float(torch.linalg.vector_norm(gradient)))
    return scales


def _first_images(
    settings: GenerateSettings, teacher: Classifier, shape: tuple[int, int, int], seed: int
) -> tuple[Tensor, Tensor]:
    """Images [B, C, H, W] in [0, 1] and labels int64 [B], on the teacher's device."""
    count, device = min(settings.batch_size, _IMAGES), teacher.mean.device
    labels = torch.randint(teacher.num_classes, (count,), generator=generator(seed, "generate", "scales"))
    mean, std = teacher.normalisation if teacher.channels == shape[0] else (None, None)
    network = build_network(
        settings.generator, shape=shape, num_classes=teacher.num_classes, seed=seed, mean=mean, std=std
    )
    with torch.no_grad():
        images = network(draw_latents(network, labels, seed=seed, call=0), labels)
    return images.to(device), labels.to(device)


def _losses(
    settings: GenerateSettings, teacher: Classifier, images: Tensor, labels: Tensor, student: Classifier | None
) -> dict[str, Tensor]:
    """All that can be computed, by name."""
    has_moments = bool(batch_norms(teacher.network)) or settings.statistics is not None
    want = ("logits",) if teacher.taps.embedding is None else ("logits", "embedding")
    losses: dict[str, Tensor] = {}
    with BatchNormMoments(teacher, exported(settings)) if has_moments else nullcontext() as moments:
        outputs = teacher(images, want=want)
        if moments is not None:
            losses["batch_norm"] = batch_norm_distance(moments.found, moments.reference).sum()
    losses["one_hot"] = one_hot(outputs.logits, labels)
    student_logits = torch.zeros_like(outputs.logits) if student is None else student(images).logits
    # "kl-where-equal" is for a student that has learned; at its start it agrees with the teacher hardly anywhere.
    form = "kl" if settings.adversarial == "kl-where-equal" else settings.adversarial
    losses["adversarial"] = adversarial(
        outputs.logits, student_logits, form=form, temperature=settings.adversarial_temperature
    )
    if outputs.embedding is not None:
        losses["activation"] = activation(outputs.embedding)
    losses["balance"] = balance(outputs.logits)
    mean, std = teacher.mean, teacher.std
    if teacher.channels != images.shape[1]:
        mean, std = mean.mean(dim=1, keepdim=True), std.mean(dim=1, keepdim=True)
    normalised = (images - mean) / std
    losses["total_variation"] = total_variation(normalised)
    losses["total_variation_l2"] = total_variation(normalised, norm="l2")
    losses["l2"] = l2(normalised)
    return losses


def balanced(losses: Losses, scales: Mapping[str, Scale], *, momentum: float = 0.0) -> Losses:
    """Weights by which each loss pulls at images so hard, at their start, as `losses` say in units of the one-hot loss.

    A loss of weight w gets w x (gradient of one-hot) / (its own gradient); without one-hot, the first loss that has a
    weight is the unit. Momentum scales the gradient of the batch-norm loss by 1 - m once there is a memory, and its
    weight makes up for that. A loss without scale or gradient keeps its weight.

    Args:
        losses: weights as pulls.
        scales: see `scales_at_start`.
        momentum: m, of the remembered batch statistics.

    Example:
        >>> scales = {"one_hot": Scale(9.0, 10.0), "batch_norm": Scale(200.0, 20.0)}
        >>> balanced(Losses(one_hot=1, batch_norm=1), scales, momentum=0.9).batch_norm
        5.0
    """
    weights = {name: value for name, value in losses.model_dump().items() if value}
    pulling = [name for name in weights if name in scales and scales[name].gradient > 0]
    if not pulling:
        return losses
    unit = scales["one_hot" if "one_hot" in pulling else pulling[0]].gradient
    for name in pulling:
        factor = 1 - momentum if name == "batch_norm" else 1.0
        # Four digits: what differs from machine to machine is rounded away.
        weights[name] = float(f"{weights[name] * unit / scales[name].gradient / factor:.4g}")
    return losses.model_copy(update=weights)


def weights_at_start(
    settings: GenerateSettings,
    teacher: Classifier,
    *,
    shape: tuple[int, int, int],
    student: Classifier | None = None,
    seed: int = 0,
) -> Losses:
    """The weights that images are made by: those of the settings, or by scale where `scale_losses` says so.

    Args:
        settings, teacher, shape, student, seed: see `scales_at_start`.

    Example:
        >>> settings = GenerateSettings(budget=64, method="dafl", generator={"width": 8})
        >>> weights_at_start(settings, teacher, shape=(1, 8, 8)) == settings.losses
        True
    """
    if not settings.scale_losses:
        return settings.losses
    scales = scales_at_start(settings, teacher, shape=shape, student=student, seed=seed)
    return balanced(settings.losses, scales, momentum=settings.momentum)
