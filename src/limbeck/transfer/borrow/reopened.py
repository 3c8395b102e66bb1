"""Images of a pool for other processes: sent if they are small or from Python, else opened again there."""

import warnings
from collections.abc import Callable
from math import prod
from typing import Any

from limbeck.data.image_set import ImageSet
from limbeck.data.place import FROM_PYTHON
from limbeck.transfer.borrow.pools import Pool, open_pools

SENT = 2**28
"""Decoded images of at most so many bytes are sent; other processes can map the files of larger ones."""


def for_workers(pool: Pool) -> "ImageSet | Callable[[], ImageSet]":
    """The images, including excluded classes, or a function that opens them in any process by the pool's settings."""
    images = pool.scored
    small = images.is_decoded and len(images) * prod(images.shape) <= SENT
    return images if small or pool.settings.name.startswith(FROM_PYTHON) else Reopened(pool)


class Reopened:
    """Returns all images of a pool: the open ones in this process; in another process, it opens the pool's settings.

    Example:
        >>> from limbeck.transfer.borrow.settings import PoolSettings
        >>> (pool,) = open_pools([PoolSettings(name="digits", exclude=["7"])], (1, 8, 8))
        >>> import pickle
        >>> elsewhere = pickle.loads(pickle.dumps(Reopened(pool)))
        >>> elsewhere().fingerprint == Reopened(pool)().fingerprint
        True
    """

    def __init__(self, pool: Pool) -> None:
        self._open: ImageSet | None = pool.scored
        self._settings, self._shape = pool.settings, pool.images.shape
        self._ids = pool.scored.ids

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": None}

    def __call__(self) -> ImageSet:
        if self._open is None:
            whole = self._settings.model_copy(update={"exclude": []})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # already shown when the pool was first opened
                (pool,) = open_pools([whole], self._shape)
            same = len(pool.images) == len(self._ids) and bool((pool.images.ids == self._ids).all())
            self._open = pool.images if same else pool.images.subset(self._ids)
        return self._open
