"""Several images stored in one: small parts side by side, each enlarged when it is used.

Kim, Kim, Oh, Yun, Song, Jeong, Ha and Song, "Dataset condensation via efficient synthetic-data parameterization", ICML
2022 (multi-formation).
"""

from collections.abc import Callable
from math import isqrt

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from limbeck.errors import UserError


def split_images(images: Tensor, per_image: int) -> Tensor:
    """The images that each stored one holds, enlarged bilinearly to its size.

    Gradients pass through floating images, second-order ones too. Where sides do not divide evenly, the first parts are
    a pixel larger, so that every pixel is used exactly once.

    Args:
        images: `[N, C, H, W]`, floating in any space, or uint8.
        per_image: images in a stored one, a square: 1, 4, 9 ...

    Returns:
        `[N * per_image, C, H, W]` of the same type, the parts of an image one after the other, row by row.

    Raises:
        UserError: `per_image` is no square, or more than the images have room for.

    Example:
        >>> split_images(torch.rand(2, 3, 8, 8), 4).shape
        torch.Size([8, 3, 8, 8])
    """
    size = images.shape[-2], images.shape[-1]
    parts = [images[..., top:bottom, left:right] for top, bottom, left, right in part_boxes(size, per_image)]
    if per_image == 1:
        return images
    # Interpolation by pixel centres (no `align_corners`), as in the paper's code.
    whole = [_as_floats(part, lambda x: interpolate(x, size, mode="bilinear")) for part in parts]
    return torch.stack(whole, 1).flatten(0, 1)  # [N, per_image, C, H, W] before


def merge_images(images: Tensor, per_image: int) -> Tensor:
    """Images that hold `per_image` of the given ones each, shrunk to parts by the nearest pixels, as in NCFM's code.

    Args:
        images: `[N * per_image, C, H, W]` in the order of `split_images`, floating or uint8.
        per_image: as there.

    Returns:
        `[N, C, H, W]` of the same type.

    Raises:
        UserError: as `split_images`, and another number of images.

    Example:
        >>> merge_images(torch.rand(8, 3, 8, 8), 4).shape
        torch.Size([2, 3, 8, 8])
    """
    boxes = part_boxes((images.shape[-2], images.shape[-1]), per_image)
    if len(images) % per_image:
        raise UserError(f"`images` must be {per_image} for every one that is put together, got {len(images)}.")
    if per_image == 1:
        return images
    apart = images.unflatten(0, (-1, per_image))  # [N, per_image, C, H, W]
    whole = torch.empty_like(apart[:, 0])
    for index, (top, bottom, left, right) in enumerate(boxes):
        size = bottom - top, right - left
        whole[..., top:bottom, left:right] = _as_floats(
            apart[:, index], lambda x, size=size: interpolate(x, size, mode="nearest")
        )
    return whole


def part_boxes(size: tuple[int, int], per_image: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each part, row by row; bottom and right are exclusive.

    Raises:
        UserError: see `split_images`.

    Example:
        >>> part_boxes((5, 4), 4)
        [(0, 3, 0, 2), (0, 3, 2, 4), (3, 5, 0, 2), (3, 5, 2, 4)]
    """
    factor = isqrt(max(per_image, 0))
    if per_image < 1 or factor**2 != per_image:
        raise UserError(f"`per_image` must be a square, as 1, 4 or 9, got {per_image}.")
    if min(size) < factor:
        raise UserError(f"`per_image` {per_image} needs images of at least {factor}x{factor}, got {size[0]}x{size[1]}.")
    rows, columns = edges(size[0], factor), edges(size[1], factor)
    return [
        (rows[i], rows[i + 1], columns[j], columns[j + 1])  # by rows
        for i in range(factor)
        for j in range(factor)
    ]


def edges(side: int, factor: int) -> list[int]:
    """Where the `factor` parts of a side begin, and the end of the last; the first ones may be a pixel longer.

    Example:
        >>> edges(8, 3)
        [0, 3, 6, 8]
    """
    length, more = divmod(side, factor)
    return [index * length + min(index, more) for index in range(factor + 1)]


def _as_floats(images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Computes in floats and rounds uint8 images back, since not every device resizes uint8."""
    if images.dtype != torch.uint8:
        return compute(images)
    return compute(images.float()).round().clamp(0, 255).to(torch.uint8)
