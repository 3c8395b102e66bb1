"""How wide a LaTeX table will be, estimated without LaTeX, and how it fits into a column."""

import re
from collections.abc import Sequence
from typing import NamedTuple

COLUMN = 325.0
"""Points that fit into a column of `article`, in letters of 10 points: at 10pt it has 345, at 11pt and 12pt with their
larger letters as much as 329 and 325."""

_WIDE = {"m": 8.3, "w": 7.2, "M": 9.2, "W": 10.3, "%": 8.3, "±": 7.8, "i": 2.8, "j": 3.1, "l": 2.8, "f": 3.1, "t": 3.9}
_WIDE |= dict.fromkeys(" -()", 3.6) | dict.fromkeys(".,:;'", 2.8) | dict.fromkeys("rs", 3.95)
_BOLD = 1.15


class Setting(NamedTuple):
    """How a table is set.

    Attributes:
        size: LaTeX's command for the size of letters; "" for that of the text.
        scale: of these letters, against those of the text.
        gap: `tabcolsep` in points, half of the space between two columns.
    """

    size: str
    scale: float
    gap: float


SETTINGS = (
    Setting("", 1.0, 6.0),
    Setting(r"\small", 0.9, 4.0),
    Setting(r"\footnotesize", 0.8, 3.0),
    Setting(r"\scriptsize", 0.7, 2.0),
)
"""The largest first; that of LaTeX itself is the first."""


def width_of(cell: str) -> float:
    """Estimated width of a cell in points, in Computer Modern of 10 points: some 5 % more or less.

    Example:
        >>> round(width_of(r"85.12 $\\pm$ 1.20"), 1)
        56.3
    """
    bold = cell.startswith(r"\textbf")
    text = re.sub(r"\\textbf|[{}$]", "", cell.replace(r"\pm", "±"))
    text = re.sub(r"\\[A-Za-z]+|\\(.)", lambda match: match[1] or "x", text)
    points = sum(_WIDE.get(letter, 7.2 if letter.isupper() else 5.1) for letter in text)
    return points * (_BOLD if bold else 1.0)


def setting_for(rows: Sequence[Sequence[str]]) -> tuple[Setting, bool]:
    """The largest letters in which a table fits into a column, and whether it fits at all.

    Args:
        rows: cells, as many in each.

    Example:
        >>> setting_for([["random", "50.00"]])
        (Setting(size='', scale=1.0, gap=6.0), True)
    """
    columns = list(zip(*rows, strict=True))
    widths = sum(max(map(width_of, column)) for column in columns)
    for setting in SETTINGS:
        if setting.scale * widths + 2 * setting.gap * len(columns) <= COLUMN:
            return setting, True
    return SETTINGS[-1], False
