"""Where a network sees the class of an image, and how much faster pixels are learned there."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.condense.mask.activation import maps
    from limbeck.transfer.condense.mask.classes import class_map
    from limbeck.transfer.condense.mask.complexity_index import Complexity, complexity, image_complexity
    from limbeck.transfer.condense.mask.discriminative import discriminative_mask
    from limbeck.transfer.condense.mask.masks import Masks, mask_network

__all__ = [
    "Complexity",
    "Masks",
    "class_map",
    "complexity",
    "discriminative_mask",
    "image_complexity",
    "maps",
    "mask_network",
]

_EXPORTS = {
    "Complexity": "limbeck.transfer.condense.mask.complexity_index",
    "Masks": "limbeck.transfer.condense.mask.masks",
    "class_map": "limbeck.transfer.condense.mask.classes",
    "complexity": "limbeck.transfer.condense.mask.complexity_index",
    "discriminative_mask": "limbeck.transfer.condense.mask.discriminative",
    "image_complexity": "limbeck.transfer.condense.mask.complexity_index",
    "maps": "limbeck.transfer.condense.mask.activation",
    "mask_network": "limbeck.transfer.condense.mask.masks",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
