"""How many images to take for each criterion of a mixture and from each class of the teacher."""

from collections.abc import Mapping

import numpy as np
import torch

from limbeck.transfer.allocation import shares


def shares_of_parts(parts: Mapping[str, float], count: int) -> dict[str, int]:
    """Number of images for each criterion of a mixture, `count` in all, by the method of largest remainder.

    Of equal remainders, the criterion named first comes first.

    Example:
        >>> shares_of_parts({"margin": 0.5, "boundary": 0.25, "random": 0.25}, 10)
        {'margin': 5, 'boundary': 3, 'random': 2}
    """
    exact = np.array([share * count for share in parts.values()])
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - whole).round(9), kind="stable")
    whole[order[: count - int(whole.sum())]] += 1
    return dict(zip(parts, whole.tolist(), strict=True))


def equal_shares(count: int, classes: int, start: int = 0) -> np.ndarray:
    """Equal shares of `count` for K classes, int64 `[K]`; the remainder goes one each to the classes from `start` on.

    If each criterion of a mixture starts where the last one ended, every class gets as many in all as from a single
    criterion.

    Example:
        >>> equal_shares(5, 3, start=2).tolist()
        [2, 1, 2]
    """
    return _rolled(count, np.full(classes, count), start)


def spread_shares(count: int, sizes: np.ndarray, start: int = 0) -> np.ndarray:
    """As `equal_shares`, but other classes make up for a class with fewer images than its share, see `shares`.

    Example:
        >>> spread_shares(9, np.array([9, 1, 9])).tolist()
        [4, 1, 4]
    """
    return _rolled(count, sizes, start)


def _rolled(count: int, sizes: np.ndarray, start: int) -> np.ndarray:
    start %= len(sizes)
    return np.roll(shares(count, torch.from_numpy(np.roll(sizes, -start).copy())).numpy(), start)
