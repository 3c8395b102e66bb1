"""Options of the normalised views, checked without importing torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from limbeck.errors import UserError, unknown_name

OPERATIONS = ("colour", "crop", "cutout", "flip", "scale", "rotate")
"""The operations of DSA."""


@dataclass(frozen=True)
class DsaOptions:
    """Options of differentiable Siamese augmentation.

    Attributes:
        operations: a batch gets one of these, all equally likely.
        mode: "one" operation a batch, or "all" one after the other.
        brightness: largest number that is added or subtracted, >= 0, in standard deviations.
        saturation: largest factor for deviations from each pixel's grey, the smallest being 0; >= 0.
        contrast: how far factors for deviations from the image's mean may be from 1, 0 to 1.
        shift: largest share of height and width that a crop moves an image by, 0 to 1; 0.125 is 4 pixels of 32.
        cutout: side of the square of zeros, as a share of the image's, 0 to 1.
        flip: probability of mirroring an image, 0 to 1.
        scale: largest factor by which each axis is stretched or shrunk, >= 1.
        rotate: largest rotation in degrees, 0 to 180.
    """

    operations: Sequence[str] = OPERATIONS
    mode: Literal["one", "all"] = "one"
    brightness: float = 0.5
    saturation: float = 2.0
    contrast: float = 0.5
    shift: float = 0.125
    cutout: float = 0.5
    flip: float = 0.5
    scale: float = 1.2
    rotate: float = 15.0

    def __post_init__(self) -> None:
        what = "`operations` of normalised view 'dsa'"
        if isinstance(self.operations, str) or not isinstance(self.operations, Sequence):
            raise UserError(f"{what} must be a list of {', '.join(OPERATIONS)}, got {self.operations!r}.")
        for name in self.operations:
            if name not in OPERATIONS:
                raise unknown_name("operation of normalised view 'dsa':", str(name), OPERATIONS)
        if len(set(self.operations)) < max(1, len(self.operations)):
            raise UserError(f"{what} must be one or several, each once, got {list(self.operations)}.")
        if self.mode not in ("one", "all"):
            raise UserError(f"`mode` of normalised view 'dsa' must be 'one' or 'all', got {self.mode!r}.")
        object.__setattr__(self, "operations", tuple(self.operations))
        for name, high in (("brightness", None), ("saturation", None), ("contrast", 1), ("shift", 1), ("cutout", 1)):
            _check("dsa", name, getattr(self, name), 0, high)
        _check("dsa", "flip", self.flip, 0, 1)
        _check("dsa", "scale", self.scale, 1, None)
        _check("dsa", "rotate", self.rotate, 0, 180)


@dataclass(frozen=True)
class CropScaleRotateOptions:
    """Options of crop, scale and rotate, of which each image gets one.

    Attributes:
        shift: largest share of height and width that a crop moves an image by, 0 to 1; 0.125 is 4 pixels of 32, the
            published number at any size.
        scale: how far factors of height and width may be from 1, at least 0 and below 1.
        rotate: largest rotation in whole degrees, 0 to 180.
    """

    shift: float = 0.125
    scale: float = 0.2
    rotate: int = 45

    def __post_init__(self) -> None:
        _check("crop-scale-rotate", "shift", self.shift, 0, 1)
        _check("crop-scale-rotate", "rotate", self.rotate, 0, 180)
        if not 0 <= self.scale < 1:
            raise UserError(
                f"`scale` of normalised view 'crop-scale-rotate' must be at least 0 and below 1, got {self.scale}."
            )


def pixels(size: int, share: float) -> int:
    """`share` of `size` in whole pixels, rounded half up.

    Example:
        >>> pixels(28, 0.125)
        4
    """
    return int(size * share + 0.5)


def _check(views: str, name: str, value: float, low: float, high: float | None) -> None:
    if not (low <= value and (high is None or value <= high)):
        allowed = f">= {low}" if high is None else f"from {low} to {high}"
        raise UserError(f"`{name}` of normalised view {views!r} must be {allowed}, got {value}.")
