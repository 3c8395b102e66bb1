"""What a maker tells of a transfer set, in a form that the report reads without knowing the maker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

Rows = Callable[[], Iterator[Mapping[str, NDArray[Any]]]]
"""A pass over all images that were considered, batch by batch: "id" int64 `[B]`, "chosen" bool `[B]` and, where known,
"source" (names), "label" and "group" int64 `[B]`, "score" float64 `[B]`."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Images to look at.

    Attributes:
        title: what they have in common.
        images: uint8 `[n, C, H, W]`.
        ids: int64 `[n]`.
        labels: int64 `[n]`, or None.
        scores: float `[n]`, or None.
    """

    title: str
    images: Tensor
    ids: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why these images.

    Attributes:
        headline: what was made, of what, and how; a sentence without its full stop.
        rows: the images that were considered, where it is worth a table.
        pictures: groups of images to look at.
        classes: names by label.
        score: what the scores are; "" where they tell nothing, as random ones do.
        group: what a group is, as "cluster" or "stratum"; "" without any.
        facts: name -> value, for the head of a page.
        notes: sentences.
    """

    headline: str
    rows: Rows | None = None
    pictures: Sequence[Pictures] = ()
    classes: Sequence[str] = ()
    score: str = ""
    group: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
