"""One encoded image to pixels of a wanted shape; everything Pillow can open converts to gray or RGB by stated rules.

- gray (`L`) and 1-bit (`1`): 0..255, repeated over the channels when three are wanted;
- colour to gray: luma 0.299 R + 0.587 G + 0.114 B (ITU-R 601, as Pillow);
- transparency (`RGBA`, `LA`, or a palette or gray or RGB with a transparent entry): composited on white;
- palette (`P`): its colours; CMYK, YCbCr, LAB, HSV: Pillow's conversion to RGB;
- 16-bit gray (`I;16`, `I`): value / 257 rounded, so 65535 becomes 255; nothing is clipped;
- `F` (float): values in [0, 1] times 255, anything else is an error;
- with a `scale`, arrays and files of more than 8 bits: value / scale * 255 rounded, beyond `scale` is an error;
- EXIF orientation is applied, so that the image is upright; metadata that cannot be read counts as none.
"""

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from limbeck.data.pixel_range import Largest

Encoded = bytes | Path | np.ndarray | Image.Image
"""An image as it is stored: the bytes of a file, the path of a file, an array [H, W] or [H, W, C], or an image that
Pillow has opened."""

_T = TypeVar("_T")
_FILTERS = threading.Lock()
"""Held while warning filters are changed, which all threads share."""
_GRAY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
_ORIENTATION = 0x0112
_UPPER_BITS = (
    "has several channels of 16 bits, of which only the upper 8 are read, so `scale` cannot be kept; write it with "
    "values that fill 16 bits, or as 8 bits"
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> the transposition that turns the image upright."""


class Unreadable(Exception):
    """An image cannot be decoded; the message says why, the caller knows which one it is."""


class WrongShape(Exception):
    """An image is readable but not of the shape that all images were taken to have."""


@dataclass(frozen=True)
class Target:
    """The shape and type that every image of a set is converted to.

    Args:
        channels: 1 or 3.
        height, width: pixels.
        resize: scale so that the image just covers the target and crop its centre; if false, another size is
            `WrongShape`.
        to_gray: whether colour may become gray; if false and `channels` is 1, a colour image is `WrongShape`.
        scale: the value that becomes white in arrays and in files of more than 8 bits; None for that of their type.
    """

    channels: int
    height: int
    width: int
    resize: bool = False
    to_gray: bool = True
    scale: float | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width


def header(encoded: Encoded) -> tuple[tuple[int, int], bool]:
    """((H, W) once upright, whether it is gray), read without decoding the pixels.

    Raises:
        Unreadable: not an image.
    """
    with _reading():
        if isinstance(encoded, np.ndarray):
            pixels = _height_first(encoded)
            return (pixels.shape[0], pixels.shape[1]), pixels.ndim == 2
        return _despite_warnings(lambda: _file_header(encoded))


def _file_header(encoded: bytes | Path | Image.Image) -> tuple[tuple[int, int], bool]:
    with _open(encoded) as image:
        width, height = image.size
        # For TIFF, Pillow has already swapped the sides.
        if image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        return (height, width), _is_gray(image)


def decode(encoded: Encoded, target: Target, seen: list[Largest] | None = None) -> np.ndarray:
    """The image as uint8 [C, H, W] of `target.shape`; see the rules at the top of this module.

    Args:
        encoded: the image.
        target: what to convert it to.
        seen: the largest value is appended to it where the image has more than 8 bits.

    Raises:
        Unreadable: not an image, truncated, or values out of range.
        WrongShape: see `Target`.
    """
    with _reading():
        if isinstance(encoded, np.ndarray):
            return _finish(_from_array(encoded, target.scale, seen), target, seen)
        return _despite_warnings(lambda: _decode_file(encoded, target, seen))


def _decode_file(encoded: bytes | Path | Image.Image, target: Target, seen: list[Largest] | None) -> np.ndarray:
    with _open(encoded) as image:
        return _finish(_upright(image, target, seen), target, seen)


def _upright(image: Image.Image, target: Target, seen: list[Largest] | None) -> Image.Image:
    upper_bits = _has_upper_bits_only(image)
    if upper_bits and target.scale is not None:
        raise WrongShape(_UPPER_BITS)
    image.load()
    if upper_bits and seen is not None:
        colours = image.convert("RGB") if image.mode == "RGBA" else image.getchannel(0) if image.mode == "LA" else image
        seen.append(Largest(int(np.asarray(colours).max()) * 257, 65535, upper_bits=True))
    # Not `ImageOps.exif_transpose`, which fails where it cannot write the other metadata again.
    method = None if image.format == "TIFF" else _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(method)


def _finish(image: Image.Image, target: Target, seen: list[Largest] | None) -> np.ndarray:
    if target.channels == 1 and not target.to_gray and not _is_gray(image):
        raise WrongShape("is in colour, those looked at first were gray; say `channels=1` or `channels=3`")
    mode = "L" if target.channels == 1 else "RGB"
    pixels = np.asarray(_fit(_convert(image, mode, target.scale, seen), target))
    return pixels[None] if target.channels == 1 else pixels.transpose(2, 0, 1)


def _orientation(image: Image.Image) -> int:
    """1..8; 1 also where the metadata cannot be read, since the pixels may be fine."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (MemoryError, Warning):
        raise
    except Exception:
        return 1


def _has_upper_bits_only(image: Image.Image) -> bool:
    """Whether Pillow reduces a 16-bit file to 8 bits, as it does with several channels; only known before loading."""
    tiles = getattr(image, "tile", [])
    return bool(tiles) and ";16" in str(tiles[0][3]) and not image.mode.startswith("I")


def _despite_warnings(read: Callable[[], _T]) -> _T:
    """The result of `read`, also where warnings are errors: Pillow warns of odd metadata while the pixels are fine."""
    try:
        return read()
    except UserWarning:
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return read()


@contextmanager
def _reading() -> Iterator[None]:
    """Turns any error of a decoder into `Unreadable`, since each decoder raises errors of its own."""
    try:
        yield
    except (WrongShape, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its message ends in the address of a buffer
        raise Unreadable("cannot identify its format") from error
    except Exception as error:
        raise Unreadable(str(error) or type(error).__name__) from error


def _open(encoded: bytes | Path | Image.Image) -> AbstractContextManager[Image.Image]:
    if isinstance(encoded, Image.Image):
        return nullcontext(encoded)  # not closed: its owner may need it again
    if encoded == b"":
        raise ValueError("cannot identify an image of no bytes")
    if not isinstance(encoded, bytes):
        return Image.open(encoded)
    # Pillow would first try every format before WebP, each with its own parser: half of the time for 32 px images.
    is_webp = encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"
    return Image.open(io.BytesIO(encoded), formats=("WEBP",) if is_webp else None)


def _is_gray(image: Image.Image) -> bool:
    return image.mode in _GRAY_MODES or image.mode.startswith("I;16")


def _convert(image: Image.Image, mode: str, scale: float | None, seen: list[Largest] | None) -> Image.Image:
    if image.mode == mode and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(to_uint8(np.asarray(image), sixteen_bit=True, scale=scale, seen=seen))
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


def _from_array(pixels: np.ndarray, scale: float | None, seen: list[Largest] | None) -> Image.Image:
    pixels = _height_first(pixels)
    return Image.fromarray(to_uint8(pixels, sixteen_bit=pixels.dtype == np.uint16, scale=scale, seen=seen))


def _height_first(pixels: np.ndarray) -> np.ndarray:
    """[H, W], [H, W, 3] or [H, W, 4]."""
    if pixels.dtype == object:
        raise ValueError("its lists must be of numbers, of one length at each depth, without missing values")
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise ValueError(f"it must be [H, W], [H, W, C] or [C, H, W] with C 1, 3 or 4, got {list(pixels.shape)}")
    if pixels.size == 0:
        raise ValueError(f"it must have at least one pixel, got {list(pixels.shape)}")
    return pixels


def to_uint8(
    pixels: np.ndarray, *, sixteen_bit: bool = False, scale: float | None = None, seen: list[Largest] | None = None
) -> np.ndarray:
    """Pixels of any shape and number type as uint8: bool is 0 or 255, floats are 0..1, integers 0..255 or 0..65535.

    Args:
        pixels: at least one.
        sixteen_bit: whether integers count as 16-bit.
        scale: the value that becomes 255, > 0, instead of the type's own; all numbers must then lie in 0..scale.
        seen: the largest value is appended to it unless the pixels are plain 8-bit integers.

    Raises:
        ValueError: NaN or infinite, or out of these ranges.
    """
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype == np.uint8 and scale is None:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"pixels must be numbers, got {pixels.dtype}")
    is_float = pixels.dtype.kind == "f"
    if is_float and not np.isfinite(pixels).all():
        raise ValueError("pixels must be finite, got NaN or infinity")
    white = scale or (1 if is_float else 65535 if sixteen_bit else 255)
    low, high = pixels.min().item(), pixels.max().item()
    if low < 0 or high > white:
        raise ValueError(_out_of_range(low, high, white, is_float, scale))
    if scale is None and white == 255:
        return pixels.astype(np.uint8)
    if seen is not None:
        seen.append(Largest(high, white))
    # With white at 65535, 8-bit images that were widened to 16 bits come back exactly, since 257 x 255 = 65535.
    exact = pixels if is_float and pixels.itemsize >= 4 else pixels.astype(np.float64)
    return np.rint(exact * (255 / white)).astype(np.uint8)


def _out_of_range(low: float, high: float, white: float, is_float: bool, scale: float | None) -> str:
    got = f"got {low:g}..{high:g}" if is_float else f"got {low}..{high}"
    if scale is not None:
        return f"pixels must lie in 0..{scale:.10g} (`scale`), {got}"
    if low < 0:
        advice = "; shift and scale them, for instance `(pixels - pixels.min()) / (pixels.max() - pixels.min())`"
    elif is_float and 127 < high <= 255:
        advice = "; divide by 255 if they are 0..255, or say which value is white, as `scale=255`"
    elif is_float:
        advice = f"; say which value is white, as `scale={high:.10g}`"
    else:
        advice = f"; say which value is white, as `scale={high}`"
    if is_float:
        return f"float pixels must lie in [0, 1], {got}{advice}"
    return f"{16 if white == 65535 else 8}-bit pixels must lie in 0..{white}, {got}{advice}"
