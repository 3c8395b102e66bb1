"""Arrays and tensors of images: which axis is which, and what their numbers mean."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.encoded.decode import Encoded
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.objects.opened import LAYOUTS, How, Layout, Opened
from limbeck.errors import UserError

CHANNELS = (1, 3, 4)
_BLOCK = 2**24
"""Numbers whose range is computed at a time."""
_NORMALISED = (
    "they look normalised. Leave `Normalize` out of the transform: networks normalise images themselves, each by its "
    "own mean and deviation"
)


class ArrayRows(EncodedImages):
    """Rows of an array, which may be a memory map; nothing is copied before it is used.

    Args:
        array: of numbers, [N, ...].
        layout: of its axes.
        where: what to call it in messages.
        wide: whether integers count as 16-bit.
    """

    def __init__(self, array: np.ndarray, layout: Layout, where: str, *, wide: bool) -> None:
        self._array = array
        self._layout = layout
        self._where = where
        self._wide = wide

    def __len__(self) -> int:
        return len(self._array)

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        images = self._array[rows]
        if self._wide:
            images = images.astype(np.uint16)  # the decoder tells 16-bit from 8-bit images by type
        if self._layout == "NCHW":
            images = images.transpose(0, 2, 3, 1)
        return list(images)

    def where(self, row: int) -> str:
        return f"image {row} of {self._where}"

    def stamp(self) -> None:
        return None


def open_array(array: np.ndarray | Tensor, how: How, *, count: int | None = None) -> Opened:
    """Images of one array.

    Args:
        array: [N, C, H, W], [N, H, W, C] or [N, H, W] with C 1, 3 or 4: uint8, wider integers, bool, or floats in
            [0, 1].
        how: its `layout` where the shape is ambiguous, and the `scale` where white is another number.
        count: number of labels beside it, which tells many gray images from one with several channels.

    Raises:
        UserError: axes that can be read in two ways or in none, numbers out of range.
    """
    pixels, kind = numbers_of(array), "tensor" if isinstance(array, Tensor) else "array"
    layout = layout_of(pixels.shape, how.layout, count)
    if pixels.size == 0:
        raise UserError(f"`images` must be at least one image of at least one pixel, got {list(pixels.shape)}.")
    low, high = _range(pixels)
    check_range_of(low, high, pixels.dtype, how.options.scale, "`images`")
    wide = pixels.dtype.kind in "iu" and high > 255 and how.options.scale is None
    if wide and high > 65535:
        raise UserError(f"`images` must lie in 0..65535, got {low:g}..{high:g}; say which value is white, as `scale=`.")
    return Opened(
        ArrayRows(pixels, layout, f"the {kind}", wide=wide),
        None,
        kind,
        advice="Give (images, labels, names of all classes).",
    )


def numbers_of(array: np.ndarray | Tensor) -> np.ndarray:
    """The array as NumPy on the CPU, without a copy where it is that already.

    Raises:
        UserError: something other than numbers.
    """
    if isinstance(array, Tensor):
        if array.is_sparse or array.is_complex() or array.is_meta:
            raise UserError(f"`images` must be a dense tensor of real numbers, got {array.dtype} on {array.device}.")
        array = array.detach().cpu()
        array = array.float() if array.dtype == torch.bfloat16 else array  # NumPy has no bfloat16
        return array.numpy()
    if array.dtype.kind not in "biuf":
        raise UserError(f"`images` must be an array of numbers, got {array.dtype}.")
    return array


def layout_of(shape: tuple[int, ...], stated: Layout | None, count: int | None = None) -> Layout:
    """The order of axes of a shape.

    Raises:
        UserError: `stated` does not fit the shape; or none is stated and several orders, or none, fit.

    Example:
        >>> layout_of((50, 32, 32, 3), None)
        'NHWC'
    """
    fits: list[Layout] = [layout for layout in LAYOUTS if _fits(shape, layout)]
    if stated is not None:
        if stated not in fits:
            raise UserError(
                f"`layout` must be 'NCHW', 'NHWC' or 'NHW' with C 1, 3 or 4, as the images have it, got {stated!r} for "
                f"the shape {list(shape)}."
            )
        return stated
    if not fits:
        advice = " Rows of flat images must be reshaped, as `images.reshape(-1, 28, 28)`." if len(shape) == 2 else ""
        raise UserError(
            f"`images` must be [N, C, H, W], [N, H, W, C] or [N, H, W] with C 1, 3 or 4, got {list(shape)}.{advice}"
        )
    if len(fits) > 1:
        raise UserError(
            f"`images` {list(shape)} can be read as [N, C, H, W] and as [N, H, W, C]; say which, as "
            "`lb.load(images, layout='NCHW')`."
        )
    if fits == ["NHW"] and count != shape[0] and (shape[0] in CHANNELS or shape[2] in CHANNELS):
        raise UserError(
            f"`images` {list(shape)} can be read as {shape[0]} gray images and as one of several channels; say "
            "`lb.load(images, layout='NHW')` for the former, give `images[None]` for the latter."
        )
    return fits[0]


def _fits(shape: tuple[int, ...], layout: Layout) -> bool:
    place = layout.find("C")
    return len(shape) == len(layout) and (place < 0 or shape[place] in CHANNELS)


def check_range_of(low: float, high: float, kind: np.dtype[Any], scale: float | None, what: str) -> None:
    """Raises a UserError for numbers that cannot be pixels, and says what they look like.

    Args:
        low, high: the smallest and the largest number; NaN if any number is.
        kind: their type.
        scale: the value that is white, if the caller says so.
        what: what to call them in the message.
    """
    if kind.kind == "f" and not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{what} must be finite numbers, got NaN or infinity.")
    if scale is not None or kind.kind == "b":
        return  # values beyond it are reported with the image
    if low < 0:
        why = f"; {_NORMALISED}" if kind.kind == "f" else ", which no pixels are"
        floats = "floats in [0, 1]" if kind.kind == "f" else "numbers from 0"
        raise UserError(f"{what} must be {floats}, got {low:g}..{high:g}{why}.")
    if kind.kind == "f" and high > 1:
        white = "255" if high <= 255 else f"{high:g}"
        raise UserError(
            f"{what} must be floats in [0, 1], got {low:g}..{high:g}; if they are normalised, leave `Normalize` out of "
            f"the transform, else divide them by {white} or say that it is white, as `scale={white}`."
        )


def _range(pixels: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest number, read block by block."""
    if pixels.dtype in (np.uint8, np.bool_):
        return 0, 255
    rows = max(1, _BLOCK // max(1, pixels[0].size))
    parts = [pixels[start : start + rows] for start in range(0, len(pixels), rows)]
    lows, highs = [float(part.min()) for part in parts], [float(part.max()) for part in parts]
    return float(np.min(lows)), float(np.max(highs))
