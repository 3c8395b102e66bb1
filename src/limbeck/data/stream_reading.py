"""Reading a stream into its cache batch by batch; whatever stops it, what was read so far is kept."""

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from limbeck.data.encoded.decode import Target
from limbeck.data.encoded.decode_many import decode_many
from limbeck.data.pixel_range import Largest
from limbeck.data.stream_cache import StreamCache, joined_labels
from limbeck.data.stream_source import BatchImages, Stream
from limbeck.errors import UserError
from limbeck.interruption import Interrupted, listening_for_stop
from limbeck.progress import Progress

SHARD_BYTES = 2**24
"""Bytes of pixels in a shard."""
SHARD_SECONDS = 60.0
"""Time after which a shard is written, however small it is."""


class _Shard:
    """Rows that were read but not written to the cache yet."""

    def __init__(self, cache: StreamCache) -> None:
        self._cache = cache
        self._images: list[np.ndarray] = []
        self._readable: list[np.ndarray] = []
        self._labels: list[pa.ChunkedArray] = []
        self._seen: list[Largest] = []
        self._began = time.monotonic()

    @property
    def end(self) -> int:
        """The number of the next row of the stream."""
        return self._cache.rows + sum(map(len, self._readable))

    @property
    def is_full(self) -> bool:
        return (
            sum(images.nbytes for images in self._images) >= SHARD_BYTES
            or time.monotonic() - self._began > SHARD_SECONDS
        )

    def add(
        self, images: np.ndarray, readable: np.ndarray, labels: pa.ChunkedArray | None, seen: list[Largest]
    ) -> None:
        self._images.append(images)
        self._readable.append(readable)
        self._labels += [] if labels is None else [labels]
        self._seen += seen

    def keep(self) -> None:
        if self._readable:
            labels = joined_labels(self._labels) if self._labels else None
            self._cache.append(np.concatenate(self._images), np.concatenate(self._readable), labels, self._seen)
        self._images, self._readable, self._labels, self._seen = [], [], [], []
        self._began = time.monotonic()


def read_on(
    stream: Stream,
    cache: StreamCache,
    target: Target,
    count: int | None,
    skip_unreadable: bool,
    title: str,
    watch: Progress,
) -> None:
    """Reads up to row `count` (None for all) into the cache, from where it ends; what was read is kept in any case.

    Raises:
        UserError: the stream broke off, or an image is unreadable.
        Interrupted: stopped by Ctrl-C or SIGTERM.
    """
    wanted = min([limit for limit in (count, stream.count) if limit is not None], default=0)
    watch.begin(f"streaming {title}", max(wanted, 1), cache.rows if wanted else 0)
    shard = _Shard(cache)
    try:
        with listening_for_stop() as stop:
            for batch in _batches(stream, cache.rows, count, shard):
                _decode(stream, batch, shard, target, skip_unreadable)
                if shard.is_full:
                    shard.keep()
                watch.update(shard.end if wanted else 0, "" if wanted else f"{shard.end:,} images")
                if stop:
                    raise Interrupted(f"stopped after {shard.end:,} images of {title!r}, which are kept")
        if count is None or shard.end < count:
            shard.keep()
            cache.end()
    finally:
        shard.keep()
        watch.end()


def _batches(stream: Stream, start: int, count: int | None, shard: _Shard) -> Iterator[pa.Table]:
    """Batches of the rows from `start` up to `count`."""
    left = None if count is None else count - start
    try:
        for batch in stream.rows(start):
            part = batch if left is None else batch.slice(0, left)
            yield part
            left = None if left is None else left - len(part)
            if left == 0:
                return
    except (UserError, MemoryError):
        raise
    except Exception as error:  # raised by any of a dozen libraries that read and connect
        raise UserError(
            f"{stream.where} broke off after {shard.end:,} images: {error}. They are kept; the same again goes on with "
            "the next."
        ) from error


def _decode(stream: Stream, batch: pa.Table, shard: _Shard, target: Target, skip_unreadable: bool) -> None:
    images = BatchImages(stream, batch, shard.end)
    out = np.empty((len(batch), *target.shape), dtype=np.uint8)
    seen: list[Largest] = []
    readable = decode_many(images, np.arange(len(batch)), target, out, skip_unreadable=skip_unreadable, seen=seen)
    shard.add(out, readable, None if stream.labels is None else batch[stream.labels], seen)
