"""Experts: networks taught on all the images, and snapshots of their parameters along the way."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.condense.experts.make import make_experts
    from limbeck.transfer.condense.experts.store import ExpertStore
    from limbeck.transfer.condense.experts.straight import StraightStore

__all__ = ["ExpertStore", "StraightStore", "make_experts"]

_EXPORTS = {
    "ExpertStore": "limbeck.transfer.condense.experts.store",
    "StraightStore": "limbeck.transfer.condense.experts.straight",
    "make_experts": "limbeck.transfer.condense.experts.make",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
