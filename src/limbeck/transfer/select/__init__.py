"""Selecting the images worth teaching on: representation x score x allocation, within an exact budget."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.budget import Budget, parse_budget
    from limbeck.transfer.criteria import CONTROLS, CRITERIA, Criterion, find_criterion
    from limbeck.transfer.galleries import gallery, save_gallery
    from limbeck.transfer.score_table.choose import TableSelection, select_from_scores
    from limbeck.transfer.score_table.read import ScoreTable
    from limbeck.transfer.score_table.write import score_table
    from limbeck.transfer.scoring.score import score_images
    from limbeck.transfer.select.duplicates import distinct
    from limbeck.transfer.select.maker import SelectMaker as Maker
    from limbeck.transfer.select.selection import Selection, select
    from limbeck.transfer.select.settings import SelectSettings as Settings

__all__ = [
    "CONTROLS",
    "CRITERIA",
    "Budget",
    "Criterion",
    "Maker",
    "ScoreTable",
    "Selection",
    "Settings",
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
        "CONTROLS": "limbeck.transfer.criteria",
        "CRITERIA": "limbeck.transfer.criteria",
        "Budget": "limbeck.transfer.budget",
        "Criterion": "limbeck.transfer.criteria",
        "ScoreTable": "limbeck.transfer.score_table.read",
        "Selection": "limbeck.transfer.select.selection",
        "Maker": "limbeck.transfer.select.maker:SelectMaker",
        "Settings": "limbeck.transfer.select.settings:SelectSettings",
        "TableSelection": "limbeck.transfer.score_table.choose",
        "distinct": "limbeck.transfer.select.duplicates",
        "find_criterion": "limbeck.transfer.criteria",
        "gallery": "limbeck.transfer.galleries",
        "parse_budget": "limbeck.transfer.budget",
        "save_gallery": "limbeck.transfer.galleries",
        "score_images": "limbeck.transfer.scoring.score",
        "score_table": "limbeck.transfer.score_table.write",
        "select": "limbeck.transfer.select.selection",
        "select_from_scores": "limbeck.transfer.score_table.choose",
    },
)
