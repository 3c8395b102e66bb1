"""Where pixels are stored: decoded in memory or a memory map, or encoded and decoded on demand; one interface."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from limbeck.data.encoded.decode import Target
from limbeck.data.encoded.decode_many import decode_many
from limbeck.data.encoded.images import EncodedImages

DIGEST_BYTES = 16


class Storage(ABC):
    """Pixels of N images of one shape, addressed by position 0..N-1."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    def is_decoded(self) -> bool:
        """Whether the pixels are there without decoding, in memory or in a memory map."""
        return False

    @abstractmethod
    def gather(self, positions: Tensor) -> Tensor:
        """The images at `positions` (int64 [B]) as uint8 [B, C, H, W]."""

    @abstractmethod
    def tensor(self) -> Tensor:
        """All images as uint8 [N, C, H, W]; no copy where they are in memory already."""

    @abstractmethod
    def digests(self, positions: Tensor) -> Tensor:
        """A 128-bit hash of the pixels of every image at `positions` (int64 [B]), as uint8 [B, 16]."""

    def stamp(self) -> list[object] | None:
        """Identity of the files that encoded pixels are read from, see `EncodedImages.stamp`; None without any."""
        return None

    @property
    def has_floats(self) -> bool:
        """Whether the 8-bit pixels are only the rounded form of floats."""
        return False

    def floats(self, positions: Tensor) -> Tensor:
        """The images at `positions` (int64 [B]) in units of [0, 1], floating [B, C, H, W]."""
        return self.gather(positions).float() / 255


class TensorStorage(Storage):
    """Decoded images in one tensor, which may itself be a memory map.

    Example:
        >>> TensorStorage(torch.zeros(5, 3, 8, 8, dtype=torch.uint8)).gather(torch.tensor([4, 0])).shape
        torch.Size([2, 3, 8, 8])

    Args:
        images: uint8 [N, C, H, W].
        digests: uint8 [N, 16], if they are known already.
    """

    def __init__(self, images: Tensor, digests: Tensor | None = None) -> None:
        assert images.dtype == torch.uint8
        assert images.ndim == 4
        self._images = images
        self._digests = DigestTable(len(images), digests)

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self._images.shape
        return channels, height, width

    @property
    def is_decoded(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._images)

    def gather(self, positions: Tensor) -> Tensor:
        return self._images[positions]

    def tensor(self) -> Tensor:
        return self._images

    def digests(self, positions: Tensor) -> Tensor:
        return self._digests.lookup(positions, self)


class FloatStorage(Storage):
    """Images of finer resolution or wider range than 8 bits, such as learned ones; `gather` gives their 8-bit form.

    Hashes are of the floats, so that images whose 8-bit forms are equal are still told apart.

    Args:
        images: floating [N, C, H, W] in units of [0, 1], which they may exceed.

    Example:
        >>> storage = FloatStorage(torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1))
        >>> storage.gather(torch.tensor([0])).flatten().tolist(), storage.floats(torch.tensor([0])).flatten().tolist()
        ([0, 128, 255], [-1.0, 0.5, 2.0])
    """

    def __init__(self, images: Tensor) -> None:
        assert images.is_floating_point()
        assert images.ndim == 4
        self._floats = images

    @property
    def shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self._floats.shape
        return channels, height, width

    @property
    def is_decoded(self) -> bool:
        return True

    @property
    def has_floats(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._floats)

    def gather(self, positions: Tensor) -> Tensor:
        return self._levels[positions]

    def tensor(self) -> Tensor:
        return self._levels

    def floats(self, positions: Tensor) -> Tensor:
        return self._floats[positions]

    def digests(self, positions: Tensor) -> Tensor:
        return self._hashes[positions]

    @cached_property
    def _levels(self) -> Tensor:
        return in_levels(self._floats)

    @cached_property
    def _hashes(self) -> Tensor:
        return image_digests(self._floats)


