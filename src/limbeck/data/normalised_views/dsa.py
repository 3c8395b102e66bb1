"""Differentiable Siamese augmentation.

Zhao and Bilen, "Dataset condensation with differentiable Siamese augmentation", ICML 2021.
"""

from typing import Any

import torch
from torch import Tensor

from limbeck.data.augmentation import key_of
from limbeck.data.normalised_views.base import Draw, NormalisedViews
from limbeck.data.normalised_views.operations import mirrored, recoloured, scaled, shifted, turned, without_square
from limbeck.data.normalised_views.options import OPERATIONS, DsaOptions, pixels


class Dsa(NormalisedViews):
    """One operation for a whole batch, with separate parameters for each image.

    Args:
        options: those of `DsaOptions`.

    Raises:
        UserError: options out of their ranges.

    Example:
        >>> views = Dsa(operations=["flip"], flip=1.0)
        >>> views.apply(torch.tensor([[[[1.0, 2.0]]]]), views.draw(1, seed=0, step=0))
        tensor([[[[2., 1.]]]])
    """

    def __init__(self, **options: Any) -> None:
        self.options = DsaOptions(**options)
        self.key = key_of(self, **vars(self.options))

    def operation(self, draw: Draw) -> str:
        """The operation of a batch, in mode "one"."""
        return self.options.operations[draw.choice(len(self.options.operations))]

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        if self.options.mode == "one":
            return self._changed(self.operation(draw), images, draw)
        for name in self.options.operations:
            images = self._changed(name, images, draw.part(OPERATIONS.index(name)))
        return images

    def _changed(self, operation: str, images: Tensor, draw: Draw) -> Tensor:
        options = self.options
        height, width = images.shape[2:]
        match operation:
            case "colour":
                added, saturation, contrast = _numbers(draw, 3, images)
                brightness = (2 * added - 1) * options.brightness
                return recoloured(
                    images, brightness, saturation * options.saturation, 1 + (2 * contrast - 1) * options.contrast
                )
            case "crop":
                reach = pixels(height, options.shift), pixels(width, options.shift)
                down, right = draw.integers((2 * reach[0] + 1, 2 * reach[1] + 1))
                return shifted(images, down - reach[0], right - reach[1])
            case "cutout":
                side = pixels(height, options.cutout), pixels(width, options.cutout)
                # Centres may be anywhere; for an even side they are borders between pixels, of which there is one more.
                y, x = draw.integers((height + 1 - side[0] % 2, width + 1 - side[1] % 2))
                return without_square(images, y - side[0] // 2, x - side[1] // 2, *side)
            case "flip":
                return mirrored(images, _numbers(draw, 1, images)[0] < options.flip)
            case "scale":
                least = 1 / options.scale
                wide, high = (least + number * (options.scale - least) for number in _numbers(draw, 2, images))
                return scaled(images, wide, high)
            case _:
                degrees = (2 * _numbers(draw, 1, images)[0] - 1) * options.rotate
                return turned(images, torch.deg2rad(degrees))


def _numbers(draw: Draw, count: int, images: Tensor) -> tuple[Tensor, ...]:
    """`count` numbers for each image, in [0, 1) and of its type, [B] each."""
    return draw.numbers(count).to(images.dtype).unbind(1)
