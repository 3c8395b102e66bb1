"""What a reader finds before anything is decoded, and how labels of any kind become numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.data.cells import Cells
from limbeck.errors import UserError


@dataclass(frozen=True)
class Source:
    """Encoded images with their labels.

    Args:
        cells: the N encoded images.
        labels: int64 [N] in 0..K-1, or None.
        classes: the K class names.
        ids: int64 [N], distinct; None for the row numbers.
        size: (H, W) to resize to when the images differ in size and the user names none.
        channels: 1 or 3 where the catalogue knows; None to look.
        remarks: what the user should be warned of about how it was read.
    """

    cells: Cells
    labels: np.ndarray | None
    classes: tuple[str, ...]
    ids: np.ndarray | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    remarks: tuple[str, ...] = ()


def encode_labels(
    values: Sequence[object] | np.ndarray, names: Sequence[str] | None, where: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(int64 [N] in 0..K-1 or None, K class names) from integers or strings.

    Strings are numbered by their sorted names. Integers count as they are: with `names` they must lie in 0..K-1,
    without they must be 0..K-1 with no gap, since a gap hides either a lost class or labels that are no classes.
    All -1 or missing means unlabelled, as on the hub.

    Args:
        values: one label for each image.
        names: class names of integer labels, where the data states them.
        where: what to call the labels in a message.

    Raises:
        UserError: out of range, gaps, some missing, or neither integers nor strings.
    """
    array = np.asarray(values)
    if array.dtype.kind == "O" and all(value is None for value in array):
        return None, ()
    if array.dtype.kind == "O" and any(value is None for value in array):
        row = next(row for row, value in enumerate(array) if value is None)
        raise UserError(f"{where} must be there for all images or for none, row {row} has none.")
    if array.dtype.kind in "OUST":
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]
        known = sorted(set(texts)) if names is None else list(names)
        numbers = {name: number for number, name in enumerate(known)}
        strange = sorted(set(texts) - set(known))
        if strange:
            raise UserError(f"{where} must be among the {len(known)} class names, got {strange[0]!r}.")
        return np.array([numbers[text] for text in texts], dtype=np.int64), tuple(known)
    if array.dtype.kind not in "iub" or array.ndim != 1:
        raise UserError(f"{where} must be one integer or string for each image, got {array.dtype} {list(array.shape)}.")
    return _checked_numbers(array.astype(np.int64), names, where)


def _checked_numbers(
    labels: np.ndarray, names: Sequence[str] | None, where: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if len(labels) == 0 or (labels == -1).all():
        return None, tuple(names or ())
    if names is not None:
        wrong = labels[(labels < 0) | (labels >= len(names))]
        if len(wrong):
            raise UserError(f"{where} must lie in 0..{len(names) - 1} ({len(names)} classes), got {wrong[0]}.")
        return labels, tuple(names)
    present = np.unique(labels)
    count = int(present[-1]) + 1
    if present[0] < 0 or len(present) != count:
        absent = int(present[0]) if present[0] < 0 else int(np.flatnonzero(present != np.arange(len(present)))[0])
        what = f"got {absent}" if present[0] < 0 else f"got {present[0]}..{present[-1]} without {absent}"
        raise UserError(
            f"{where} must be 0..K-1 with no class left out when no class names are stored, {what}. "
            "Store class names with the data, or use strings as labels."
        )
    return labels, tuple(str(number) for number in range(count))
