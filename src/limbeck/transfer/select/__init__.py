"""Selecting the images worth teaching on: representation x score x allocation, within an exact budget."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.select.budget import Budget, parse_budget
    from limbeck.transfer.select.catalogue import CONTROLS, CRITERIA, Criterion, find_criterion
    from limbeck.transfer.select.galleries import gallery, save_gallery
    from limbeck.transfer.select.scoring import score_images
    from limbeck.transfer.select.selection import Selection, select

__all__ = [
    "CONTROLS",
    "CRITERIA",
    "Budget",
    "Criterion",
    "Selection",
    "find_criterion",
    "gallery",
    "parse_budget",
    "save_gallery",
    "score_images",
    "select",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "CONTROLS": "limbeck.transfer.select.catalogue",
        "CRITERIA": "limbeck.transfer.select.catalogue",
        "Budget": "limbeck.transfer.select.budget",
        "Criterion": "limbeck.transfer.select.catalogue",
        "Selection": "limbeck.transfer.select.selection",
        "find_criterion": "limbeck.transfer.select.catalogue",
        "gallery": "limbeck.transfer.select.galleries",
        "parse_budget": "limbeck.transfer.select.budget",
        "save_gallery": "limbeck.transfer.select.galleries",
        "score_images": "limbeck.transfer.select.scoring",
        "select": "limbeck.transfer.select.selection",
    },
)
