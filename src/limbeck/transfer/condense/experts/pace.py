"""Measures the time and memory of a training step."""

from copy import deepcopy

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from limbeck.data.image_set import ImageSet
from limbeck.data.normalised_views import NormalisedViews, normalised_views
from limbeck.device import default_device
from limbeck.models.classifier import Classifier
from limbeck.transfer.condense.estimate import measured
from limbeck.transfer.condense.expert_settings import Experts


def measured_step(settings: Experts, network: Classifier, images: ImageSet, batch_size: int) -> tuple[float, int]:
    """Seconds and bytes of an expert's step, see `measured_passes`; bytes include weights and momenta.

    Args:
        settings: of the training.
        network: of the experts' kind; not changed.
        images: labelled; the first ones are used.
        batch_size: of a step.
    """
    assert images.labels is not None, "experts are taught on labelled images"
    rows = torch.arange(batch_size)
    seconds, memory = measured_passes(
        network,
        images.gather(rows),
        images.labels[rows],
        normalised_views(settings.views),
        default_device(),
        passes=1 if settings.sharpness is None else 2,
    )
    weights = sum(parameter.nbytes for parameter in network.network.parameters())
    return seconds, memory + (2 if settings.momentum else 1) * weights


def measured_passes(
    network: Classifier,
    pixels: Tensor,
    labels: Tensor,
    views: NormalisedViews,
    device: torch.device,
    *,
    passes: int = 1,
) -> tuple[float, int]:
    """Seconds and bytes of forward and backward passes over a batch, which make up nearly all of a step.

    Args:
        network: not changed.
        pixels: uint8 or float `[B, C, H, W]`.
        labels: int64 `[B]`.
        views: of floats after normalisation.
        device: where to compute.
        passes: per step.
    """
    pupil = deepcopy(network).to(device).train()
    pixels, labels = pixels.to(device), labels.to(device)
    draw = views.draw(len(pixels), seed=0, step=0, device=device)

    def compute() -> None:
        for _ in range(passes):
            logits = pupil.network(views.apply(pupil.prepare(pixels), draw))
            torch.autograd.grad(cross_entropy(logits, labels), [*pupil.network.parameters()])

    return measured(compute, device)
