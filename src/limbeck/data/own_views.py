"""Augmentations of the user's own: entries made from a class, or from a function of images and draws."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from limbeck.data.augmentation import Augmentation, without_gradient
from limbeck.data.mixing import Mixing
from limbeck.data.torchvision_views import TransformView, is_transform, options_of
from limbeck.data.view_catalogue import VIEWS, ViewEntry
from limbeck.errors import UserError
from limbeck.foreign import check_remarks, errors_of
from limbeck.signatures import check_option, inputs_and_options, summary_of


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> ViewEntry:
    """The catalogue's entry of an augmentation of the user's own.

    Args:
        name: its name.
        part: a subclass of `Augmentation` or of `Mixing`, or a function of `images` uint8 `[B, C, H, W]` and `draw`
            int64 `[B]` to images of the same shape; or a transform of torchvision, an instance or a class. Further
            parameters are options.
        remarks: `summary`; for a function also `distinct`, the number of views an image has: draws are then below it,
            else 64 random bits.

    Raises:
        UserError: it is neither.
    """
    what = f"view {name!r}"
    if is_transform(part):
        return _of_torchvision(name, part, remarks, what)
    is_class = isinstance(part, type) and issubclass(part, Augmentation | Mixing)
    if isinstance(part, type) is not is_class or not callable(part):
        raise UserError(
            f"{what} must be a subclass of `limbeck.data.views.Augmentation` or `limbeck.data.mixing.Mixing`, a "
            f"function of `images` and `draw`, or a transform of torchvision, got {part!r}."
        )
    check_remarks(remarks, ("summary",) if is_class else ("summary", "distinct"), what)
    inputs, options = inputs_and_options(part, () if is_class else ("images", "draw"), what)
    if not is_class and set(inputs) != {"images", "draw"}:
        raise UserError(f"{what} must be a function of `images` and `draw`, got {', '.join(inputs) or 'neither'}.")
    distinct = remarks.get("distinct")
    if distinct is not None and (isinstance(distinct, bool) or not isinstance(distinct, int) or distinct < 1):
        raise UserError(f"`distinct` of {what} must be a number of views, at least 1, or None, got {distinct!r}.")

    def make(**arguments: Any) -> Augmentation | Mixing:
        for option, value in arguments.items():
            check_option(option, value, options[option], what)
        settled = {**options, **arguments}
        views: Any = part(**arguments) if is_class else FunctionView(part, what, settled, distinct)
        if not isinstance(views, Mixing) and not hasattr(views, "distinct"):
            raise UserError(f"{what} must say `distinct`, the number of views an image has, or None.")
        return _named(views, name, settled)

    example = make()
    count = None if isinstance(example, Mixing) else example.distinct
    distinct_in_words = "unlimited" if count is None else str(count)
    return ViewEntry(str(remarks.get("summary", summary_of(part))), tuple(options), distinct_in_words, made_by=make)


def _of_torchvision(name: str, part: Any, remarks: Mapping[str, Any], what: str) -> ViewEntry:
    check_remarks(remarks, ("summary",), what)

    def make(**arguments: Any) -> Augmentation:
        return _named(TransformView(part, what, arguments), name, arguments)

    return ViewEntry(str(remarks.get("summary", summary_of(part))), tuple(options_of(part)), made_by=make)


def _named(made: Any, name: str, options: Mapping[str, Any]) -> Any:
    """Gives views a key where the code that renders them is known."""
    # Code that is in no file, such as a notebook cell, gets no key, so nothing is cached: it may change any time.
    entry = VIEWS.find(name)  # None while it is being registered
    code = None if entry is None else entry.code
    made.key = None if code is None else f"{name}({made.key or options})@{code}"
    made.own = True
    return made


class FunctionView(Augmentation):
    """Views that a function renders.

    Args:
        function: of images and draws by name.
        what: what to call it in messages.
        options: of the function.
        distinct: number of views an image has, or None if there is no limit.
    """

    def __init__(
        self, function: Callable[..., Any], what: str, options: Mapping[str, Any], distinct: int | None
    ) -> None:
        self.function = function
        self.what = what
        self.options = dict(options)
        self.distinct = distinct

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        with errors_of(self.what):
            shown = self.function(images=images, draw=draw, **self.options)
        if not isinstance(shown, Tensor) or shown.dtype != torch.uint8 or shown.shape != images.shape:
            got = f"{shown.dtype} {list(shown.shape)}" if isinstance(shown, Tensor) else type(shown).__name__
            raise UserError(f"{self.what} must return images uint8 {list(images.shape)}, got {got}.")
        return shown

    def smooth(self, images: Tensor, draw: Tensor) -> Tensor:
        raise without_gradient(self.what)
