"""Generating: images made from nothing but the teacher, by inverting it."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.generate.maker import GenerateMaker as Maker
    from limbeck.transfer.generate.settings import GenerateSettings as Settings

__all__ = ["Maker", "Settings"]

_EXPORTS = {
    "Maker": "limbeck.transfer.generate.maker:GenerateMaker",
    "Settings": "limbeck.transfer.generate.settings:GenerateSettings",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
