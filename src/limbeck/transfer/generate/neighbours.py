"""The nearest neighbours of every image in a set that grows and shrinks, updated rather than searched anew."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

Read = Callable[[np.ndarray], np.ndarray]
"""Rows int64 [n] -> their embeddings, float32 [n, D]."""

_BLOCK = 256
_COLUMNS = 4096
_PAIRS = 2**22
"""How many numbers of differences are in memory at a time."""


class NeighbourLists:
    """For every image its nearest others, by Euclidean distance, at least `count` of them where there are so many.

    Twice `count` are kept, so that few lists run short when images leave. An update compares new images, and those
    whose lists ran short, with all images by matrix products: with few of either, its cost is linear in the number of
    images. The products only select candidate pairs. Their distances are computed from differences in float64, so that
    they depend on the pair alone and equal embeddings are exactly 0 apart. Ties go to the older image, of lower row.

    Args:
        count: of neighbours.

    Attributes:
        rows: of the images that there are, int64 [n], ascending.
        places: of their neighbours among `rows`, nearest first, int64 [n, 2 count]; -1 where none is known.
        distances: to these, float64 [n, 2 count]; infinite where none is known.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._clear()

    def _clear(self) -> None:
        self.rows = np.empty(0, np.int64)
        self.places = np.empty((0, 2 * self.count), np.int64)
        self.distances = np.empty((0, 2 * self.count))
        self._measured = True

    def update(self, rows: np.ndarray, read: Read) -> None:
        """Changes to other rows: images that are not among them are removed, and new ones are added.

        Args:
            rows: int64 [n], ascending.
            read: gives their embeddings, which are the same in every update.
        """
        staying, present = np.isin(self.rows, rows, assume_unique=True), np.isin(rows, self.rows, assume_unique=True)
        new = rows[~present]
        if len(new) and staying.any() and new[0] < self.rows[staying][-1]:
            self._clear()  # an older one came back
            staying, new = np.empty(0, bool), rows
        self._remove(staying, read)
        for start in range(0, len(new), _BLOCK):
            self._append(new[start : start + _BLOCK], read)

    def state_dict(self) -> dict[str, Tensor]:
        return {"rows": torch.from_numpy(self.rows), "places": torch.from_numpy(self.places.astype(np.int32))}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores the lists of a state; the next update computes their distances anew."""
        self.rows = state["rows"].cpu().numpy().astype(np.int64)
        self.places = state["places"].cpu().numpy().astype(np.int64)
        self.distances = np.full(self.places.shape, np.inf)
        self._measured = False

    def _append(self, rows: np.ndarray, read: Read) -> None:
        first, capacity = len(self.rows), self.places.shape[1]
        sizes, bounds = self._bounds()
        self.rows = np.concatenate([self.rows, rows])
        self.places = np.concatenate([self.places, np.full((len(rows), capacity), -1)])
        self.distances = np.concatenate([self.distances, np.full((len(rows), capacity), np.inf)])
        own = np.arange(first, len(self.rows))
        squares, error = self._approximate(own, read)  # [B, n], [B, n]
        self._fill(own, squares, error, read)
        new, old = np.nonzero(squares[:, :first] - error[:, :first] <= np.square(bounds))
        distances = self._exact(old, own[new], read)
        nearer = distances < bounds[old]  # of equally near ones, those that were there stay
        old, new, distances = old[nearer], own[new[nearer]], distances[nearer]
        changed = np.unique(old)
        listed, column = np.nonzero(np.arange(capacity) < sizes[changed][:, None])
        kept = changed[listed]
        self._store(
            np.concatenate([kept, old]),
            np.concatenate([self.places[kept, column], new]),
            np.concatenate([self.distances[kept, column], distances]),
        )

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """How many neighbours each list has, int64 [n], and the distance below which it lacks none, [n]."""
        sizes = (self.places >= 0).sum(axis=1)
        complete = (sizes == len(self.rows) - 1) & (sizes < self.places.shape[1])
        last = self.distances[np.arange(len(sizes)), np.maximum(sizes - 1, 0)]
        return sizes, np.where(complete, np.inf, last)

    def _remove(self, staying: np.ndarray, read: Read) -> None:
        """Keeps only the images that are `staying`, bool [n]."""
        if not staying.all():
            renumbered = np.where(staying, np.cumsum(staying) - 1, -1)
            self.rows, old, self.distances = self.rows[staying], self.places[staying], self.distances[staying]
            self.places = np.where(old >= 0, renumbered[old], -1)
            changed = np.flatnonzero((self.places != old).any(axis=1))
            gone = self.places[changed] < 0
            order = np.argsort(gone, axis=1, kind="stable")
            self.places[changed] = np.take_along_axis(self.places[changed], order, axis=1)
            distances = np.where(gone, np.inf, self.distances[changed])
            self.distances[changed] = np.take_along_axis(distances, order, axis=1)
        if not self._measured:
            image, column = np.nonzero(self.places >= 0)
            self.distances[image, column] = self._exact(image, self.places[image, column], read)
            self._measured = True
        short = np.flatnonzero((self.places >= 0).sum(axis=1) < min(self.count, len(self.rows) - 1))
        for start in range(0, len(short), _BLOCK):
            block = short[start : start + _BLOCK]
            self._fill(block, *self._approximate(block, read), read)

    def _fill(self, own: np.ndarray, squares: np.ndarray, error: np.ndarray, read: Read) -> None:
        """Builds new lists for the images at places `own`, by squared distances and bounds on their errors, [B, n]."""
        squares[np.arange(len(own)), own] = np.inf
        capacity = self.places.shape[1]
        candidates = np.isfinite(squares)
        if len(self.rows) - 1 > capacity:
            # An upper bound on the squared distance of the last neighbour that a list has room for.
            limit = np.partition(squares + error, capacity - 1, axis=1)[:, capacity - 1 : capacity]
            candidates &= squares - error <= limit
        mine, other = np.nonzero(candidates)
        self.places[own], self.distances[own] = -1, np.inf
        self._store(own[mine], other, self._exact(own[mine], other, read))

    def _store(self, own: np.ndarray, other: np.ndarray, distances: np.ndarray) -> None:
        """Fills the lists of the images at `own` with the nearest of these pairs, [m] each."""
        order = np.lexsort((other, distances, own))
        own, other, distances = own[order], other[order], distances[order]
        _, starts, sizes = np.unique(own, return_index=True, return_counts=True)
        rank = np.arange(len(own)) - np.repeat(starts, sizes)
        fits = rank < self.places.shape[1]
        self.places[own[fits], rank[fits]] = other[fits]
        self.distances[own[fits], rank[fits]] = distances[fits]

    def _approximate(self, own: np.ndarray, read: Read) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances of the images at `own` to all, and bounds on their errors, [B, n] each."""
        embeddings = read(self.rows[own]).astype(np.float64)
        lengths = np.square(embeddings).sum(axis=1)[:, None]
        squares, error = (np.empty((len(own), len(self.rows))) for _ in range(2))
        for start in range(0, len(self.rows), _COLUMNS):
            part = slice(start, start + _COLUMNS)
            others = read(self.rows[part]).astype(np.float64)
            sums = lengths + np.square(others).sum(axis=1)
            squares[:, part] = sums - 2 * (embeddings @ others.T)
            error[:, part] = sums * (4 * np.finfo(np.float64).eps * (embeddings.shape[1] + 8))
        return squares, error

    def _exact(self, own: np.ndarray, other: np.ndarray, read: Read) -> np.ndarray:
        """Distances of the images at places `own` and `other`, [m] each, float64 [m]."""
        out = np.empty(len(own))
        step = max(1, _PAIRS // max(1, read(self.rows[:1]).shape[-1])) if len(own) else 1
        for start in range(0, len(own), step):
            pairs = slice(start, start + step)
            difference = read(self.rows[own[pairs]]).astype(np.float64)
            difference -= read(self.rows[other[pairs]])
            out[pairs] = np.sqrt(np.square(difference, out=difference).sum(axis=1))
        return out
