"""Selecting the images worth teaching on: representation x score x allocation, within an exact budget."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.select.budget import Budget, parse_budget
    from limbeck.transfer.select.catalogue import CONTROLS, CRITERIA, Criterion, find_criterion
    from limbeck.transfer.select.duplicates import distinct
    from limbeck.transfer.select.from_scores import TableSelection, select_from_scores
    from limbeck.transfer.select.galleries import gallery, save_gallery
    from limbeck.transfer.select.kept_scores import ScoreTable
    from limbeck.transfer.select.score_tables import score_table
    from limbeck.transfer.select.scoring import score_images
    from limbeck.transfer.select.selection import Selection, select

__all__ = [
    "CONTROLS",
    "CRITERIA",
    "Budget",
    "Criterion",
    "ScoreTable",
    "Selection",
    "TableSelection",
    "distinct",
    "find_criterion",
    "gallery",
    "parse_budget",
    "save_gallery",
    "score_images",
    "score_table",
    "select",
    "select_from_scores",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "CONTROLS": "limbeck.transfer.select.catalogue",
        "CRITERIA": "limbeck.transfer.select.catalogue",
        "Budget": "limbeck.transfer.select.budget",
        "Criterion": "limbeck.transfer.select.catalogue",
        "ScoreTable": "limbeck.transfer.select.kept_scores",
        "Selection": "limbeck.transfer.select.selection",
        "TableSelection": "limbeck.transfer.select.from_scores",
        "distinct": "limbeck.transfer.select.duplicates",
        "find_criterion": "limbeck.transfer.select.catalogue",
        "gallery": "limbeck.transfer.select.galleries",
        "parse_budget": "limbeck.transfer.select.budget",
        "save_gallery": "limbeck.transfer.select.galleries",
        "score_images": "limbeck.transfer.select.scoring",
        "score_table": "limbeck.transfer.select.score_tables",
        "select": "limbeck.transfer.select.selection",
        "select_from_scores": "limbeck.transfer.select.from_scores",
    },
)
