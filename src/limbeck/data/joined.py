"""Images of several sets as one set, wherever their pixels are stored."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.storage import DIGEST_BYTES, Storage
from limbeck.errors import UserError

_MOST = 2**63 - 1


def join(
    sets: Sequence[ImageSet],
    places: Tensor | Sequence[int],
    positions: Tensor | Sequence[int],
    *,
    ids: Tensor | Sequence[int],
    classes: Sequence[str],
    name: str,
) -> ImageSet:
    """Images of several sets, in any order, as one set without labels; no pixel is copied or read.

    What a set keeps memory-mapped or encoded stays so, and is only read on access.

    Args:
        sets: of images of one shape, at least one.
        places: int64 [N], which of the sets each image is from.
        positions: int64 [N], where it stands in that set.
        ids: int64 [N], distinct; see `content_ids`.
        classes: names of the classes that students learn on these images.
        name: what reports call the set.

    Raises:
        UserError: no sets, images of several shapes, a place or position out of range, or see `ImageSet`.

    Example:
        >>> both = join([images, test], [1, 0, 1], [5, 5, 7], ids=[3, 1, 2], classes=images.classes, name="both")
        >>> torch.equal(both.gather(torch.tensor([2, 1])), torch.cat([test.tensor()[7:8], images.tensor()[5:6]]))
        True
    """
    if not sets:
        raise UserError("`sets` must be at least one, got none.")
    odd = next((images for images in sets if images.shape != sets[0].shape), None)
    if odd is not None:
        raise UserError(
            f"`sets` must hold images of one shape, got {list(sets[0].shape)} of {sets[0].name!r} and "
            f"{list(odd.shape)} of {odd.name!r}; load them with one `size` and one `channels`."
        )
    where, at = (torch.as_tensor(values, dtype=torch.int64) for values in (places, positions))
    if where.ndim != 1 or where.shape != at.shape:
        raise UserError(
            f"`places` and `positions` must be [N], one of each for every image, got {list(where.shape)} and "
            f"{list(at.shape)}."
        )
    _check_within(where, torch.tensor(len(sets)), "places")
    _check_within(at, torch.tensor([len(images) for images in sets])[where], "positions")
    storage = JoinedStorage([images.storage for images in sets], where, at)
    return ImageSet(storage, None, ids=ids, classes=classes, name=name)


def content_ids(digests: Tensor) -> Tensor:
    """Ids of images by content: the first 63 bits of their hashes, whatever set they are from.

    Args:
        digests: uint8 [N, 16], see `ImageSet.digests`.

    Returns:
        int64 [N], none negative; equal for equal images; among N different ones two collide with probability of about
            N^2 / 2^64.

    Example:
        >>> content_ids(torch.tensor([[255] * 16, [1] + [0] * 15], dtype=torch.uint8))
        tensor([9223372036854775807,                   1])
    """
    if digests.dtype != torch.uint8 or digests.ndim != 2 or digests.shape[1] != DIGEST_BYTES:
        raise UserError(
            f"`digests` must be uint8 [N, {DIGEST_BYTES}], got {digests.dtype} {list(digests.shape)}; "
            "`ImageSet.digests` gives them."
        )
    halves = np.ascontiguousarray(digests.numpy()).view("<i8")  # [N, 2], the same on any machine
    return torch.from_numpy((halves[:, 0] & _MOST).astype(np.int64))


class JoinedStorage(Storage):
    """Some images of several storages, by reference.

    Args:
        parts: of one shape, at least one.
        places: int64 [N], which of them each image is from.
        positions: int64 [N], where it stands there.
    """

    def __init__(self, parts: Sequence[Storage], places: Tensor, positions: Tensor) -> None:
        self._parts = tuple(parts)
        self._places = places
        self._positions = positions

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._parts[0].shape

    @property
    def is_decoded(self) -> bool:
        return all(self._parts[place].is_decoded for place in self._places.unique().tolist())

    def __len__(self) -> int:
        return len(self._places)

    def gather(self, positions: Tensor) -> Tensor:
        return self._collect(positions, self.shape, lambda part, rows: part.gather(rows))

    def tensor(self) -> Tensor:
        return self.gather(torch.arange(len(self)))

    def digests(self, positions: Tensor) -> Tensor:
        return self._collect(positions, (DIGEST_BYTES,), lambda part, rows: part.digests(rows))

    def stamp(self) -> list[object] | None:
        stamps = [self._parts[place].stamp() or [] for place in self._places.unique().tolist()]
        return [entry for stamp in stamps for entry in stamp] or None

    @property
    def has_floats(self) -> bool:
        return any(self._parts[place].has_floats for place in self._places.unique().tolist())

    def floats(self, positions: Tensor) -> Tensor:
        return self._collect(positions, self.shape, lambda part, rows: part.floats(rows).float(), torch.float32)

    def _collect(
        self,
        positions: Tensor,
        shape: tuple[int, ...],
        ask: Callable[[Storage, Tensor], Tensor],
        dtype: torch.dtype = torch.uint8,
    ) -> Tensor:
        """[B, *shape]: what `ask` gives for each part's own images among `positions` (int64 [B])."""
        places, rows = self._places[positions], self._positions[positions]
        out = torch.empty(len(positions), *shape, dtype=dtype)
        for place in places.unique().tolist():
            chosen = (places == place).nonzero()[:, 0]
            out[chosen] = ask(self._parts[place], rows[chosen])
        return out


def _check_within(values: Tensor, limits: Tensor, argument: str) -> None:
    wrong = ((values < 0) | (values >= limits)).nonzero()[:, 0]
    if len(wrong):
        row = int(wrong[0])
        limit = int(limits.expand_as(values)[row])
        raise UserError(f"`{argument}` must lie in 0..{limit - 1}, got {int(values[row])} for image {row}.")
