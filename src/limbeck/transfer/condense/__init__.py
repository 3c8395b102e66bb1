"""Condensing: a handful of learned images that teach what the whole data would."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.condense.maker import CondenseMaker as Maker
    from limbeck.transfer.condense.settings import CondenseSettings as Settings

__all__ = ["Maker", "Settings"]

_EXPORTS = {
    "Maker": "limbeck.transfer.condense.maker:CondenseMaker",
    "Settings": "limbeck.transfer.condense.settings:CondenseSettings",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
