"""One process at a time in a folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def only_one(folder: Path, waits: Callable[[], object]) -> Iterator[None]:
    """While no other process is in such a block for the same folder; `waits` is called before one is waited for.

    Example:
        >>> with only_one(Path(), lambda: print("waiting")):
        ...     Path(".lock").exists()
        True
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waits()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
