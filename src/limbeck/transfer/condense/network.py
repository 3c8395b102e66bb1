"""Fresh networks for the images at hand, as settings describe them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from limbeck.data.image_set import ImageSet
from limbeck.models.catalogue import canonical, entry
from limbeck.models.classifier import Classifier
from limbeck.models.whitening import Whitening, check_whitening
from limbeck.models.zoo import create
from limbeck.transfer.condense.expert_settings import Network


class FreshNetworks:
    """Callable: seed -> network for some images with weights from that seed; unlike a lambda it can be pickled.

    Args:
        model: name in the catalogue.
        images: give classes, shape and, where it is not given, normalisation.
        options: of the model.
        mean, std: normalisation, per channel.
        whitening: in their place; shared by all networks.

    Example:
        >>> networks = FreshNetworks("convnet_d3", images, {"width": 4})
        >>> networks(0).num_classes, [round(one, 2) for one in networks(0).normalisation[0]]
        (10, [0.31])
    """

    def __init__(
        self,
        model: str,
        images: ImageSet,
        options: Mapping[str, Any] | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        whitening: Whitening | None = None,
    ) -> None:
        self.model = model
        self.options = dict(options or {})
        channels, height, width = images.shape
        self.built: dict[str, Any] = {
            "num_classes": images.num_classes,
            "classes": images.classes,
            "channels": channels,
            "input_size": (height, width) if entry(canonical(model)).input_size is not None else None,
        }
        if whitening is not None:
            self.built["whitening"] = whitening
            return
        measured = mean_and_std(images) if mean is None or std is None else ((), ())
        self.built["mean"] = tuple(mean) if mean is not None else measured[0]
        self.built["std"] = tuple(std) if std is not None else measured[1]

    @classmethod
    def of(cls, settings: Network, images: ImageSet) -> "FreshNetworks":
        """Networks as a recipe describes them; whitening is fitted to the images."""
        whitening = Whitening.fit(images, settings.whitening_epsilon) if settings.whitening else None
        return cls(settings.model, images, settings.options, mean=settings.mean, std=settings.std, whitening=whitening)

    @classmethod
    def unfitted(cls, settings: Network, images: ImageSet) -> "FreshNetworks":
        """Networks of the same kind for checks of shapes and names: no image is read to normalise them.

        Raises:
            UserError: settings ask for whitening, and the images cannot be whitened.
        """
        if settings.whitening:
            check_whitening(len(images), images.shape, settings.whitening_epsilon)
        channels = images.shape[0]
        mean = [0.0] * channels if settings.mean is None else settings.mean
        std = [1.0] * channels if settings.std is None else settings.std
        return cls(settings.model, images, settings.options, mean=mean, std=std)

    def __call__(self, seed: int) -> Classifier:
        return create(self.model, seed=seed, **self.built, **self.options)


def mean_and_std(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel's pixels, in units of [0, 1] images; a constant channel has std 1.

    Example:
        >>> mean, std = mean_and_std(images)
        >>> len(mean), len(std)
        (1, 1)
    """
    sums = torch.zeros(2, images.shape[0], dtype=torch.float64)
    count = 0
    for _, batch in images.batches(1024):  # [B, C, H, W] uint8
        pixels = batch.double() / 255
        sums += torch.stack([pixels.sum((0, 2, 3)), pixels.square().sum((0, 2, 3))])
        count += batch[:, 0].numel()
    mean, square = sums / count
    std = (square - mean.square()).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(torch.where(std > 1e-6, std, 1.0).tolist())
