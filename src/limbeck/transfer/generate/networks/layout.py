"""How large the maps of a generator are, and how many channels they have; without importing torch."""

from math import ceil, log2
from typing import NamedTuple

Size = tuple[int, int]

_WIDE_UP_TO = 32
_LARGE_DOUBLINGS = 4


class Layout(NamedTuple):
    """Maps from the smallest to the largest.

    Attributes:
        sizes: (height, width) of each.
        channels: of each.
        sub_pixel: whether the last layer makes four pixels of every place.
        maps: whether latents are maps of the first size, and not one row.
    """

    sizes: tuple[Size, ...]
    channels: tuple[int, ...]
    sub_pixel: bool = False
    maps: bool = False


def published(size: Size, width: int) -> Layout:
    """From 5 to 8 pixels up by doublings, the last of which halves the channels: 8, 16 and 32 for 32 pixels.

    With width 64 and 256 latents that is 2.3 M parameters and 117 M multiply-adds an image for 32 pixels, and 2.3 M and
    6.2 G for 224, where the reference implementation of BSR has 103 M parameters in its first layer alone.

    Example:
        >>> published((32, 32), 64)[:2]
        (((8, 8), (16, 16), (32, 32)), (128, 128, 64))
        >>> published((30, 45), 64).sizes
        ((4, 6), (8, 12), (15, 23), (30, 45))
    """
    count = _doublings(size)
    return Layout(_sizes(size, count), (*(2 * width,) * count, width))


def light(size: Size, width: int) -> Layout:
    """As `published`, but the last layer does the last doubling, and channels are halved beyond 32 pixels.

    With width 64 and 256 latents 2.2 M parameters and 23 M multiply-adds for 32 pixels, 2.3 M and 122 M for 64, 1.2 M
    and 473 M for 160, 2.0 M and 926 M for 224.

    Example:
        >>> light((224, 224), 64)[:2]
        (((7, 7), (14, 14), (28, 28), (56, 56), (112, 112)), (128, 128, 128, 64, 64))
    """
    sizes = _sizes(size, _doublings(size))[:-1]
    inner = [2 * width if max(map_size) <= _WIDE_UP_TO else width for map_size in sizes[1:-1]]
    return Layout(sizes, (2 * width, *inner, width)[: len(sizes)], sub_pixel=True)


def large(size: Size, width: int) -> Layout:
    """From maps of a sixteenth of the size up by four doublings, or as many as leave two pixels.

    With width 64 and maps of 256 latents 0.6 M parameters and 2.8 G multiply-adds for 224 pixels.

    Example:
        >>> large((224, 224), 64)[:2]
        (((14, 14), (28, 28), (56, 56), (112, 112), (224, 224)), (128, 128, 64, 64, 64))
    """
    count = max(0, min(_LARGE_DOUBLINGS, int(log2(max(size))) - 1))
    channels = (2 * width, 2 * width, width, width, width)
    return Layout(_sizes(size, count), channels[_LARGE_DOUBLINGS - count :], maps=True)


LAYOUTS = {"published": published, "light": light, "large": large}


def _doublings(size: Size) -> int:
    """How many doublings, so that the longer side starts with 5 to 8 pixels; at least one."""
    return max(1, ceil(log2(max(size) / 8)))


def _sizes(size: Size, count: int) -> tuple[Size, ...]:
    height, width = size
    return tuple((-(-height // 2**level), -(-width // 2**level)) for level in range(count, -1, -1))