class EncodedStorage(Storage):
    """Images that stay encoded (JPEG, PNG ...) in files or a memory-mapped table and are decoded on access.

    Args:
        images: the encoded images.
        rows: int64 [N], which of the images, in order.
        target: shape and type that all images are converted to.
        digests: keeps the hashes, which take a pass over all images; by default in memory.
    """

    def __init__(
        self, images: EncodedImages, rows: np.ndarray, target: Target, digests: "DigestTable | None" = None
    ) -> None:
        self._encoded = images
        self._rows = rows
        self._target = target
        self._digests = DigestTable(len(rows)) if digests is None else digests

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._target.shape

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, positions: Tensor) -> Tensor:
        out = np.empty((len(positions), *self.shape), dtype=np.uint8)
        decode_many(self._encoded, self._rows[positions.numpy()], self._target, out)
        return torch.from_numpy(out)

    def tensor(self) -> Tensor:
        return self.gather(torch.arange(len(self)))

    def digests(self, positions: Tensor) -> Tensor:
        return self._digests.lookup(positions, self)

    def stamp(self) -> list[object] | None:
        return self._encoded.stamp()


class SubsetStorage(Storage):
    """Some images of another storage, by reference.

    Args:
        base: the storage that holds the pixels.
        rows: int64 [N], positions in `base`.
    """

    def __init__(self, base: Storage, rows: Tensor) -> None:
        if isinstance(base, SubsetStorage):
            base, rows = base._base, base._rows[rows]
        self._base = base
        self._rows = rows

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._base.shape

    @property
    def is_decoded(self) -> bool:
        return self._base.is_decoded

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, positions: Tensor) -> Tensor:
        return self._base.gather(self._rows[positions])

    def tensor(self) -> Tensor:
        return self._base.gather(self._rows)

    def digests(self, positions: Tensor) -> Tensor:
        return self._base.digests(self._rows[positions])

    def stamp(self) -> list[object] | None:
        return self._base.stamp()

    @property
    def has_floats(self) -> bool:
        return self._base.has_floats

    def floats(self, positions: Tensor) -> Tensor:
        return self._base.floats(self._rows[positions])


class DigestTable:
    """Hashes of a storage's images, each computed on first use; a subset only computes those of its own images.

    Args:
        count: N.
        known: uint8 [N, 16], hashes that are known already; zeros stand for unknown ones.
        save: called with uint8 [N, 16], zeros where unknown, when enough new hashes are worth writing.
    """

    _CHUNK = 4096
    _SAVED_SHARE = 1 / 64
    """Of all images; fewer new hashes than this are not worth writing the whole table."""

    def __init__(self, count: int, known: Tensor | None = None, save: Callable[[Tensor], None] | None = None) -> None:
        # NumPy's zeros take no memory until they are written, which helps for a few images of a huge set.
        self._values = torch.from_numpy(np.zeros((count, DIGEST_BYTES), np.uint8)) if known is None else known
        self._known = torch.from_numpy(np.zeros(count, bool)) if known is None else (known != 0).any(dim=1)
        self._save = save

    def __getstate__(self) -> dict[str, object]:
        """Pickles the known hashes without `save`: writing them to disk is left to this process."""
        return {**vars(self), "_save": None}

    def lookup(self, positions: Tensor, storage: Storage) -> Tensor:
        """uint8 [B, 16] of the images at `positions` (int64 [B]) of `storage`, which is read for unknown ones."""
        missing = positions[~self._known[positions]].unique()
        for start in range(0, len(missing), self._CHUNK):
            chunk = missing[start : start + self._CHUNK]
            self._values[chunk] = image_digests(storage.gather(chunk))
            self._known[chunk] = True
        if self._save is not None and len(missing) > 0 and len(missing) >= self._SAVED_SHARE * len(self._values):
            self._save(self._values)
        return self._values[positions]


def in_levels(images: Tensor) -> Tensor:
    """Floating images in units of [0, 1] rounded to 8 bits, uint8 of the same shape.

    Example:
        >>> in_levels(torch.tensor([-0.1, 0.2, 1.5])).tolist()
        [0, 51, 255]
    """
    return (images.float() * 255).round_().clamp_(0, 255).to(torch.uint8)


def image_digests(images: Tensor) -> Tensor:
    """blake2b hash of each of `images` ([B, C, H, W] of any type), as uint8 [B, 16]."""
    rows = images.contiguous().flatten(1).view(torch.uint8).numpy()
    joined = b"".join(hashlib.blake2b(row, digest_size=DIGEST_BYTES).digest() for row in rows)
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8).view(-1, DIGEST_BYTES)
