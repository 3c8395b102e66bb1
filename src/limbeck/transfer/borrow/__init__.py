"""Borrowing: transfer sets of images from other data sets, classified by the teacher."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.borrow.maker import BorrowMaker as Maker
    from limbeck.transfer.borrow.settings import BorrowSettings as Settings
    from limbeck.transfer.borrow.settings import PoolSettings, Threshold

__all__ = ["Maker", "PoolSettings", "Settings", "Threshold"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Maker": "limbeck.transfer.borrow.maker:BorrowMaker",
        "PoolSettings": "limbeck.transfer.borrow.settings",
        "Settings": "limbeck.transfer.borrow.settings:BorrowSettings",
        "Threshold": "limbeck.transfer.borrow.settings",
    },
)
