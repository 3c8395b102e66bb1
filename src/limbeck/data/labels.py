"""Labels of any kind to class numbers: one numbering for all splits of a data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from limbeck.errors import UserError

pc: Any = pyarrow.compute  # its functions are created on import, invisible to type checkers
_LOOK_AT = 1000
"""Rows by which one-hot labels are recognised, for the message."""


class UnusableLabels(UserError):
    """Labels that cannot be numbered; the images beside them may be fine."""


@dataclass(frozen=True)
class LabelColumn:
    """The labels of one file or split as they are stored.

    Args:
        values: one for each image, of any Arrow type.
        where: what to call them in messages.
        names: class names that the data states, in the order of their numbers; None where it states none.
    """

    values: pa.ChunkedArray
    where: str
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Plain:
    """Labels as int64 or large_string; null where a label is missing."""

    values: pa.ChunkedArray
    where: str
    boolean: bool

    @property
    def is_text(self) -> bool:
        return pa.types.is_large_string(self.values.type)

    @property
    def withheld(self) -> bool:
        """Whether no image has a label: all are null or, as on the hub, -1."""
        present = self.values.drop_null()
        return len(present) == 0 or (not self.is_text and present.unique().to_pylist() == [-1])


def encode_labels(
    columns: Sequence[LabelColumn], others: Callable[[], Sequence[LabelColumn]], where: str
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(int64 [N] in 0..K-1 or None, K class names) from integers or text.

    Integers are class numbers; text is numbered by its place among the class names. Where the data states no names,
    both the names and K come from all splits: the sorted texts, or 0..K-1 without a gap, since a gap means a lost class
    or labels that are no classes. Whole floats and decimals, booleans, bytes, categories and lists of one element are
    read as what they hold; NaN and empty text are missing. All -1 or all missing means unlabelled.

    Args:
        columns: of the split asked for; several where it is in several files, whose rows are joined in this order.
        others: gives the columns of the other splits; called only where they matter.
        where: what to call all of `columns` in messages.

    Raises:
        UnusableLabels: out of range, gaps, some missing, text mixed with integers, or labels of another kind.
    """
    plain = [_plain(column) for column in columns]
    names = _stated_names(columns)
    if all(column.withheld for column in plain):
        return None, names or ()
    if names is None:
        siblings = others()
        names = _stated_names(siblings)
        if names is None:
            names = _names_from_values(plain, [_plain(column) for column in siblings], where)
    numbers = np.concatenate([_numbers(column, names, where) for column in plain])
    missing = np.concatenate([column.values.is_null().to_numpy() for column in plain])
    if missing.any():
        raise UnusableLabels(
            f"{where} must be there for all images or for none, row {int(missing.argmax())} has none; "
            "label or remove such rows, or set all to -1 for images without labels."
        )
    wrong = numbers[(numbers < 0) | (numbers >= len(names))]
    if len(wrong):
        raise UnusableLabels(f"{where} must lie in 0..{len(names) - 1} ({len(names)} classes), got {wrong[0]}.")
    return numbers, names


def label_array(values: np.ndarray, where: str) -> pa.ChunkedArray:
    """Labels of a NumPy array [N] or [N, 1] as Arrow; wider rows become lists.

    Raises:
        UnusableLabels: an array without rows, or of a kind that no label has.
    """
    if values.ndim == 0:
        raise UnusableLabels(f"{where} must be one integer or string for each image, got a single {values.dtype}.")
    kind = np.dtype(np.float64) if values.dtype.kind == "f" else values.dtype.newbyteorder("=")
    native = np.ascontiguousarray(values, dtype=kind)
    try:
        array: pa.Array = pa.array(native.reshape(-1))
        for width in reversed(native.shape[1:]):
            array = pa.FixedSizeListArray.from_arrays(array, width)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UnusableLabels(f"{where} must be one integer or string for each image, got {values.dtype}.") from error
    return pa.chunked_array([array])


def _stated_names(columns: Sequence[LabelColumn]) -> tuple[str, ...] | None:
    stated = [column for column in columns if column.names is not None]
    for column in stated:
        if column.names != stated[0].names:
            raise UnusableLabels(
                f"{stated[0].where} and {column.where} state other class names or another order of them: "
                f"{_few(stated[0].names)} and {_few(column.names)}. Write both with the same class names."
            )
    return stated[0].names if stated else None


def _few(names: Sequence[str] | None) -> str:
    names = names or ()
    return f"{', '.join(map(repr, names[:5]))}{' ...' if len(names) > 5 else ''}"


