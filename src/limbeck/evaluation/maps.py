"""Embeddings as maps in the plane: t-SNE, by openTSNE where it is installed and by scikit-learn elsewhere."""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes
from sklearn.decomposition import PCA

FEWEST = 10
"""Images below which a map says nothing."""
_DIMENSIONS = 50
Array = NDArray[np.floating]


def implementation() -> str:
    """Whose t-SNE draws the maps: "openTSNE" or "scikit-learn"."""
    return "openTSNE" if find_spec("openTSNE") else "scikit-learn"


def tsne_map(embedding: Array, *, seed: int = 0, perplexity: float = 30.0) -> NDArray[np.float32]:
    """Positions in the plane that keep near what is near in the embedding; far apart means little.

    Reduces to 50 principal components first and starts from the first two, so that the seed matters little.
    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008; Kobak and Berens, "The art of using
    t-SNE for single-cell transcriptomics", Nature Communications 2019, for the start.

    Args:
        embedding: `[n, D]`, n >= `FEWEST`.
        seed: of what is random in it.
        perplexity: about how many neighbours count; at most a third of the images is used.

    Returns:
        float32 `[n, 2]` with mean 0 and a mean distance of 1 from there; all zeros for one and the same embedding.
    """
    assert len(embedding) >= FEWEST, f"{len(embedding)} images"
    rows = np.asarray(embedding, dtype=np.float64)
    rows = rows - rows.mean(0)
    if np.abs(rows).max() <= 1e-9:
        return np.zeros((len(rows), 2), dtype=np.float32)
    rows = rows / np.abs(rows).max()
    if min(rows.shape) > _DIMENSIONS:
        rows = PCA(_DIMENSIONS, svd_solver="covariance_eigh").fit_transform(rows)
    options = {"perplexity": min(perplexity, (len(rows) - 1) / 3), "random_state": seed}
    start = "pca" if rows.shape[1] > 1 else "random"
    if implementation() == "openTSNE":
        from openTSNE import TSNE  # pyright: ignore[reportMissingImports]

        places = np.asarray(TSNE(initialization=start, n_jobs=1, **options).fit(rows))
    else:
        from sklearn.manifold import TSNE

        places = TSNE(init=start, n_jobs=1, **options).fit_transform(rows)
    return _normal(places)


def turned_onto(places: Array, other: Array) -> NDArray[np.float32]:
    """`places` `[n, 2]` turned and mirrored to lie on `other` as well as they can, which changes no distance."""
    turn, _ = orthogonal_procrustes(np.asarray(places, dtype=np.float64), np.asarray(other, dtype=np.float64))
    return (places @ turn).astype(np.float32)


def _normal(places: Array) -> NDArray[np.float32]:
    places = places - places.mean(0)
    return (places / np.linalg.norm(places, axis=1).mean()).astype(np.float32)
