"""`KnownLogits`: what a teacher said of images while they were made, for whoever would ask it again."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from limbeck.data.augmentation import Augmentation


@dataclass(frozen=True)
class KnownLogits:
    """A teacher's logits for one view of each image of a set.

    Attributes:
        views: whose views these are.
        draws: which view of each image, int64 [N], see `Augmentation.draw`.
        read: positions in the set, int64 [n] ascending -> logits, float32 [n, K], as they came out; it reads what the
            maker of the images keeps, and holds until that goes on.
    """

    views: Augmentation
    draws: Tensor
    read: Callable[[Tensor], Tensor]
