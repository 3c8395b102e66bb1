"""Groups of images that look alike: k-means, how many groups there are, and t-SNE maps."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from torch import Tensor

from limbeck.evaluation.tsne import tsne
from limbeck.randomness import derive_seed
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import ALLOCATIONS

_MANY = 10_000
"""From this many rows on, k-means is fitted on mini-batches."""
_MAP_FROM, _PERPLEXITY = 50, 30


def cluster(features: Tensor, ids: Tensor, options: Mapping[str, Any], seed: int) -> Tensor:
    """The cluster of every image, int64 `[N]`, numbered in order of appearance, so that row 0 is in cluster 0.

    Which images share a cluster depends on features, ids and seed, but not on the order of the rows.

    Args:
        features: float `[N, D]`.
        ids: int64 `[N]`.
        options: `clusters`, or None to choose among `fewest`, `fewest` + `step` ... `most` by the silhouette of a
            `sample` of the images. At most as many as images; where there are too few images even for `fewest`, all are
            in one cluster.
        seed: of samples and initial centres.
    """
    by_id = ids.argsort()
    rows = features[by_id].float().numpy()
    count = options["clusters"]
    if count is None:
        ks = range(options["fewest"], options["most"] + 1, options["step"])
        count = choose_clusters(rows, ks, sample=options["sample"], seed=seed)
    count = min(count, len(rows))
    clusters = torch.zeros(len(rows), dtype=torch.int64)
    if count > 1:
        clusters[by_id] = torch.from_numpy(_k_means(rows, count, seed)).long()
    return in_order_of_appearance(clusters)


def cluster_map(features: Tensor, ids: Tensor, options: Mapping[str, Any], seed: int) -> Tensor:
    """`cluster` on a `map_of` the images with `components` dimensions, drawn by `implementation`."""
    places = map_of(features, ids, options["components"], seed, implementation=options["implementation"])
    return cluster(places, ids, options, seed)


def choose_clusters(rows: np.ndarray, ks: range, *, sample: int, seed: int) -> int:
    """The number of clusters, one of `ks`, whose k-means has the highest silhouette on a sample; 1 if none is possible.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.

    Args:
        rows: float32 `[N, D]`.
        ks: the numbers to try; those not below the number of rows are skipped.
        sample: number of rows to cluster and judge.
        seed: of the sample and the clusterings.
    """
    if len(rows) > sample:
        random = np.random.default_rng(derive_seed(seed, "select", "silhouette"))
        rows = rows[np.sort(random.choice(len(rows), sample, replace=False))]
    distances = _distances(rows)
    best, highest = 1, -np.inf
    for k in ks:
        if not 2 <= k < len(rows):
            continue
        labels = _k_means(rows, k, seed)
        distinct = len(np.unique(labels))
        # Identical images give fewer clusters than requested, and a silhouette needs at least two.
        score = silhouette_score(distances, labels, metric="precomputed") if 2 <= distinct < len(rows) else -1.0
        if score > highest:
            best, highest = k, score
    return best


def map_of(
    features: Tensor, ids: Tensor, components: int, seed: int, *, implementation: str = "scikit-learn"
) -> Tensor:
    """A t-SNE map of the images, float32 `[N, components]`, after PCA to 50 dimensions.

    By scikit-learn or by openTSNE, which is faster on many images and gives a different map. Features of fewer than 50
    images, or of identical ones, are returned as they are.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008; Policar et al., "openTSNE", 2019.
    """
    by_id = ids.argsort()
    rows = features[by_id].float().numpy()
    if len(rows) < _MAP_FROM or not np.ptp(rows, axis=0).any():
        return features.float()
    state = derive_seed(seed, "select", "map") % 2**32
    perplexity = min(_PERPLEXITY, (len(rows) - 1) // 3)
    mapped = tsne(
        rows,
        components=components,
        perplexity=perplexity,
        seed=state,
        implementation=implementation,
        solver="randomized",
    )
    places = torch.empty(len(rows), components)
    places[by_id] = torch.from_numpy(mapped.astype(np.float32))
    return places


Group = Callable[[Tensor, Tensor, Mapping[str, Any], int], Tensor]

CLUSTERINGS: dict[str, Group] = {"k-means": cluster, "manifold": cluster_map}
"""Clustering of each allocation that uses one: a function of features, ids, options and seed; see `cluster`."""


def clusters_of(features: Tensor, ids: Tensor, labels: Tensor | None, criterion: Criterion, seed: int) -> Tensor:
    """The cluster of every image of a set, int64 `[N]`, >= 0, for a criterion that uses clusters.

    Args:
        features: `[N, D]`, in the criterion's space.
        ids: int64 `[N]`.
        labels: int64 `[N]`, if the criterion works per class; then no cluster spans two classes.
        criterion: with the clustering and its options.
        seed: see `cluster`.
    """
    find = CLUSTERINGS[criterion.allocation.removesuffix("-per-class")]
    options = criterion.options_of(ALLOCATIONS[criterion.allocation])
    if not criterion.per_class:
        return find(features.float(), ids, options, seed)
    assert labels is not None, "criteria per class are refused for unlabelled images before"
    clusters, start = torch.empty(len(ids), dtype=torch.int64), 0
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        clusters[members] = start + find(features[members].float(), ids[members], options, seed)
        start = int(clusters[members].max()) + 1
    return clusters


def in_order_of_appearance(groups: Tensor) -> Tensor:
    """The same groups, int64 `[N]`, renumbered 0, 1 ... in the order of their first rows."""
    distinct, renamed = groups.unique(return_inverse=True)
    first = torch.full((len(distinct),), len(groups)).scatter_reduce(0, renamed, torch.arange(len(groups)), "amin")
    return first.argsort().argsort()[renamed]


def _k_means(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    state = derive_seed(seed, "select", "k-means", count) % 2**32
    with warnings.catch_warnings():
        # Fewer distinct images than clusters leave some clusters empty, which the allocations handle.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if len(rows) < _MANY:
            return KMeans(count, random_state=state).fit_predict(rows)
        return MiniBatchKMeans(count, batch_size=4096, random_state=state).fit_predict(rows)


def _distances(rows: np.ndarray) -> np.ndarray:
    """Euclidean distances between all rows, float32 `[N, N]`, with an exact zero diagonal."""
    squares = np.einsum("nd,nd->n", rows, rows)
    distances = squares[:, None] + squares[None] - 2 * (rows @ rows.T)
    distances = np.sqrt(np.maximum(distances, 0, out=distances), out=distances)
    np.fill_diagonal(distances, 0)
    return distances
