"""Nearest neighbours in an embedding: pure functions of embeddings `[n, D]` of the same n images.

A map in the plane shows false neighbours and hides true ones; these numbers come from the embedding itself.
"""

import torch
from torch import Tensor


def nearest(embedding: Tensor, k: int) -> Tensor:
    """int64 `[n, k]`: the k nearest other images of each image by Euclidean distance; of equals those of lower index.

    Args:
        embedding: `[n, D]`.
        k: 1..n-1.
    """
    assert 1 <= k < len(embedding), f"k = {k} of {len(embedding)} images"
    distances = torch.cdist(embedding.double(), embedding.double(), compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(torch.inf)
    return distances.argsort(dim=1, stable=True)[:, :k]


def neighbour_overlap(one: Tensor, other: Tensor, k: int = 10) -> float:
    """Share of an image's k nearest neighbours that are the same in both embeddings, mean over images.

    1 where both order the images alike; k / (n - 1) is what unrelated embeddings reach by chance.
    """
    shared = (nearest(one, k)[:, :, None] == nearest(other, k)[:, None, :]).any(2)
    return shared.double().mean().item()


def same_class_share(embedding: Tensor, labels: Tensor, k: int = 10) -> float:
    """Share of an image's k nearest neighbours that are of its class, mean over images; labels int64 `[n]`."""
    return (labels[nearest(embedding, k)] == labels[:, None]).double().mean().item()
