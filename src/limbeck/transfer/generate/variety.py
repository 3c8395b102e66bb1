"""How varied images are: what tells collapse from progress."""

import torch
from torch import Tensor

from limbeck.data.storage import image_digests
from limbeck.errors import UserError

_BLOCK = 1024


def class_balance(counts: Tensor) -> float:
    """The largest class over the smallest; infinite where a class has no image.

    Args:
        counts: images of each class, int64 [K].

    Example:
        >>> class_balance(torch.tensor([30, 20, 25]))
        1.5
    """
    largest, smallest = float(counts.max()), float(counts.min())
    return largest / smallest if smallest else float("inf")


def distinct_pictures(images: Tensor) -> int:
    """How many of `images`, uint8 [n, C, H, W], are of distinct pixels.

    Example:
        >>> distinct_pictures(torch.tensor([3, 7, 3], dtype=torch.uint8).view(3, 1, 1, 1))
        2
    """
    return len(image_digests(images.cpu()).unique(dim=0)) if len(images) else 0


def near_duplicates(values: Tensor, within: float = 0.02) -> float:
    """The share of images that have another as good as equal among them; 0 for one image or none.

    Args:
        values: of n images, [n, ...]: pixels as uint8, which differ by the root mean square of 0..1 over all of them;
            or embeddings as floats, whose distances are relative to the root mean square of their lengths.
        within: images nearer than that are as good as equal.

    Example:
        >>> near_duplicates(torch.tensor([[1.0, 0.0], [1.0, 0.001], [0.0, 1.0], [-1.0, 0.0]]))
        0.5
    """
    if not within > 0:
        raise UserError(f"`within` must be > 0, got {within}.")
    count = len(values)
    if count < 2:
        return 0.0
    flat = values.flatten(1).double()
    pixels = values.dtype == torch.uint8
    scale = 255 * flat.shape[1] ** 0.5 if pixels else float(flat.square().sum(dim=1).mean().sqrt())
    found = 0
    for start in range(0, count, _BLOCK):
        distances = torch.cdist(flat[start : start + _BLOCK], flat, compute_mode="use_mm_for_euclid_dist")
        own = torch.arange(len(distances))
        distances[own, own + start] = torch.inf
        found += int((distances.amin(dim=1) <= within * scale).sum())
    return found / count
