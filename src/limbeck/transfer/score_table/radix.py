"""The n smallest of a stream of keys that is read again and again instead of being kept: exact, in constant memory.

Keys are words of 64 bits, as the score, then the id. A pass counts how often each value of the leading bits occurs and
so finds the leading bits of the n-th smallest key; the next pass does the same with the bits that follow, among keys
that begin so. Once few enough keys begin so, they are gathered and sorted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Words = tuple[np.ndarray, ...]
"""A key of every row: uint64 `[B]` each, the most significant word first; no two rows have the same."""

Keys = tuple[np.ndarray, Words]
"""Groups int64 `[B]` (-1 for rows that do not take part) and keys."""

GATHERED = 2**20
"""Keys that are gathered at most, before ties: 24 MiB, and as much again three times to sort them."""
_COUNTERS = 2**20
_BITS = 64


@dataclass(frozen=True)
class Thresholds:
    """The last row that is chosen of every group; those of groups without any are chosen by none.

    Attributes:
        some: bool `[G]`, whether the group gives any row.
        words: uint64 `[W, G]`, the last row's key.
    """

    some: np.ndarray
    words: np.ndarray

    def chosen(self, groups: np.ndarray, words: Words) -> np.ndarray:
        """Whether each row is among the chosen of its group, bool `[B]`."""
        inside = groups >= 0
        groups = np.where(inside, groups, 0)
        upto = np.ones(len(groups), dtype=bool)  # as far as the words that follow tell
        for word, lasts in zip(reversed(words), self.words[::-1], strict=True):
            last = lasts[groups]
            upto = (word < last) | ((word == last) & upto)
        return inside & self.some[groups] & upto


def sortable(scores: np.ndarray, *, descending: bool) -> np.ndarray:
    """uint64 keys in the order of float64 `scores`; 0 and -0 are equal."""
    bits = (scores + 0.0).view(np.int64)
    keys = (bits ^ ((bits >> 63) | np.int64(-(2**63)))).view(np.uint64)
    return ~keys if descending else keys


def as_unsigned(ids: np.ndarray) -> np.ndarray:
    """uint64 in the order of int64 `ids`."""
    return ids.view(np.uint64) ^ np.uint64(2**63)


def smallest(read: Callable[[], Iterator[Keys]], quotas: np.ndarray, sizes: np.ndarray, words: int = 2) -> Thresholds:
    """Where to cut every group so that `quotas` of its rows stay, smallest keys first.

    Args:
        read: starts a pass over all rows, in any order but with the same rows each time.
        quotas: int64 `[G]`, 0..sizes.
        sizes: int64 `[G]`, rows of each group.
        words: of a key.
    """
    search = _Search(quotas, sizes, words)
    while search.left.any():
        if search.left_rows <= GATHERED or search.known == words * _BITS:
            search.finish(read())
        else:
            search.narrow(read())
    return Thresholds(quotas > 0, search.words)


class _Search:
    """How far the thresholds are known: the first `known` bits of their keys."""

    def __init__(self, quotas: np.ndarray, sizes: np.ndarray, words: int) -> None:
        count = len(quotas)
        self.words = np.full((words, count), np.iinfo(np.uint64).max, dtype=np.uint64)
        self.wanted = quotas.astype(np.int64)  # of the rows that begin as the threshold does
        self.rows = sizes.astype(np.int64)  # that begin so
        self.left = (quotas > 0) & (quotas < sizes)  # whole groups need no threshold, empty ones have none
        self.heads = np.zeros((words, count), dtype=np.uint64)
        self.known = 0
        self.bits = max(1, min(16, int(np.log2(_COUNTERS / count))))

    @property
    def left_rows(self) -> int:
        return int(self.rows[self.left].sum())

    def narrow(self, stream: Iterator[Keys]) -> None:
        """Learns up to `bits` more bits of every threshold."""
        number, offset = divmod(self.known, _BITS)
        bits = min(self.bits, _BITS - offset)
        shift, digits = np.uint64(_BITS - offset - bits), 2**bits
        counts = np.zeros(len(self.left) * digits, dtype=np.int64)
        for keys in stream:
            groups, words = self._begin_so(*keys)
            digit = ((words[number] >> shift) & np.uint64(digits - 1)).astype(np.int64)
            counts += np.bincount(groups * digits + digit, minlength=len(counts))
        counts = counts.reshape(-1, digits)
        below = counts.cumsum(1)
        for group in self.left.nonzero()[0]:
            digit = int(np.searchsorted(below[group], self.wanted[group]))
            self.wanted[group] -= below[group, digit] - counts[group, digit]
            self.rows[group] = counts[group, digit]
            self.heads[number, group] |= np.uint64(digit) << shift
        self.known += bits

    def finish(self, stream: Iterator[Keys]) -> None:
        """Gathers what begins as the thresholds do, and sorts it."""
        parts = [self._begin_so(*keys) for keys in stream]
        groups = np.concatenate([part for part, _ in parts])
        words = np.stack([np.concatenate(word) for word in zip(*(part for _, part in parts), strict=True)])
        order = np.lexsort((*words[::-1], groups))
        groups, words = groups[order], words[:, order]
        for group in self.left.nonzero()[0]:
            self.words[:, group] = words[:, np.searchsorted(groups, group) + self.wanted[group] - 1]
        self.left[:] = False

    def _begin_so(self, groups: np.ndarray, words: Words) -> Keys:
        """The rows that are still in question."""
        same = (groups >= 0) & self.left[groups]
        for number in range(-(-self.known // _BITS)):
            shift = np.uint64(max(0, _BITS * (number + 1) - self.known))
            same &= words[number] >> shift == self.heads[number][groups] >> shift
        return groups[same], tuple(word[same] for word in words)
