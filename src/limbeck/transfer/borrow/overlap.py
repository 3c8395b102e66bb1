"""Finding pictures in pools that a student is judged on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from limbeck.data.encoded.decode import Target, decode
from limbeck.data.image_set import ImageSet
from limbeck.data.storage import DIGEST_BYTES, image_digests
from limbeck.errors import UserError
from limbeck.transfer.score_table.identity import all_over

_BROUGHT = 1024
"""Images to bring to another shape at a time."""
_VOID = np.dtype((np.void, DIGEST_BYTES))


@dataclass(frozen=True)
class Overlap:
    """Pictures of one pool that equal some that a student is judged on.

    Attributes:
        count: number of such images in the pool.
        id: the lowest id of these.
        held_out: the first held-out picture that equals it: name of its set and its id there.
        looked_at: number of images of the pool that were compared; None for all.
    """

    count: int
    id: int
    held_out: tuple[str, int]
    looked_at: int | None = None


class HeldOutDigests:
    """Digests of all pictures that a student is judged on.

    Args:
        held_out: validation and test images. Those of another shape are brought to that of the pools in the same way
            as pools, so that a picture equals itself unless it was resized before.
        shape: (C, H, W) of the pools.

    Example:
        >>> int(HeldOutDigests([test], test.shape).among(test.digests().numpy()).sum())
        100
    """

    def __init__(self, held_out: Sequence[ImageSet], shape: tuple[int, int, int]) -> None:
        digests = [_digests(images, shape) for images in held_out]
        names = [name for images in held_out for name in [images.name] * len(images)]
        ids = [images.ids.numpy() for images in held_out]
        joined = np.concatenate(digests) if digests else np.empty((0, DIGEST_BYTES), dtype=np.uint8)
        packed = _packed(joined)
        order = np.argsort(packed, kind="stable")
        self._digests, self._order = packed[order], order
        self._names, self._ids = names, np.concatenate(ids) if ids else np.empty(0, dtype=np.int64)

    @property
    def key(self) -> str:
        """A hash of all digests."""
        return hashlib.blake2b(self._digests.tobytes(), digest_size=16).hexdigest()

    def among(self, digests: np.ndarray) -> np.ndarray:
        """Which digests, uint8 `[B, 16]`, are of held-out pictures, bool `[B]`."""
        if not len(self._digests):
            return np.zeros(len(digests), dtype=bool)
        return self._digests[self._places(digests)] == _packed(digests)

    def _places(self, digests: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._digests, _packed(digests)).clip(max=len(self._digests) - 1)

    def overlap(self, ids: np.ndarray, digests: np.ndarray, looked_at: int | None = None) -> Overlap | None:
        """The overlap with images of a pool, of ids int64 `[B]` and digests uint8 `[B, 16]`; None if there is none."""
        rows = np.flatnonzero(self.among(digests))
        if not len(rows):
            return None
        first = rows[ids[rows].argmin()]
        where = int(self._order[self._places(digests[first : first + 1])[0]])
        return Overlap(len(rows), int(ids[first]), (self._names[where], int(self._ids[where])), looked_at)

    def look(self, images: ImageSet) -> Overlap | None:
        """The overlap with a pool, without decoding all of it: of an encoded pool, only a sample is compared."""
        if images.is_decoded:
            return self.overlap(images.ids.numpy(), images.digests().numpy())
        sample = all_over(images)
        digests = image_digests(images.gather(sample)).numpy()
        return self.overlap(images.ids[sample].numpy(), digests, None if len(sample) == len(images) else len(sample))


def added(one: Overlap | None, other: Overlap | None) -> Overlap | None:
    """The overlap of two parts of one pool together."""
    if one is None or other is None:
        return one or other
    first = min(one, other, key=lambda part: part.id)
    return Overlap(one.count + other.count, first.id, first.held_out)


def refuse(overlaps: Mapping[str, Overlap]) -> None:
    """Raises a UserError if any pool, by name, holds held-out pictures."""
    if not overlaps:
        return
    pools = [
        f"pool {pool!r} holds {'at least ' if overlap.looked_at else ''}{overlap.count:,} "
        f"{'picture' if overlap.count == 1 else 'pictures'} (first: id {overlap.id}, which is id {overlap.held_out[1]} "
        f"of {overlap.held_out[0]!r}{f'; {overlap.looked_at:,} were looked at' if overlap.looked_at else ''})"
        for pool, overlap in overlaps.items()
    ]
    raise UserError(
        f"{', and '.join(pools)} that the student is judged on. Borrow from another split or data set, or have them "
        "left out (`overlap: leave-out`)."
    )


def _digests(images: ImageSet, shape: tuple[int, int, int]) -> np.ndarray:
    """Digests of the images in that shape, uint8 `[N, 16]`."""
    if images.shape == shape:
        return images.digests().numpy()
    target = Target(*shape, resize=True)
    parts = []
    for _, pixels in images.batches(_BROUGHT):
        brought = [decode(image, target) for image in pixels.permute(0, 2, 3, 1).numpy()]  # [H, W, C] each
        parts.append(image_digests(torch.from_numpy(np.stack(brought))).numpy())
    return np.concatenate(parts)


def _packed(digests: np.ndarray) -> np.ndarray:
    """Digests as single values that can be sorted, `[B]`."""
    return np.ascontiguousarray(digests).view(_VOID)[:, 0]
