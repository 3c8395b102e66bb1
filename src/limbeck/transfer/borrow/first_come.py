"""The order in which images come, for `fill: first-come` and `by: none`: pool after pool, shuffled within each."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from limbeck.transfer.scoring.scores import uniform53

OrderOf = Callable[[str, np.ndarray], np.ndarray]
"""From the name of a pool and ids int64 `[n]` to numbers `[n]`: of its images, those with the lowest come first."""


def drawn_order(seed: int) -> OrderOf:
    """An order drawn from seed, pool and id alone, as ids are often sorted by class.

    The reference implementation shuffles every pool, too. Source:
    https://github.com/shauryat97/SampleSelectionBasedKnowledgeDistillation, data.py.
    """
    return lambda pool, ids: uniform53(torch.from_numpy(ids), seed, f"first-come@{pool}").numpy()


def places_in_order(
    pools: Sequence[str], names: Sequence[str], sources: np.ndarray, ids: np.ndarray, order_of: OrderOf
) -> np.ndarray:
    """The place of every image when pools come one after another, float64 `[n]`, exact up to 2^53; ties go by id.

    Args:
        pools: names of the pools, in the order in which they come.
        names: the same names in the order that `sources` counts by.
        sources, ids: int64 `[n]`.
        order_of: the order within a pool.

    Example:
        >>> import numpy as np
        >>> names, sources, ids = ("cats", "dogs"), np.array([0, 0, 1]), np.array([7, 8, 7])
        >>> places_in_order(["dogs", "cats"], names, sources, ids, lambda pool, ids: -ids)
        array([2., 1., 0.])
    """
    within = np.empty(len(ids))
    for place in np.unique(sources):
        own = sources == place
        within[own] = order_of(names[int(place)], ids[own])
    pool = np.array([pools.index(name) for name in names])[sources]
    places = np.empty(len(ids))
    places[np.lexsort((ids, within, pool))] = np.arange(len(ids))
    return places
