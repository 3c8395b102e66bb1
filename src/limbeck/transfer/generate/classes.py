"""Which classes the made images were to have, and which the teacher gives them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from limbeck.transfer.evidence_figures import EvidenceFigure, MatrixFigure, StackedBars, TableFigure, Value

_LEAST = 20  # classes of a table, where there are too many for a matrix
AS_WANTED, OTHERS, HELD = "as wanted", "another was wanted", "images"


def class_figures(wanted: Tensor, labels: Tensor, classes: Sequence[str]) -> list[EvidenceFigure]:
    """Images of every class by the teacher's label, and the label that was wanted against it.

    Args:
        wanted: int64 `[n]`, -1 where none was.
        labels: int64 `[n]`, the teacher's.
        classes: K names.
    """
    counts = np.bincount(labels.numpy(), minlength=len(classes))
    has_target = wanted.numpy() >= 0
    if not has_target.any():
        return [_bars({HELD: counts}, classes)]
    right = np.bincount(labels.numpy()[has_target & (wanted == labels).numpy()], minlength=len(classes))
    bars = _bars({AS_WANTED: right, OTHERS: counts - right}, classes)
    pairs = wanted.numpy()[has_target], labels.numpy()[has_target]
    if len(classes) <= MatrixFigure.MOST_CLASSES:
        matrix = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(matrix, pairs, 1)
        return [bars, _matrix(matrix, classes)]
    return [bars, _least_obtained(*pairs, classes)]


def obtained_share(wanted: Tensor, labels: Tensor) -> float | None:
    """Share of images of the class that was wanted, among those for which a class was wanted; None without any."""
    has_target = wanted >= 0
    return float((wanted == labels)[has_target].double().mean()) if has_target.any() else None


def _bars(parts: dict[str, NDArray[np.int64]], classes: Sequence[str]) -> StackedBars:
    return StackedBars(
        title="Images of each class",
        one="class",
        part="part",
        names=list(classes),
        parts={name: counts.tolist() for name, counts in parts.items() if counts.any()},
        note="Of those held at the end. A class is the one that the teacher gives.",
        beside="together",
    )


def _matrix(counts: NDArray[np.int64], classes: Sequence[str]) -> MatrixFigure:
    return MatrixFigure(
        title="Wanted and obtained",
        row="wanted",
        column="obtained",
        names=list(classes),
        counts=counts.tolist(),
        note="Obtained is what the teacher says; of the images held at the end.",
        beside="alone",
    )


def _least_obtained(wanted: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]) -> TableFigure:
    """The classes that were obtained least, in place of a matrix of too many."""
    total = np.bincount(wanted, minlength=len(classes))
    right = np.bincount(wanted[wanted == labels], minlength=len(classes))
    share = right / np.maximum(total, 1)
    least = np.argsort(np.where(total > 0, share, 2.0), kind="stable")[:_LEAST]
    rows: list[list[Value]] = []
    shown: list[int] = least[total[least] > 0].tolist()
    for label in shown:
        others = np.bincount(labels[(wanted == label) & (labels != label)], minlength=len(classes))
        confused_with = f"{classes[int(others.argmax())]} {int(others.max()):,}" if others.any() else None
        rows.append([classes[label], int(total[label]), int(right[label]), float(share[label]), confused_with])
    columns = ["Class wanted", "Images", "Obtained", "Share", "Mostly taken for"]
    title = f"The {len(rows)} of {len(classes):,} classes that were obtained least"
    return TableFigure(title=title, columns=columns, rows=rows, percent=["Share"], beside="alone")
