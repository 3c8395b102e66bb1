"""The augmentation that dataset condensation used before DSA.

Zhao, Mopuri and Bilen, "Dataset condensation with gradient matching", ICLR 2021.
"""

from typing import Any

import torch
from torch import Tensor

from limbeck.data.augmentation import key_of
from limbeck.data.normalised_views.base import Draw, NormalisedViews
from limbeck.data.normalised_views.operations import placed, turn
from limbeck.data.normalised_views.options import CropScaleRotateOptions, pixels


class CropScaleRotate(NormalisedViews):
    """One of three for each image: moved by whole pixels, stretched along both axes, or rotated by whole degrees.

    Pixels from outside are the mean colour, zero, where the authors' code has the batch's mean in some cases: a view
    here depends on its own image alone. All three interpolate bilinearly.

    Args:
        options: those of `CropScaleRotateOptions`.

    Raises:
        UserError: options out of their ranges.

    Example:
        >>> views = CropScaleRotate(rotate=15)
        >>> views.apply(torch.zeros(2, 3, 8, 8), views.draw(2, seed=0, step=0)).abs().max()
        tensor(0.)
    """

    def __init__(self, **options: Any) -> None:
        self.options = CropScaleRotateOptions(**options)
        self.key = key_of(self, **vars(self.options))

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        options, (height, width) = self.options, images.shape[2:]
        reach = pixels(height, options.shift), pixels(width, options.shift)
        # Rotations are whole degrees from -rotate on, excluding +rotate.
        limits = (3, 2 * reach[0] + 1, 2 * reach[1] + 1, max(1, 2 * options.rotate))
        which, down, right, degrees = draw.integers(limits)
        numbers = draw.numbers(2).to(images.dtype).unbind(1)
        crop, stretch, rotate = (which == number for number in range(3))
        wide, high = (torch.where(stretch, 1 / (1 + (2 * number - 1) * options.scale), 1) for number in numbers)
        angle = torch.deg2rad((degrees - options.rotate).to(images.dtype))
        along_x, along_y = turn(torch.where(rotate, angle, 0), height / width)
        moved = [
            (largest - offset).to(images.dtype) * 2 / size
            for largest, offset, size in ((reach[1], right, width), (reach[0], down, height))
        ]
        along_x = torch.stack([along_x[:, 0] * wide, along_x[:, 1], torch.where(crop, moved[0], 0)], 1)
        along_y = torch.stack([along_y[:, 0], along_y[:, 1] * high, torch.where(crop, moved[1], 0)], 1)
        return placed(images, along_x, along_y)
