"""Finding the n smallest keys of a stream in constant memory, exactly, by reading the stream several times.

A key is several words of 64 bits, such as the score and then the id. A pass counts how often each value of the leading
bits occurs, which gives the leading bits of the n-th smallest key; the next pass does the same with the bits that
follow, among the keys with that prefix. Once few enough keys share the prefix, they are gathered and sorted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

KeyWords = tuple[np.ndarray, ...]
"""The keys of B rows, which are distinct: words uint64 `[B]`, the most significant first."""

Keys = tuple[np.ndarray, KeyWords]
"""Groups int64 `[B]` (-1 for rows that do not take part) and keys of the rows."""

GATHERED = 2**20
"""At most so many keys are gathered, not counting ties: 24 MiB, and three times that again for sorting."""
_COUNTERS = 2**20
_BITS = 64


@dataclass(frozen=True)
class Thresholds:
    """The last key that is chosen in every group; no row is chosen in groups without one.

    Attributes:
        some: bool `[G]`, whether any row of the group is chosen.
        words: uint64 `[W, G]`, the last chosen key.
    """

    some: np.ndarray
    words: np.ndarray

    def chosen(self, groups: np.ndarray, words: KeyWords) -> np.ndarray:
        """Whether each row is among the chosen of its group, bool `[B]`."""
        inside = groups >= 0
        groups = np.where(inside, groups, 0)
        upto = np.ones(len(groups), dtype=bool)  # <= the threshold, judged by the less significant words
        for word, lasts in zip(reversed(words), self.words[::-1], strict=True):
            last = lasts[groups]
            upto = (word < last) | ((word == last) & upto)
        return inside & self.some[groups] & upto


def sortable(scores: np.ndarray, *, descending: bool) -> np.ndarray:
    """uint64 keys that sort like float64 `scores`; 0 and -0 are equal."""
    bits = (scores + 0.0).view(np.int64)
    keys = (bits ^ ((bits >> 63) | np.int64(-(2**63)))).view(np.uint64)
    return ~keys if descending else keys


def as_unsigned(ids: np.ndarray) -> np.ndarray:
    """uint64 keys that sort like int64 `ids`."""
    return ids.view(np.uint64) ^ np.uint64(2**63)


def smallest(read: Callable[[], Iterator[Keys]], quotas: np.ndarray, sizes: np.ndarray, words: int = 2) -> Thresholds:
    """Thresholds that keep the `quotas` smallest keys of every group.

    Args:
        read: starts a pass over all rows, in any order but with the same rows every time.
        quotas: int64 `[G]`, 0..sizes.
        sizes: int64 `[G]`, rows of each group.
        words: number of words of a key.
    """
    search = _Search(quotas, sizes, words)
    while search.left.any():
        if search.left_rows <= GATHERED or search.known == words * _BITS:
            search.finish(read())
        else:
            search.narrow(read())
    return Thresholds(quotas > 0, search.words)


class _Search:
    """State of the search: the first `known` bits of each threshold, in `heads`."""

    def __init__(self, quotas: np.ndarray, sizes: np.ndarray, words: int) -> None:
        count = len(quotas)
        self.words = np.full((words, count), np.iinfo(np.uint64).max, dtype=np.uint64)
        self.wanted = quotas.astype(np.int64)  # rank of the threshold among rows that share its prefix
        self.rows = sizes.astype(np.int64)  # rows that share its prefix
        self.left = (quotas > 0) & (quotas < sizes)  # not yet found; groups taken whole or not at all need no threshold
        self.heads = np.zeros((words, count), dtype=np.uint64)
        self.known = 0
        self.bits = max(1, min(16, int(np.log2(_COUNTERS / count))))

    @property
    def left_rows(self) -> int:
        return int(self.rows[self.left].sum())

    def narrow(self, stream: Iterator[Keys]) -> None:
        """Finds up to `bits` more bits of every threshold."""
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
        """Gathers the keys that share the thresholds' prefixes, and sorts them."""
        parts = [self._begin_so(*keys) for keys in stream]
        groups = np.concatenate([part for part, _ in parts])
        words = np.stack([np.concatenate(word) for word in zip(*(part for _, part in parts), strict=True)])
        order = np.lexsort((*words[::-1], groups))
        groups, words = groups[order], words[:, order]
        for group in self.left.nonzero()[0]:
            self.words[:, group] = words[:, np.searchsorted(groups, group) + self.wanted[group] - 1]
        self.left[:] = False

    def _begin_so(self, groups: np.ndarray, words: KeyWords) -> Keys:
        """The rows whose keys share the known prefix of their group's threshold."""
        same = (groups >= 0) & self.left[groups]
        for number in range(-(-self.known // _BITS)):
            shift = np.uint64(max(0, _BITS * (number + 1) - self.known))
            same &= words[number] >> shift == self.heads[number][groups] >> shift
        return groups[same], tuple(word[same] for word in words)
