"""Transfer sets: what all makers share, and one package per maker, such as `select` for images of the training data.

The functions `select` and `score_table` are in `limbeck` itself; here, these names are packages.
"""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.budget import Budget, parse_budget
    from limbeck.transfer.choice import allocate, select_from_scores
    from limbeck.transfer.criteria import CRITERIA, Criterion, find_criterion
    from limbeck.transfer.score_table.read import ScoreTable
    from limbeck.transfer.selection import Selection

__all__ = [
    "CRITERIA",
    "Budget",
    "Criterion",
    "ScoreTable",
    "Selection",
    "allocate",
    "find_criterion",
    "parse_budget",
    "select_from_scores",
]

_EXPORTS = {
    "CRITERIA": "limbeck.transfer.criteria",
    "Budget": "limbeck.transfer.budget",
    "Criterion": "limbeck.transfer.criteria",
    "ScoreTable": "limbeck.transfer.score_table.read",
    "Selection": "limbeck.transfer.selection",
    "allocate": "limbeck.transfer.choice",
    "find_criterion": "limbeck.transfer.criteria",
    "parse_budget": "limbeck.transfer.budget",
    "select_from_scores": "limbeck.transfer.choice",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
