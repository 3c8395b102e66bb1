"""How many images may be chosen: a count, a share of the set, or so many per class."""

import re
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Protocol

from limbeck.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

ALLOWED = "a count of images (500), a share in (0, 1] (0.1 or '10%'), or images per class ('50/class')"

_KINDS = ("count", "share", "per-class")

_COUNT = re.compile(r"([+-]?\d+)(?: images?)?")
_PER_CLASS = re.compile(r"([+-]?\d+) ?(?:/|per) ?class", re.IGNORECASE)
_PERCENT = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+) ?%")


class Countable(Protocol):
    """What a budget must know about the images it is taken from; both image sets and score tables provide it."""

    @property
    def name(self) -> str: ...

    @property
    def labels(self) -> Any: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def class_counts(self) -> "Tensor": ...


@dataclass(frozen=True)
class Budget:
    """A number of images, before it is known which set they are taken from.

    Args:
        amount: images, share in (0, 1], or images per class.
        kind: which of the three `amount` is.

    Raises:
        UserError: `amount` is not > 0, a share is above 1, another amount is not a whole number, or `kind` is unknown.

    Example:
        >>> Budget(0.1, "share").label
        '10 %'
    """

    amount: int | float
    kind: Literal["count", "share", "per-class"] = "count"

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise UserError(f"`kind` of a budget must be {', '.join(map(repr, _KINDS))}, got {self.kind!r}.")
        if isinstance(self.amount, bool) or not isinstance(self.amount, Real):
            raise UserError(f"`budget` must be {ALLOWED}, got {self.amount!r}.")
        if not self.amount > 0:  # NaN is not either
            raise UserError(f"`budget` must be > 0, got {self.amount:g}; give {ALLOWED}.")
        if self.kind == "share" and self.amount > 1:
            count = f"; a count of images is a whole number without a point: {self.amount:.0f}"
            hint = count if float(self.amount).is_integer() else ""
            raise UserError(f"`budget` as a share must be at most 1 (100 %), got {self.amount:g} ({self.label}){hint}.")
        if self.kind != "share" and not isinstance(self.amount, Integral):
            raise UserError(f"`budget` of images must be a whole number, got {self.amount:g}; give {ALLOWED}.")

    @property
    def label(self) -> str:
        """For tables: "500 images", "10 %", "50/class"."""
        if self.kind == "share":
            return f"{100 * self.amount:.6g} %"
        if self.kind == "per-class":
            return f"{self.amount}/class"
        return f"{self.amount} image{'' if self.amount == 1 else 's'}"

    def about(self, images: int, classes: int) -> float:
        """The number of images for a set of so many images and classes, without checking that it holds as many.

        For ordering budgets.

        Example:
            >>> sorted(map(parse_budget, ("10%", "2/class", 50)), key=lambda one: one.about(1000, 10))[0].label
            '2/class'
        """
        return self.amount * {"count": 1, "share": images, "per-class": classes}[self.kind]

    def resolve(self, images: Countable, *, per_class: bool = False) -> int:
        """The exact number of images to take from `images`; shares are rounded to the nearest count, at least 1.

        A budget per class counts only classes that have images.

        Args:
            images: what will be chosen from.
            per_class: whether every class must get at least one image.

        Raises:
            UserError: more than `images` holds (for a budget per class: than some class holds), fewer than there are
                classes where `per_class`, or labels are needed and missing.
        """
        if not len(images):
            raise UserError(f"there is nothing to choose from: {images.name!r} has no images.")
        if self.kind == "per-class":
            count = self._resolve_per_class(images)
        elif self.kind == "share":
            count = max(1, round(self.amount * len(images)))
        else:
            count = int(self.amount)
        if count > len(images):
            raise UserError(f"`budget` must be at most the {len(images)} images of {images.name!r}, got {self.label}.")
        if per_class:
            classes = len(_present_classes(images, "an allocation per class"))
            if count < classes:
                raise UserError(
                    f"`budget` must give each of the {classes} classes of {images.name!r} an image, got {self.label} = "
                    f"{count}; raise it, or choose from the whole set ('random', 'entropy-whole')."
                )
        return count

    def _resolve_per_class(self, images: Countable) -> int:
        sizes = _present_classes(images, f"`budget` {self.label}")
        smallest = min(sizes, key=lambda name: sizes[name])
        if sizes[smallest] < self.amount:
            raise UserError(
                f"`budget` {self.label} is more than class {smallest!r} of {images.name!r} has: {sizes[smallest]} "
                f"images; give at most {sizes[smallest]}/class, or a count, of which small classes pass on their rest."
            )
        return int(self.amount) * len(sizes)


def parse_budget(budget: "str | int | float | Budget") -> Budget:
    """Parses a budget.

    Args:
        budget: a whole number is a count; a number with a decimal point is a share (1.0 is everything, 1 is one image),
            and so is a percentage ("10%", "12.5 %"); "50/class" means images per class.

    Raises:
        UserError: none of these, or out of range.

    Example:
        >>> parse_budget("10%"), parse_budget(500), parse_budget("50/class")
        (Budget(amount=0.1, kind='share'), Budget(amount=500, kind='count'), Budget(amount=50, kind='per-class'))
    """
    if isinstance(budget, Budget):
        return budget
    if isinstance(budget, bool) or not isinstance(budget, int | float | str):
        raise UserError(f"`budget` must be {ALLOWED}, got {budget!r}.")
    if isinstance(budget, int):
        return Budget(budget)
    if isinstance(budget, float):
        return Budget(budget, "share")
    return _parse_text(budget)


def _parse_text(text: str) -> Budget:
    stripped = text.strip()
    if match := _COUNT.fullmatch(stripped):
        return Budget(int(match[1]))
    if match := _PER_CLASS.fullmatch(stripped):
        return Budget(int(match[1]), "per-class")
    if match := _PERCENT.fullmatch(stripped):
        return Budget(float(match[1]) / 100, "share")
    try:
        share = float(stripped)
    except ValueError:
        raise UserError(f"`budget` must be {ALLOWED}, got {text!r}.") from None
    return Budget(share, "share")


def _present_classes(images: Countable, what: str) -> dict[str, int]:
    """Number of images of every class that has any."""
    if images.labels is None:
        raise UserError(
            f"{what} needs labels, and {images.name!r} has none; give a count or a share, and a criterion over the "
            "whole set ('random', 'entropy-whole')."
        )
    counts = images.class_counts().tolist()
    return {name: count for name, count in zip(images.classes, counts, strict=True) if count > 0}
