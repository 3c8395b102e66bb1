"""Which images a repository holds, by id; the cost of appending is that of what is appended, on average."""

import numpy as np

_Run = tuple[np.ndarray, np.ndarray]


class HeldIds:
    """Id -> row, as sorted runs of which each is at least twice as long as the next; 16 bytes an image.

    Example:
        >>> held = HeldIds()
        >>> held.add(np.array([7, 3]), np.array([0, 1]), np.array([True, True]))
        >>> held.rows(np.array([3, 4, 7]), np.array([True, True])).tolist()
        [1, -1, 0]
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []  # ids int64 [n], ascending and distinct, and their rows

    def add(self, ids: np.ndarray, rows: np.ndarray, alive: np.ndarray) -> None:
        """Adds images, of which none is held.

        Args:
            ids: int64 [n], distinct.
            rows: int64 [n].
            alive: bool [rows there are], which of them are held.
        """
        run = _sorted(ids, rows)
        while self._runs and len(self._runs[-1][0]) < 2 * len(run[0]):
            run = _merged(self._runs.pop(), run, alive)
        self._runs.append(run)

    def rows(self, ids: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """The row of each of `ids` (int64 [n]) that is held, int64 [n]; -1 of those that are not."""
        out = np.full(len(ids), -1)
        for run_ids, rows in self._runs:
            if len(run_ids):
                place = np.searchsorted(run_ids, ids).clip(max=len(run_ids) - 1)
                held = (run_ids[place] == ids) & alive[rows[place]]
                out[held] = rows[place[held]]
        return out


def _sorted(ids: np.ndarray, rows: np.ndarray) -> _Run:
    order = np.argsort(ids, kind="stable")
    return ids[order], rows[order]


def _merged(run: _Run, other: _Run, alive: np.ndarray) -> _Run:
    """Merges two runs without images that left, so that ids are distinct: of equal ones at most one is held."""
    ids, rows = (np.concatenate(parts) for parts in zip(run, other, strict=True))
    held = alive[rows]
    return _sorted(ids[held], rows[held])
