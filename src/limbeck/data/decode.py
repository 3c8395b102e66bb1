"""One encoded image to pixels of a wanted shape; everything Pillow can open converts to gray or RGB by stated rules.

- gray (`L`) and 1-bit (`1`): 0..255, repeated over the channels when three are wanted;
- colour to gray: luma 0.299 R + 0.587 G + 0.114 B (ITU-R 601, as Pillow);
- transparency (`RGBA`, `LA`, or a palette or gray or RGB with a transparent entry): composited on white;
- palette (`P`): its colours; CMYK, YCbCr, LAB, HSV: Pillow's conversion to RGB;
- 16-bit gray (`I;16`, `I`): value / 257 rounded, so 65535 becomes 255; nothing is clipped;
- `F` (float): values in [0, 1] times 255, anything else is an error;
- EXIF orientation is applied, so that the image is upright.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Encoded = bytes | Path | np.ndarray
"""An image as it is stored: the bytes of a file, the path of a file, or an array [H, W] or [H, W, C]."""

_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, Image.DecompressionBombError)
_ORIENTATION = 0x0112


class Unreadable(Exception):
    """An image cannot be decoded; the message says why, the caller knows which one it is."""


class WrongShape(Exception):
    """An image is readable but not of the shape that all images were taken to have."""


@dataclass(frozen=True)
class Target:
    """What every image of a set is brought to.

    Args:
        channels: 1 or 3.
        height, width: pixels.
        resize: scale so that the image just covers the target and crop its centre; if false, another size is
            `WrongShape`.
        to_gray: whether colour may become gray; if false and `channels` is 1, a colour image is `WrongShape`.
    """

    channels: int
    height: int
    width: int
    resize: bool = False
    to_gray: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


def header(encoded: Encoded) -> tuple[tuple[int, int], bool]:
    """((H, W) once upright, whether it is gray), read without decoding the pixels.

    Raises:
        Unreadable: not an image.
    """
    with _reading(), _open(encoded) as image:
        width, height = image.size
        # Of TIFF, Pillow has turned the size already.
        if image.format != "TIFF" and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        return (height, width), _is_gray(image)


def decode(encoded: Encoded, target: Target) -> np.ndarray:
    """The image as uint8 [C, H, W] of `target`'s shape, by the rules at the top of this module.

    Raises:
        Unreadable: not an image, or truncated.
        WrongShape: see `Target`.
    """
    with _reading(), _open(encoded) as image:
        if target.channels == 1 and not target.to_gray and not _is_gray(image):
            raise WrongShape("is in colour, those looked at first were gray; say `channels=1` or `channels=3`")
        image.load()
        upright = image if image.getexif().get(_ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
        pixels = np.asarray(_fit(_convert(upright, "L" if target.channels == 1 else "RGB"), target))
    return pixels[None] if target.channels == 1 else pixels.transpose(2, 0, 1)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise Unreadable(str(error) or type(error).__name__) from error


def _open(encoded: Encoded) -> Image.Image:
    if isinstance(encoded, np.ndarray):
        return _from_array(encoded)
    return Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)


def _is_gray(image: Image.Image) -> bool:
    return image.mode in _GRAY_MODES or image.mode.startswith("I;16")


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode and not image.has_transparency_data:
        return image
    if image.mode.startswith("I"):
        image = Image.fromarray(_from_16_bit(np.asarray(image)))
    elif image.mode == "F":
        image = Image.fromarray(_from_float(np.asarray(image)))
    elif image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)


def _fit(image: Image.Image, target: Target) -> Image.Image:
    size = (target.width, target.height)
    if image.size == size:
        return image
    if not target.resize:
        width, height = image.size
        raise WrongShape(f"is {height}x{width}, the others are {target.height}x{target.width}; give `size=`")
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def _from_array(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise ValueError(f"it must be [H, W], [H, W, C] or [C, H, W] with C 1, 3 or 4, got {list(pixels.shape)}")
    return Image.fromarray(to_uint8(pixels, sixteen_bit=pixels.dtype == np.uint16))


def to_uint8(pixels: np.ndarray, *, sixteen_bit: bool = False) -> np.ndarray:
    """Pixels of any shape and number type as uint8: bool is 0 or 255, floats are 0..1, integers 0..255 or 0..65535.

    Args:
        pixels: at least one.
        sixteen_bit: whether integers count as 16-bit.

    Raises:
        ValueError: NaN or infinite, or out of these ranges.
    """
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype.kind == "f":
        return _from_float(pixels)
    if pixels.dtype.kind not in "iu":
        raise ValueError(f"pixels must be numbers, got {pixels.dtype}")
    if sixteen_bit:
        return _from_16_bit(pixels)
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 255:
        raise ValueError(f"8-bit pixels must lie in 0..255, got {low}..{high}")
    return pixels.astype(np.uint8)


def _from_16_bit(pixels: np.ndarray) -> np.ndarray:
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > 65535:
        raise ValueError(f"16-bit pixels must lie in 0..65535, got {low}..{high}")
    # 257 x 255 = 65535: white stays white, and 8-bit images widened to 16 bits come back exactly.
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_float(pixels: np.ndarray) -> np.ndarray:
    if not np.isfinite(pixels).all():
        raise ValueError("pixels must be finite, got NaN or infinity")
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        raise ValueError(f"float pixels must lie in [0, 1], got {low:g}..{high:g}; divide by 255 if they are 0..255")
    return np.rint(pixels * 255).astype(np.uint8)
