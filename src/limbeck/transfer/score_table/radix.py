"""The n smallest of a stream of keys that is read again and again instead of being kept: exact, in constant memory.

Keys are 64 bits. A pass counts how often each value of the leading bits occurs and so finds the leading bits of the
n-th smallest key; the next pass does the same with the bits that follow, among keys that begin so. Once few enough
keys begin so, they are gathered and sorted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Keys = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Groups int64 (-1 for rows that do not take part), keys uint64, ids int64, each `[B]`."""

GATHERED = 2**20
"""Keys that are gathered at most, before ties: 24 MiB, and as much again three times to sort them."""
_COUNTERS = 2**20
_BITS = 64


@dataclass(frozen=True)
class Thresholds:
    """The last row that is chosen of every group, by (key, id); those of groups without any are chosen by none.

    Attributes:
        some: bool `[G]`, whether the group gives any row.
        keys: uint64 `[G]`.
        ids: int64 `[G]`.
    """

    some: np.ndarray
    keys: np.ndarray
    ids: np.ndarray

    def chosen(self, groups: np.ndarray, keys: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Whether each row is among the chosen of its group, bool `[B]`."""
        inside = groups >= 0
        groups = np.where(inside, groups, 0)
        last = self.keys[groups]
        return inside & self.some[groups] & ((keys < last) | ((keys == last) & (ids <= self.ids[groups])))


def sortable(scores: np.ndarray, *, descending: bool) -> np.ndarray:
    """uint64 keys in the order of float64 `scores`; 0 and -0 are equal."""
    bits = (scores + 0.0).view(np.int64)
    keys = (bits ^ ((bits >> 63) | np.int64(-(2**63)))).view(np.uint64)
    return ~keys if descending else keys


def smallest(read: Callable[[], Iterator[Keys]], quotas: np.ndarray, sizes: np.ndarray) -> Thresholds:
    """Where to cut every group so that `quotas` of its rows stay, smallest keys first, equal keys by ascending id.

    Args:
        read: starts a pass over all rows, in any order but with the same rows each time.
        quotas: int64 `[G]`, 0..sizes.
        sizes: int64 `[G]`, rows of each group.
    """
    search = _Search(quotas, sizes)
    while search.left.any():
        if search.left_rows <= GATHERED or search.known == 2 * _BITS:
            search.finish(read())
        else:
            search.narrow(read())
    return Thresholds(quotas > 0, search.keys, search.ids)


class _Search:
    """How far the thresholds are known: their first `known` of 128 bits, key before id."""

    def __init__(self, quotas: np.ndarray, sizes: np.ndarray) -> None:
        count = len(quotas)
        self.keys = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
        self.ids = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
        self.wanted = quotas.astype(np.int64)  # of the rows that begin as the threshold does
        self.rows = sizes.astype(np.int64)  # that begin so
        self.left = (quotas > 0) & (quotas < sizes)  # whole groups need no threshold, empty ones have none
        self.heads = np.zeros((2, count), dtype=np.uint64)
        self.known = 0
        self.bits = max(1, min(16, int(np.log2(_COUNTERS / count))))

    @property
    def left_rows(self) -> int:
        return int(self.rows[self.left].sum())

    def narrow(self, stream: Iterator[Keys]) -> None:
        """Learns up to `bits` more bits of every threshold."""
        half, place = divmod(self.known, _BITS)
        bits = min(self.bits, _BITS - place)
        shift, digits = np.uint64(_BITS - place - bits), 2**bits
        counts = np.zeros(len(self.keys) * digits, dtype=np.int64)
        for groups, keys, ids in stream:
            groups, keys, ids = self._begin_so(groups, keys, ids)
            value = keys if half == 0 else _as_unsigned(ids)
            digit = ((value >> shift) & np.uint64(digits - 1)).astype(np.int64)
            counts += np.bincount(groups * digits + digit, minlength=len(counts))
        counts = counts.reshape(-1, digits)
        below = counts.cumsum(1)
        for group in self.left.nonzero()[0]:
            digit = int(np.searchsorted(below[group], self.wanted[group]))
            self.wanted[group] -= below[group, digit] - counts[group, digit]
            self.rows[group] = counts[group, digit]
            self.heads[half, group] |= np.uint64(digit) << shift
        self.known += bits

    def finish(self, stream: Iterator[Keys]) -> None:
        """Gathers what begins as the thresholds do, and sorts it."""
        parts = [self._begin_so(*part) for part in stream]
        groups, keys, ids = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((ids, keys, groups))
        groups, keys, ids = groups[order], keys[order], ids[order]
        for group in self.left.nonzero()[0]:
            row = np.searchsorted(groups, group) + self.wanted[group] - 1
            self.keys[group], self.ids[group] = keys[row], ids[row]
        self.left[:] = False

    def _begin_so(self, groups: np.ndarray, keys: np.ndarray, ids: np.ndarray) -> Keys:
        """The rows that are still in question."""
        same = (groups >= 0) & self.left[groups]
        if self.known:
            shift = np.uint64(max(0, _BITS - self.known))
            same &= keys >> shift == self.heads[0][groups] >> shift
        if self.known > _BITS:
            shift = np.uint64(2 * _BITS - self.known)
            same &= _as_unsigned(ids) >> shift == self.heads[1][groups] >> shift
        return groups[same], keys[same], ids[same]


def _as_unsigned(ids: np.ndarray) -> np.ndarray:
    """uint64 in the order of int64 `ids`."""
    return ids.view(np.uint64) ^ np.uint64(2**63)
