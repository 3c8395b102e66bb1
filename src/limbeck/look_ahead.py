"""Reading the next batch while the current one is in use."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")


def look_ahead(batches: Iterable[Batch]) -> Iterator[Batch]:
    """`batches` in their order, each read by another thread while the one before is in use.

    Reading and decoding release Python's lock most of the time, so they cost no extra time where a core is free. What
    the source raises is raised where its batch would have come. At most one batch is read ahead.

    Args:
        batches: none of which is None; touched by one thread at a time.

    Example:
        >>> list(look_ahead(range(3)))
        [0, 1, 2]
    """
    source = iter(batches)
    with ThreadPoolExecutor(1, thread_name_prefix="look-ahead") as reader:
        coming = reader.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, source, None)
            yield batch
