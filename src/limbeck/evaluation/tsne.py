"""Embeddings as maps: t-SNE, by scikit-learn or by openTSNE, which takes less time and draws another map."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

FEWEST = 10
"""Images below which a map says nothing."""
_DIMENSIONS = 50
Array = NDArray[np.floating]


def tsne(
    rows: Array,
    *,
    components: int = 2,
    perplexity: float = 30.0,
    seed: int = 0,
    implementation: str = "scikit-learn",
    solver: Literal["covariance_eigh", "randomized"] = "covariance_eigh",
) -> Array:
    """Positions in which neighbours among `rows` stay close; large distances mean little.

    Reduces to 50 principal components first and starts from the first of them, so that the seed matters little.
    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008; Kobak and Berens, "The art of using
    t-SNE for single-cell transcriptomics", Nature Communications 2019, for the start; Policar et al., "openTSNE", 2019.

    Args:
        rows: `[n, D]`, not all alike.
        components: dimensions of the map.
        perplexity: about how many neighbours count; at most a third of the rows is used.
        seed: of what is random in it, 0..2**32 - 1.
        implementation: "scikit-learn" or "openTSNE"; each draws maps of its own.
        solver: of the principal components; "randomized" takes less time where there are many.

    Returns:
        `[n, components]`.
    """
    if min(rows.shape) > _DIMENSIONS:
        from sklearn.decomposition import PCA  # a fifth of all imports of a comparison, which only maps need

        state = seed if solver == "randomized" else None
        rows = PCA(_DIMENSIONS, svd_solver=solver, random_state=state).fit_transform(rows)
    start = "pca" if rows.shape[1] >= components else "random"
    perplexity = min(perplexity, (len(rows) - 1) / 3)
    return np.asarray(_EMBED[implementation](rows, components, start, perplexity=perplexity, random_state=seed))


def _by_opentsne(rows: Array, components: int, start: str, **options: Any) -> Array:
    from openTSNE import TSNE  # pyright: ignore[reportMissingImports]

    return TSNE(components, initialization=start, n_jobs=1, **options).fit(rows)


def _by_scikit_learn(rows: Array, components: int, start: str, **options: Any) -> Array:
    from sklearn.manifold import TSNE

    return TSNE(components, init=start, n_jobs=1, **options).fit_transform(rows)


_EMBED: dict[str, Callable[..., Array]] = {"scikit-learn": _by_scikit_learn, "openTSNE": _by_opentsne}


def fastest_installed() -> str:
    """The implementation that draws a page's maps: "openTSNE" where it is installed, else "scikit-learn"."""
    return "openTSNE" if find_spec("openTSNE") else "scikit-learn"


def tsne_map(embedding: Array, *, implementation: str, seed: int = 0, perplexity: float = 30.0) -> NDArray[np.float32]:
    """`tsne` of embeddings `[n, D]`, n >= `FEWEST`, as a page shows it: in the plane, whatever their scale.

    Returns:
        float32 `[n, 2]` with mean 0 and a mean distance of 1 from there; all zeros if all embeddings are the same.
    """
    assert len(embedding) >= FEWEST, f"{len(embedding)} images"
    rows = np.asarray(embedding, dtype=np.float64)
    rows = rows - rows.mean(0)
    if np.abs(rows).max() <= 1e-9:
        return np.zeros((len(rows), 2), dtype=np.float32)
    rows = rows / np.abs(rows).max()
    return _normal(tsne(rows, perplexity=perplexity, seed=seed, implementation=implementation))


def turned_onto(places: Array, other: Array) -> NDArray[np.float32]:
    """`places` `[n, 2]` turned and mirrored to lie on `other` as well as they can, which changes no distance."""
    turn, _ = orthogonal_procrustes(np.asarray(places, dtype=np.float64), np.asarray(other, dtype=np.float64))
    return (places @ turn).astype(np.float32)


def _normal(places: Array) -> NDArray[np.float32]:
    places = places - places.mean(0)
    return (places / np.linalg.norm(places, axis=1).mean()).astype(np.float32)
