"""Selecting the images worth teaching on: representation x score x allocation, within an exact budget."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.budget import Budget, parse_budget
    from limbeck.transfer.choice import select_from_scores
    from limbeck.transfer.criteria import CONTROLS, CRITERIA, Criterion, find_criterion
    from limbeck.transfer.score_table.read import ScoreTable
    from limbeck.transfer.score_table.write import score_table
    from limbeck.transfer.scoring.score import score_images
    from limbeck.transfer.select.choose import select
    from limbeck.transfer.select.duplicates import distinct
    from limbeck.transfer.select.maker import SelectMaker as Maker
    from limbeck.transfer.select.settings import SelectSettings as Settings
    from limbeck.transfer.selection import Selection

__all__ = [
    "CONTROLS",
    "CRITERIA",
    "Budget",
    "Criterion",
    "Maker",
    "ScoreTable",
    "Selection",
    "Settings",
    "distinct",
    "find_criterion",
    "parse_budget",
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
        "Maker": "limbeck.transfer.select.maker:SelectMaker",
        "ScoreTable": "limbeck.transfer.score_table.read",
        "Selection": "limbeck.transfer.selection",
        "Settings": "limbeck.transfer.select.settings:SelectSettings",
        "distinct": "limbeck.transfer.select.duplicates",
        "find_criterion": "limbeck.transfer.criteria",
        "parse_budget": "limbeck.transfer.budget",
        "score_images": "limbeck.transfer.scoring.score",
        "score_table": "limbeck.transfer.score_table.write",
        "select": "limbeck.transfer.select.choose",
        "select_from_scores": "limbeck.transfer.choice",
    },
)
