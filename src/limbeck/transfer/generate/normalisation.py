"""What images a teacher's first batch norm remembers, by which one can tell whether its normalisation is right."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limbeck.data.procedural.storage import render
from limbeck.models import Classifier
from limbeck.models.forward import evaluating
from limbeck.transfer.generate.losses import Moments
from limbeck.transfer.generate.statistics import batch_norms, moments_of, running_moments

_COMMON = {
    "mean 0.5, std 0.25": (0.5, 0.25),
    "mean 0.5, std 0.5 (images in [-1, 1])": (0.5, 0.5),
    "mean 0, std 1 (images in [0, 1])": (0.0, 1.0),
    "mean 0, std 1/255 (images in [0, 255])": (0.0, 1 / 255),
}
_IMAGES = 64
_FLAT = 0.1  # photographs have 0.2 to 0.3; below this, images hardly show anything


class InputStatistics(NamedTuple):
    """Statistics of the images that the first batch norm remembers, in units of [0, 1] by the stated normalisation.

    Attributes:
        mean: of each channel that the network takes.
        std: of each channel; right to about a fifth, as it depends on how smooth images are.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def possible(self) -> bool:
        """Whether images in [0, 1] can have these: means must lie in that range, and they limit the spread."""
        return all(_possible(mean, std) for mean, std in zip(self.mean, self.std, strict=True))

    def fits(self, normalisation: tuple[tuple[float, ...], tuple[float, ...]]) -> list[str]:
        """Common normalisations other than the stated one by which these could be statistics of images in [0, 1].

        Args:
            normalisation: mean and std that are stated.
        """
        names = []
        for name, (mean, std) in _COMMON.items():
            channels = [
                ((own_mean - m) / s * std + mean, own_std / s * std)
                for own_mean, own_std, m, s in zip(self.mean, self.std, *normalisation, strict=True)
            ]
            if all(_possible(*channel) for channel in channels):
                names.append(name)
        return names


def _possible(mean: float, std: float) -> bool:
    slack = 1.2  # of the estimate
    return 0 < mean < 1 and _FLAT <= std <= slack * math.sqrt(mean * (1 - mean))


def input_statistics(classifier: Classifier, shape: tuple[int, int, int], *, seed: int = 0) -> InputStatistics | None:
    """Mean and spread of the images that the first batch norm remembers; None where that cannot be told.

    Between images and the first batch norm there is a convolution, which is linear. How it maps the channels' means is
    measured by shifting plausible images, channel by channel, and solved for the remembered means; the spread comes
    from comparing variances with those of plausible images (dead leaves, whose spectrum is that of photographs).
    Nothing can be told where more than a convolution lies between, where filters ignore means, or before training.

    Args:
        classifier: the teacher.
        shape: (channels, height, width) of its images.
        seed: of the plausible images.

    Example:
        >>> input_statistics(teacher, (1, 8, 8)) is None  # it is untrained
        True
    """
    pixels = render("dead-leaves", seed, torch.arange(_IMAGES), shape)
    with torch.no_grad(), evaluating(classifier):
        inputs = classifier.prepare(pixels.to(classifier.mean.device))  # [N, C, H, W]
        first = _First(classifier.network)
        layer, moments = first(inputs)
        remembered = running_moments(layer)
        is_finite = all(part.isfinite().all() for part in remembered)
        if is_untrained(remembered) or not is_finite or not first.is_linear(inputs):
            return None
        shifts = torch.eye(inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        columns = [first(inputs + offset.view(1, -1, 1, 1))[1].mean - moments.mean for offset in shifts]
        scale = (remembered.var + 1e-5).rsqrt()
        matrix = torch.stack(columns, dim=1) * scale[:, None]  # [C of the layer, C]
        if len(matrix) < len(columns) or float(torch.linalg.cond(matrix.cpu())) > 1e3:
            return None
        target = (remembered.mean - moments.mean) * scale
        shift = torch.linalg.lstsq(matrix.cpu(), target.cpu()[:, None]).solution[:, 0].to(inputs.device)
        alive = (remembered.var > 1e-6) & (moments.var > 1e-6)
        if not alive.any():
            return None
        spread = (remembered.var[alive] / moments.var[alive]).median().sqrt()
        mean, std = classifier.mean.flatten(), classifier.std.flatten()
        normalised = (inputs.mean(dim=(0, 2, 3)) + shift, inputs.std(dim=(0, 2, 3)) * spread)
    return InputStatistics(tuple((normalised[0] * std + mean).tolist()), tuple((normalised[1] * std).tolist()))


def is_untrained(moments: Moments) -> bool:
    """Whether they are the moments that a batch norm starts with."""
    return bool((moments.mean == 0).all() and (moments.var == 1).all())


class _First:
    """The batch norm of a network that runs first, and what goes into it."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.layers = batch_norms(network).values()

    def __call__(self, inputs: Tensor) -> tuple[nn.Module, Moments]:
        seen: list[tuple[nn.Module, Moments]] = []

        def record(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
            if not seen:
                seen.append((module, moments_of(next(iter((*args, *kwargs.values()))))))

        handles = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in self.layers]
        try:
            self.network(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return seen[0]

    def is_linear(self, inputs: Tensor) -> bool:
        """Whether all that comes before the batch norm is linear."""
        nothing, once, twice = (self(inputs * factor)[1].mean for factor in (0, 1, 2))
        step = once - nothing
        return bool(torch.linalg.vector_norm(twice - once - step) <= 0.01 * torch.linalg.vector_norm(step))
