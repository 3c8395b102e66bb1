"""`KnownLogits`: a teacher's logits from making a set of images, so that it need not be asked again."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from limbeck.data.augmentation import Augmentation


@dataclass(frozen=True)
class KnownLogits:
    """A teacher's logits for one view of each image of a set.

    Attributes:
        views: the augmentation that the views are of.
        draws: which view of each image, int64 [N], see `Augmentation.draw`.
        read: positions in the set, int64 [n] ascending -> logits, float32 [n, K], as computed; reads from the maker of
            the images, and is valid only until the maker continues.
    """

    views: Augmentation
    draws: Tensor
    read: Callable[[Tensor], Tensor]

    def at(self, positions: Tensor) -> "KnownLogits":
        """Those of the images at `positions` (int64 [n], ascending) alone."""
        return KnownLogits(self.views, self.draws[positions], lambda some: self.read(positions[some]))