def _names_from_values(own: Sequence[_Plain], others: Sequence[_Plain], where: str) -> tuple[str, ...]:
    own, others = _labelled(own), _labelled(others)
    labelled = [*own, *others]
    texts, integers = (
        [column for column in labelled if column.is_text],
        [column for column in labelled if not column.is_text],
    )
    if texts and integers:
        raise UnusableLabels(
            f"{integers[0].where} are integers, {texts[0].where} are text "
            f"({texts[0].values.drop_null()[0].as_py()!r}): two kinds in one data set have no common "
            "numbers. Write all as text, or all as integers with class names."
        )
    if texts:
        return tuple(sorted({text for column in texts for text in column.values.drop_null().unique().to_pylist()}))
    # A stray -1 in another split is refused when that split is loaded, not here.
    of_others = [numbers[numbers >= 0] for numbers in map(_present, others)]
    present = np.unique(np.concatenate([*map(_present, own), *of_others]))
    low, high = int(present[0]), int(present[-1])
    if low < 0 or len(present) != high + 1:
        absent = low if low < 0 else int(np.flatnonzero(present != np.arange(len(present)))[0])
        what = f"got {absent}" if low < 0 else f"got {low}..{high} without {absent}"
        raise UnusableLabels(
            f"{where} must be 0..K-1 with no class left out when no class names are stored, {what}"
            f"{' in any split' if others else ''}. Store class names with the data, or use strings as labels."
        )
    return tuple(str(number) for number in range(high + 1))


def _labelled(columns: Sequence[_Plain]) -> list[_Plain]:
    return [column for column in columns if not column.withheld]


def _present(column: _Plain) -> np.ndarray:
    """Distinct class numbers, int64 [k]; booleans have two classes even where only one occurs."""
    values = column.values.drop_null().unique().to_numpy()
    return np.union1d(values, [0, 1]) if column.boolean else values


def _numbers(column: _Plain, names: tuple[str, ...], where: str) -> np.ndarray:
    """int64 [N], 0 where the label is missing."""
    if not column.is_text:
        return column.values.fill_null(0).to_numpy()
    places = pc.index_in(column.values, value_set=pa.array(names, pa.large_string()))
    unknown = pc.and_(places.is_null(), column.values.is_valid())
    if pc.any(unknown).as_py():
        text = column.values.filter(unknown)[0].as_py()
        raise UnusableLabels(f"{where} must be among the {len(names)} class names ({_few(names)}), got {text!r}.")
    return places.fill_null(0).to_numpy().astype(np.int64)


def _plain(column: LabelColumn) -> _Plain:
    values = _unpacked(column.values, column.where)
    kind = values.type
    boolean = pa.types.is_boolean(kind)
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), None, values)  # pandas writes integers as floats when some are missing
    if boolean or _is_number(kind) or pa.types.is_null(kind):
        plain = pa.int64()
    elif _is_text(kind):
        plain = pa.large_string()
    else:
        raise _wrong_kind(column.where, kind)
    try:
        values = values.cast(plain)
        if plain == pa.large_string():
            values = pc.if_else(pc.equal(values, ""), None, values)  # empty text is a missing label, no class
        return _Plain(values, column.where, boolean)
    except pa.ArrowInvalid as error:  # 0.5, beyond 64 bits, not UTF-8
        raise _wrong_kind(column.where, kind, str(error)) from error


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_text(kind: pa.DataType) -> bool:
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return binary or text or pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)


def _wrong_kind(where: str, kind: pa.DataType, why: str = "") -> UnusableLabels:
    name = np.dtype(kind.to_pandas_dtype()).name if pa.types.is_floating(kind) else str(kind)
    nested = pa.types.is_struct(kind) or pa.types.is_map(kind)
    advice = "write its part that is the class as a column of its own" if nested else "convert it"
    return UnusableLabels(
        f"{where} must be one integer or string for each image, got {name}{f' ({why})' if why else ''}; {advice}, or "
        "name another column with `label_column`."
    )


def _unpacked(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Without extension types, dictionaries and lists of one element."""
    while True:
        kind: Any = values.type
        if isinstance(kind, pa.BaseExtensionType):
            values = pa.chunked_array([chunk.storage for chunk in values.chunks], kind.storage_type)
        elif pa.types.is_dictionary(kind):
            values = values.cast(kind.value_type)
        elif pa.types.is_run_end_encoded(kind):
            values = pa.chunked_array([pc.run_end_decode(chunk) for chunk in values.chunks], kind.value_type)
        elif is_list(kind):
            values = _only_element(values, where)
        else:
            return values


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is a list of any of Arrow's kinds."""
    view = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    return view or pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _only_element(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pa.types.is_list_view(values.type) or pa.types.is_large_list_view(values.type):
        values = values.cast(pa.large_list(values.type.value_type))  # Arrow takes no elements of views with nulls
    lengths = pc.list_value_length(values).fill_null(1)
    odd = pc.not_equal(lengths, 1)
    if not pc.any(odd).as_py():
        return pc.list_element(values, 0) if len(values) else pa.chunked_array([], values.type.value_type)
    if _is_one_hot(values.slice(0, _LOOK_AT).to_pylist()):
        raise UnusableLabels(
            f"{where} must be one integer or string for each image, got one-hot rows; store the place of the 1, for "
            "instance `labels.argmax(axis=1)`."
        )
    row = pc.index(odd, True).as_py()
    raise UnusableLabels(
        f"{where} must be one integer or string for each image, got lists, row {row} of {lengths[row].as_py()} "
        f"elements; images of several classes are not supported. Keep one class for each image, or name another "
        "column with `label_column`."
    )


def _is_one_hot(rows: Sequence[list[Any] | None]) -> bool:
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1 or lengths == {0}:
        return False
    try:
        return all(sorted(row) == [0] * (len(row) - 1) + [1] for row in rows if row is not None)
    except TypeError:  # text, nothing, or lists in lists
        return False
