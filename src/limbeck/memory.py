"""How much memory there is, and keeping what was freed."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # as on Windows
    resource = None  # pyright: ignore[reportAssignmentType]

_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
"""Files of a container's limit and of what it uses, of the second and the first version of control groups."""
_KEPT = 2**30
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
_sharers = 1


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has free, or what a container's limit leaves.

    One of several workers may take its share of them.
    """
    return min([psutil.virtual_memory().available, *_left_by_limits()]) // _sharers


def most_memory() -> int:
    """Peak memory of this process in bytes; where the system does not report it, what it holds now.

    Example:
        >>> most_memory() > 2**20
        True
    """
    if resource is None:
        return psutil.Process().memory_info().rss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def share_memory(processes: int) -> None:
    """Limits this process to its share of the memory, as one of `processes` on this machine."""
    global _sharers
    _sharers = processes


def sharers() -> int:
    """How many workers this process is one of on this machine; 1 for a process that is no worker."""
    return _sharers


@cache
def keep_freed_memory() -> None:
    """Makes this process keep freed blocks below a GiB, on Linux with glibc.

    glibc hands large blocks back to the system as soon as they are freed, and each comes anew page by page, filled with
    zeros: every feature map of every training step on a CPU. ConvNets train 1.4 to 2.4 times as fast without that
    (`benchmarks/allocation.py`), in about the same peak of memory. Nothing is done where the environment tunes the
    allocator (`MALLOC_...`, `GLIBC_TUNABLES`); another allocator does not heed it.
    """
    if not _keeps():
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_MMAP_THRESHOLD, _KEPT)  # smaller blocks come from the heap
    mallopt(_TRIM_THRESHOLD, _KEPT)  # of which this much is kept


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Keeps freed memory from here on, and at the end returns all that is free, even between blocks in use."""
    keep_freed_memory()
    try:
        yield
    finally:
        if _keeps():
            ctypes.CDLL(None).malloc_trim(0)


@cache
def _keeps() -> bool:
    """Whether this is glibc, and nobody tunes it."""
    tuned = "malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name.startswith("MALLOC_") for name in os.environ)
    return not tuned and sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _left_by_limits() -> list[int]:
    free = []
    for limit, used in _LIMITS:
        try:
            statistics = (_CGROUP / used).with_name("memory.stat").read_text()
            # Cached files count as used, though they are dropped when memory is needed.
            cached = dict(line.split() for line in statistics.splitlines()).get("inactive_file", "0")
            left = int((_CGROUP / limit).read_text()) - int((_CGROUP / used).read_text()) + int(cached)
        except (OSError, ValueError):  # no such files, or "max"
            continue
        free.append(max(0, left))
    return free
