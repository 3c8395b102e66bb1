"""Local outlier factors of images that come and go (Breunig et al., 2000)."""

import numpy as np

from limbeck.transfer.generate.neighbours import NeighbourLists

_LEAST = 1e-10
"""Added to mean distances, as scikit-learn does, for images with equal neighbours."""


def outlier_factors(lists: NeighbourLists) -> np.ndarray:
    """Negative local outlier factors, of about -1 for an image among its like, and less for an outlier: float32 [n].

    With N(x) the k nearest neighbours of x, and reach(x, y) = max(d(x, y), distance of y to its k-th neighbour), the
    density of x is 1 / mean_{y in N(x)} reach(x, y), and its factor mean_{y in N(x)} density(y) / density(x). Equal to
    `negative_outlier_factor_` of `sklearn.neighbors.LocalOutlierFactor` for float32 embeddings: to the bit where that
    searches a tree, and within 1e-6 where it takes distances from matrix products, but for more than k equal images,
    which are then not 0 apart, and for neighbours exactly as far away as each other, of which any may be counted.

    Args:
        lists: of the images, with at least k neighbours or all others.

    Example:
        >>> embeddings = torch.randn(50, 8).numpy()
        >>> lists = NeighbourLists(10)
        >>> lists.update(np.arange(50), embeddings.__getitem__)
        >>> outlier_factors(lists).shape
        (50,)
    """
    count = min(lists.count, len(lists.rows) - 1)
    if count < 1:
        return np.full(len(lists.rows), -1, np.float32)
    places, distances = lists.places[:, :count], lists.distances[:, :count].astype(np.float32)
    reach = np.maximum(distances, distances[places, count - 1])  # [n, k]
    density = 1 / (reach.mean(axis=1) + np.float32(_LEAST))
    return -np.mean(density[places] / density[:, None], axis=1)
