"""The patches of an image in another order: how students are shown images that were put together from crops.

Sun, Shi, Yuan and Lin, "On the diversity and realism of distilled dataset: an efficient dataset distillation paradigm",
CVPR 2024.
"""

from functools import cache
from itertools import pairwise, permutations
from math import factorial

import torch
from torch import Tensor

from limbeck.copies import to_device
from limbeck.data.augmentation import Augmentation, key_of
from limbeck.data.multi_formation import edges
from limbeck.errors import UserError
from limbeck.signatures import check_option

_MOST = 6  # of which there are 518,400 orders


class ShuffledPatches(Augmentation):
    """Cut an image into `factor` x `factor` patches, and permute their rows and columns.

    Args:
        factor: patches in a row, 1 to 6; 2 for images of four crops (see `part_boxes`).
    """

    moves = True

    def __init__(self, *, factor: int = 2) -> None:
        check_option("factor", factor, 2, "views")
        if not 1 <= factor <= _MOST:
            raise UserError(f"`factor` must be from 1 to {_MOST}, got {factor}.")
        self.factor = factor
        self.distinct = factorial(factor) ** 2
        self.key = key_of(self, factor=factor)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        batch, channels, height, width = images.shape
        if min(height, width) < self.factor:
            raise UserError(
                f"`factor` {self.factor} needs images of at least {self.factor}x{self.factor}, got {height}x{width}."
            )
        orders = factorial(self.factor)
        rows = _orders(height, self.factor, images.device)[draw // orders]  # [B, H]: where each comes from
        columns = _orders(width, self.factor, images.device)[draw % orders]  # [B, W]
        # Pixels as rows, as in `PadCrop`: one gather moves whole pixels.
        first = torch.arange(batch, device=images.device)[:, None] * height
        places = (first + rows)[:, :, None] * width + columns[:, None, :]
        pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
        return pixels.index_select(0, places.view(-1)).view(batch, height, width, channels).permute(0, 3, 1, 2)


@cache
def _orders(side: int, factor: int, device: torch.device) -> Tensor:
    """For each permutation of the patches along a side, where each new pixel comes from, int64 [factor!, side]."""
    with torch.inference_mode(False):  # so that the cached tensor can be used outside of inference mode
        patches = [range(low, high) for low, high in pairwise(edges(side, factor))]
        orders = [[place for patch in order for place in patch] for order in permutations(patches)]
        return to_device(torch.tensor(orders, device="cpu"), device)
