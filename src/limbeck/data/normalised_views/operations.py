"""Operations on normalised images, as pure functions of images and of parameters for each image.

All take float32 or float64 images [B, C, H, W] with zero as the mean colour; pixels from outside are zero, values are
not limited to a range, and gradients of any order pass to the images.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def recoloured(images: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Brightness is added, then deviations from each pixel's channel mean and from the image's mean are scaled.

    Args:
        images: [B, C, H, W].
        brightness: added, [B].
        saturation, contrast: factors, [B].

    Example:
        >>> recoloured(torch.ones(1, 3, 1, 2), torch.ones(1), torch.zeros(1), torch.ones(1))[0, 0]
        tensor([[2., 2.]])
    """
    brightness, saturation, contrast = (factor.view(-1, 1, 1, 1) for factor in (brightness, saturation, contrast))
    brighter = images + brightness
    grey = brighter.mean(dim=1, keepdim=True)
    coloured = (brighter - grey) * saturation + grey
    mean = coloured.mean(dim=(1, 2, 3), keepdim=True)
    return (coloured - mean) * contrast + mean


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images moved by whole pixels, [B] each.

    Example:
        >>> shifted(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([0]), torch.tensor([1]))
        tensor([[[[0., 1., 2.]]]])
    """
    batch, channels, height, width = images.shape
    y = torch.arange(height, device=images.device) - down[:, None]  # [B, H]: where each row comes from
    x = torch.arange(width, device=images.device) - right[:, None]  # [B, W]
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]  # [B, H, W]
    first = torch.arange(batch, device=images.device)[:, None] * height
    rows = (first + y.clamp(0, height - 1))[:, :, None] * width + x.clamp(0, width - 1)[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
    moved = pixels.index_select(0, rows.view(-1)).view(batch, height, width, channels).permute(0, 3, 1, 2)
    return torch.where(inside[:, None], moved, 0)


def without_square(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """Images with a rectangle of zeros, of `height` x `width` from `top` and `left`, whole pixels [B], maybe outside.

    Example:
        >>> without_square(torch.ones(1, 1, 1, 4), torch.tensor([0]), torch.tensor([-1]), 1, 2)
        tensor([[[[0., 1., 1., 1.]]]])
    """
    y = torch.arange(images.shape[2], device=images.device) - top[:, None]  # [B, H]
    x = torch.arange(images.shape[3], device=images.device) - left[:, None]  # [B, W]
    cut = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[:, None, None, :]
    return torch.where(cut, 0, images)


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Images flipped left-right where `which`, bool [B], is true.

    Example:
        >>> mirrored(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([True]))
        tensor([[[[2., 1.]]]])
    """
    return torch.where(which.view(-1, 1, 1, 1), images.flip(-1), images)


def placed(images: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
    """Images resampled bilinearly at the places to which an affine map takes the coordinates of each pixel.

    Coordinates are -1 and 1 at the borders of an image.

    Args:
        images: [B, C, H, W].
        along_x: factors of x and of y and an offset, which give the x of a place, [B, 3].
        along_y: the same for its y.

    Example:
        >>> as_it_is = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
        >>> placed(torch.tensor([[[[1.0, 2.0]]]]), *as_it_is)
        tensor([[[[1., 2.]]]])
    """
    x, y = (_centres(size, images) for size in (images.shape[3], images.shape[2]))
    x, y = x[None, None, :], y[None, :, None]
    # By hand, since `affine_grid` multiplies matrices, which autocast would round to bfloat16.
    places = [of_x * x + of_y * y + more for of_x, of_y, more in (_columns(along_x), _columns(along_y))]
    return F.grid_sample(images, torch.stack(places, dim=3), mode="bilinear", align_corners=False)


def scaled(images: Tensor, wide: Tensor, high: Tensor) -> Tensor:
    """Images zoomed out by factors `wide` and `high` along x and y, [B] each: above 1 they shrink.

    Example:
        >>> scaled(torch.ones(1, 1, 1, 4), torch.tensor([2.0]), torch.tensor([1.0]))
        tensor([[[[0., 1., 1., 0.]]]])
    """
    zero = torch.zeros_like(wide)
    return placed(images, torch.stack([wide, zero, zero], 1), torch.stack([zero, high, zero], 1))


def turned(images: Tensor, angle: Tensor) -> Tensor:
    """Images rotated about their centres by `angle`, radians [B].

    Example:
        >>> turned(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([torch.pi])).round()
        tensor([[[[2., 1.]]]])
    """
    return placed(images, *turn(angle, images.shape[2] / images.shape[3]))


def turn(angle: Tensor, aspect: float) -> tuple[Tensor, Tensor]:
    """The maps of `placed`, [B, 3] each, that rotate images of `aspect` height / width by radians [B]."""
    zero, cos, sin = torch.zeros_like(angle), angle.cos(), angle.sin()
    return torch.stack([cos, -sin * aspect, zero], 1), torch.stack([sin / aspect, cos, zero], 1)


def _centres(size: int, images: Tensor) -> Tensor:
    """Coordinates of the centres of pixels in a row of `size`."""
    return (2 * torch.arange(size, device=images.device, dtype=images.dtype) + 1) / size - 1


def _columns(factors: Tensor) -> list[Tensor]:
    return [column.view(-1, 1, 1) for column in factors.unbind(1)]
