"""Which stored value is white, and whether the values of a set come anywhere near it."""

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from numbers import Real
from typing import NamedTuple

from limbeck.errors import UserError

_DARK = 0.5
"""Share of white: a set whose largest value lies below it leaves at least one bit of its type unused."""


class Largest(NamedTuple):
    """The largest value of an image stored with more than 8 bits, or scaled as the user asked.

    Attributes:
        value: as stored.
        white: the value that becomes 255.
        upper_bits: whether only the upper 8 of its 16 bits can be read.
    """

    value: float
    white: float
    upper_bits: bool = False


def checked_scale(scale: float | None) -> float | None:
    """`scale` as a float, so that 4095 and 4095.0 have the same cache key.

    Raises:
        UserError: not a finite number above 0.
    """
    if scale is None:
        return None
    number = math.nan
    if isinstance(scale, Real) and not isinstance(scale, bool):  # also those of NumPy
        with suppress(OverflowError):  # integers may be beyond all floats
            number = float(scale)
    if not 0 < number < math.inf:
        raise UserError(f"`scale` must be the stored value that becomes white, a finite number > 0, got {scale!r}.")
    return number


def brightest(seen: Sequence[Largest]) -> list[Largest]:
    """The one of `seen` that comes nearest to white, if any: it decides for the whole set."""
    return sorted(seen, key=lambda largest: largest.value / largest.white)[-1:]


def check_range(seen: Sequence[Largest], scale: float | None, name: str, *, all_seen: bool = True) -> None:
    """Warns, once per set, of values that do not fill their type: unscaled, such images are dark or black.

    Args:
        seen: of the images of the set that have more than 8 bits.
        scale: the value that the user declared white.
        name: what to call the set.
        all_seen: whether every image was looked at, or just a sample.

    Raises:
        UserError: `scale` is given and has no effect, since all images have 8 bits.
    """
    if scale is not None:
        if not seen and all_seen:
            raise UserError(
                f"`scale` says which value is white in arrays and in files of more than 8 bits; all images of {name!r} "
                f"are files of 8 bits, whose white is 255. Leave it out, got {scale:.10g}."
            )
        return
    for value, white, upper_bits in brightest(seen):
        if 0 < value < _DARK * white:
            _warn_of_dark(name, value, white, upper_bits, all_seen)


def _warn_of_dark(name: str, value: float, white: float, upper_bits: bool, all_seen: bool) -> None:
    looked = "" if all_seen else " looked at"
    if upper_bits:
        advice = (
            "They have several channels of 16 bits, of which only the upper 8 are read, so `scale` cannot help; write "
            "them with values that fill 16 bits, or as 8 bits."
        )
    else:
        likely = f"{2 ** int(value).bit_length() - 1}" if value >= 1 else f"{value!r}"
        advice = (
            f"If that should be nearly white, say which value is, as `scale={likely}` (`--scale {likely}`); if the "
            f"images are meant to be so dark, `scale={white:.10g}`."
        )
    warnings.warn(
        f"the images of {name!r} are dark: the largest value{looked} is {value:.10g}, and {white:.10g} is white. "
        f"{advice}",
        stacklevel=5,
    )
