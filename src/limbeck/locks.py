"""Locks: one process at a time in a folder, or at one of several tasks in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

LOCK_FILE = ".lock"
"""Name of the file in a folder that a process locks to have it to itself."""


@contextmanager
def only_one(folder: Path, waits: Callable[[], object], *, task: str = "", wait: bool = True) -> Iterator[bool]:
    """Runs the block while no other process is in such a block for the same folder and task.

    Args:
        folder: with a hidden file for each lock.
        waits: called before waiting for another process.
        task: one of several that processes share out among themselves; "" for the folder as a whole.
        wait: whether to wait for another process; else the block is entered beside it, with False.

    Example:
        >>> with only_one(Path(), lambda: print("waiting")), only_one(Path(), print, task="expert-0"):
        ...     Path(".lock").exists(), Path(".expert-0.lock").exists()
        (True, True)
    """
    lock = FileLock(folder / f"{f'.{task}' if task else ''}{LOCK_FILE}")
    free = _acquired(lock)
    if not free and wait:
        waits()
        lock.acquire()
    try:
        yield free or wait
    finally:
        lock.release()  # does nothing if another process holds it


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
