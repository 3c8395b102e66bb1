"""Normalised views of the user's own: entries made from a class, or from a function of images and a draw."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from limbeck.data.normalised_views.base import Draw, NormalisedViews
from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS, NormalisedViewEntry
from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.signatures import inputs_and_options, summary_of

_INPUTS = ("images", "draw")


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> NormalisedViewEntry:
    """The catalogue's entry of normalised views of the user's own.

    Args:
        name: their name.
        part: a subclass of `NormalisedViews`, or a function of `images`, float32 or float64 `[B, C, H, W]`, and of
            `draw`, a `Draw`, to images of the same shape. Further parameters are options.
        remarks: `summary`.

    Raises:
        UserError: it is neither.
    """
    what = f"normalised view {name!r}"
    is_class = isinstance(part, type) and issubclass(part, NormalisedViews)
    if isinstance(part, type) is not is_class or not callable(part):
        raise UserError(
            f"{what} must be a subclass of `limbeck.data.normalised_views.NormalisedViews`, or a function of `images` "
            f"and `draw`, got {part!r}."
        )
    check_remarks(remarks, ("summary",), what)
    inputs, options = inputs_and_options(part, () if is_class else _INPUTS, what)
    if not is_class and set(inputs) != {*_INPUTS}:
        raise UserError(f"{what} must be a function of `images` and `draw`, got {', '.join(inputs) or 'neither'}.")

    def make(**arguments: Any) -> NormalisedViews:
        settled = {**options, **arguments}
        views: Any = part(**arguments) if is_class else FunctionViews(part, what, settled)
        # Code that is in no file, such as a notebook cell, gets no key, so nothing is cached: it may change any time.
        entry = NORMALISED_VIEWS.find(name)  # None while it is being registered
        code = None if entry is None else entry.code
        views.key = None if code is None else f"{name}({views.key or settled})@{code}"
        views.own = True
        return views

    make()
    return NormalisedViewEntry(str(remarks.get("summary", summary_of(part))), options, check=make, made_by=make)


class FunctionViews(NormalisedViews):
    """Views that a function makes.

    Args:
        function: of images and a draw by name.
        what: what to call it in messages.
        options: of the function.
    """

    def __init__(self, function: Callable[..., Any], what: str, options: Mapping[str, Any]) -> None:
        self.function = function
        self.what = what
        self.options = dict(options)

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        shown = self.function(images=images, draw=draw, **self.options)
        if not isinstance(shown, Tensor) or shown.dtype != images.dtype or shown.shape != images.shape:
            got = f"{shown.dtype} {list(shown.shape)}" if isinstance(shown, Tensor) else type(shown).__name__
            raise UserError(f"{self.what} must return images {images.dtype} {list(images.shape)}, got {got}.")
        return shown
