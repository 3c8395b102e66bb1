"""Image sets, the catalogue of named datasets, transfer sets and views."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet
    from limbeck.data.loading import load
    from limbeck.data.storage import EncodedStorage, Storage, TensorStorage
    from limbeck.data.transfer_set import TransferSet

__all__ = ["EncodedStorage", "ImageSet", "Storage", "TensorStorage", "TransferSet", "load"]

_EXPORTS = {
    "EncodedStorage": "limbeck.data.storage",
    "ImageSet": "limbeck.data.image_set",
    "Storage": "limbeck.data.storage",
    "TensorStorage": "limbeck.data.storage",
    "TransferSet": "limbeck.data.transfer_set",
    "load": "limbeck.data.loading",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
