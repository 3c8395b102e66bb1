"""Streams of images, which may have no end: a given number of images is read and kept in memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from limbeck.data.encoded.decode import Encoded, Target, Unreadable, decode
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.labels import LabelColumn
from limbeck.data.objects.items import NoLabel, encoded_item, parts_of
from limbeck.data.objects.opened import How, Opened, label_column
from limbeck.data.objects.tables import title_of
from limbeck.data.pixel_range import Largest
from limbeck.data.stream_source import BatchImages, stream_of
from limbeck.errors import UserError

_Rows = Iterator[tuple[Encoded, Any]]


class ReadImages(EncodedImages):
    """Images that were read already."""

    def __init__(self, images: Sequence[Encoded], where: str) -> None:
        self._images = images
        self._where = where

    def __len__(self) -> int:
        return len(self._images)

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        return [self._images[row] for row in rows]

    def where(self, row: int) -> str:
        return f"row {row} of {self._where}"

    def stamp(self) -> None:
        return None


def open_dataset_stream(rows: Any, how: How) -> Opened:
    """The first images of a `datasets.IterableDataset`.

    Raises:
        UserError: their number is not given, no column of images, or the stream breaks off.
    """
    title = title_of(rows)
    where = f"the stream {title!r}"
    _check_count(how, where)
    stream = stream_of(rows, where, (how.image_column, how.label_column))
    if stream is None:
        raise UserError(f"{where} holds no images.")
    names = stream.about["names"]

    def read() -> _Rows:
        start = 0
        for batch in stream.rows(0):
            encoded = BatchImages(stream, batch, start).encoded(np.arange(len(batch)))
            labels = [NoLabel] * len(batch) if stream.labels is None else batch[stream.labels].to_pylist()
            yield from zip(encoded, labels, strict=True)
            start += len(batch)

    return _opened(read(), how, title, where, None if names is None else tuple(names))


def open_torch_stream(items: Iterable[Any], how: How) -> Opened:
    """The first images of an iterable data set of torch.

    Raises:
        UserError: their number is not given, items of another form, or the stream breaks off.
    """
    title = type(items).__name__
    where = f"the {title}"
    _check_count(how, where)

    def read() -> _Rows:
        for row, item in enumerate(items):
            image, label = parts_of(item, how, f"row {row} of {where}")
            yield encoded_item(image, f"row {row} of {where}", how.layout), label

    return _opened(read(), how, title, where, None)


def _opened(rows: _Rows, how: How, title: str, where: str, names: tuple[str, ...] | None) -> Opened:
    images: list[Encoded] = []
    labels: list[Any] = []
    seen: list[Largest] = []
    target = _target(how)
    try:
        for encoded, label in rows:
            images.append(encoded if target is None else _decoded(encoded, target, seen))
            labels.append(label)
            if len(images) == how.count:
                break
    except (UserError, MemoryError):
        raise
    except Exception as error:  # raised by any of a dozen libraries that read and connect
        raise UserError(f"{where} broke off after {len(images):,} images: {type(error).__name__}: {error}") from error
    if not images:
        raise UserError(f"{where} holds no images.")
    labelled = not any(label is NoLabel for label in labels)
    return Opened(
        ReadImages(images, where),
        (lambda: _numbered(label_column(labels, f"labels of {where}", names))) if labelled else None,
        title,
        scaled=target is not None,
        seen=tuple(seen),
        advice="Use text as labels.",
    )


def _check_count(how: How, where: str) -> None:
    if how.count is None:
        raise UserError(
            f"{where} has no length; say how many of its images to read, as `lb.load(stream, images=10_000)`, or of a "
            "pool to borrow from `{'name': stream, 'images': 10_000}`."
        )
    if isinstance(how.count, bool) or not isinstance(how.count, int) or how.count < 1:
        raise UserError(f"`images` must be a whole number, at least 1, got {how.count!r}.")


def _target(how: How) -> Target | None:
    """What images are converted to as they are read, if that is known: few large ones would fit in memory otherwise."""
    size, channels = how.options.size, how.options.channels
    if size is None or channels is None:
        return None
    return Target(channels, *size, resize=True, scale=how.options.scale)


def _decoded(encoded: Encoded, target: Target, seen: list[Largest]) -> Encoded:
    """Pixels [H, W, C] or [H, W]; an image that cannot be decoded is returned as it is, and reported later."""
    try:
        pixels = decode(encoded, target, seen)
    except Unreadable:
        return encoded
    return pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _numbered(column: LabelColumn) -> LabelColumn:
    """Integers without names become names, as missing numbers may occur in later rows."""
    if column.names is not None or not pa.types.is_integer(column.values.type):
        return column
    present = column.values.drop_null().to_numpy()
    if not len(present) or present.min() < 0:
        return column
    return LabelColumn(column.values, column.where, tuple(map(str, range(int(present.max()) + 1))))
