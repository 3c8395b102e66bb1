"""`ImageSet`: images, labels and stable ids behind one interface, wherever the pixels live."""

import copy
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from limbeck.data.class_names import check_class_names
from limbeck.data.origin import Origin
from limbeck.data.storage import FloatStorage, Storage, SubsetStorage, TensorStorage
from limbeck.data.torch_dataset import EpochLoader, Shown, TorchDataset, dataloader
from limbeck.errors import UserError
from limbeck.randomness import derive_seed, words


class ImageSet:
    """N images of one shape with labels, class names and ids that identify each image permanently.

    A subset refers to its parent's pixels and keeps the ids, so that what is known about an image (its score, its
    cached teacher logits) is found again in every subset.

    Args:
        images: uint8 [N, C, H, W] as a tensor or array, or a `Storage`; C is 1 or 3.
        labels: int64 [N] in 0..K-1, or None.
        ids: int64 [N], distinct; default 0..N-1.
        classes: the K class names; default "0", "1" ... up to the largest label.
        name: what reports call the set.
        fingerprint: hash of the content, where the caller knows it; see `fingerprint`.
        skipped: how many unreadable images were left out.

    Raises:
        UserError: no images, not uint8, not [N, C, H, W], another number of labels or ids, labels out of range,
            ids not distinct.

    Example:
        >>> images = ImageSet(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
        >>> len(images), images.shape, images.classes
        (4, (1, 8, 8), ('0', '1'))
        >>> images.subset([3, 0]).labels
        tensor([1, 0])
    """

    def __init__(
        self,
        images: Tensor | np.ndarray | Storage,
        labels: Tensor | np.ndarray | Sequence[int] | None = None,
        *,
        ids: Tensor | np.ndarray | Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
        name: str = "images",
        fingerprint: str | None = None,
        skipped: int = 0,
    ) -> None:
        self._storage = images if isinstance(images, Storage) else TensorStorage(_checked_images(images))
        count = len(self._storage)
        if count == 0:
            raise UserError(f"`images` of {name!r} must hold at least one image, got none.")
        self.name = name
        self.skipped = skipped
        self._origin: Origin | None = None
        self.ids = torch.arange(count) if ids is None else _int64(ids, "ids", count)
        self.labels = None if labels is None else _int64(labels, "labels", count)
        self.classes = _checked_classes(self.labels, classes)
        self._fingerprint = fingerprint
        self._order = self.ids.argsort()
        self._sorted_ids = self.ids[self._order]
        repeated = self._sorted_ids[1:][self._sorted_ids.diff() == 0]
        if len(repeated):
            raise UserError(f"`ids` must be distinct, got {int(repeated[0])} more than once.")

    @classmethod
    def of_floats(
        cls,
        images: Tensor,
        labels: Tensor | np.ndarray | Sequence[int] | None = None,
        *,
        ids: Tensor | np.ndarray | Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
        name: str = "images",
    ) -> "ImageSet":
        """Images that are not 8-bit, such as learned ones: students are taught on the floats as they are.

        Everything else, such as reports and makers of transfer sets, sees their 8-bit form.

        Args:
            images: floating [N, C, H, W] in units of [0, 1], which they may exceed; C is 1 or 3.
            labels, ids, classes, name: as of any set.

        Raises:
            UserError: numbers that are not finite, or see `ImageSet`.

        Example:
            >>> learned = ImageSet.of_floats(torch.full((2, 3, 8, 8), 1.7), [0, 1])
            >>> learned.has_floats, int(learned.tensor().max())
            (True, 255)
        """
        if not isinstance(images, Tensor) or not images.is_floating_point():
            got = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise UserError(f"`images` must be a tensor of floats in units of [0, 1], got {got}.")
        _check_layout(images)
        bad = (~images.isfinite()).flatten(1).any(dim=1).nonzero()
        if len(bad):
            raise UserError(f"`images` must be finite, image {int(bad[0])} is not.")
        return cls(FloatStorage(images.detach().cpu()), labels, ids=ids, classes=classes, name=name)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self._storage.shape

    def __len__(self) -> int:
        return len(self._storage)

    def __repr__(self) -> str:
        channels, height, width = self.shape
        kind = f"{self.num_classes} classes" if self.labels is not None else "unlabelled"
        return f"ImageSet({self.name!r}, {len(self):,} images {channels}x{height}x{width}, {kind})"

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits of pixels, ids, labels and their order: equal exactly when all of these are equal.

        It does not depend on where the pixels live, nor on whether the set is a subset. The first use reads every
        image once.
        """
        if self._fingerprint is not None:
            return self._fingerprint
        digest = fingerprint_begun(self.shape, len(self), labelled=self.labels is not None)
        digest.update(self.digests().numpy().tobytes())
        digest.update(self.ids.numpy().tobytes())
        if self.labels is not None:
            digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    @property
    def origin(self) -> Origin | None:
        """What loads exactly these images again; None for a subset, for changed labels, and for images that
        `limbeck.load` did not load by name."""
        return self._origin

    def with_origin(self, origin: Origin | None) -> "ImageSet":
        """The same images with a known origin."""
        copied = copy.copy(self)
        copied._origin = origin
        return copied

    @property
    def storage(self) -> Storage:
        """Where the pixels live."""
        return self._storage

    @property
    def is_decoded(self) -> bool:
        """Whether the pixels are there without decoding, in memory or in a memory map."""
        return self._storage.is_decoded

    def digests(self) -> Tensor:
        """A 128-bit hash of the pixels of every image, uint8 [N, 16]; the first use reads these images once."""
        return self._storage.digests(torch.arange(len(self)))

    def gather(self, positions: Tensor) -> Tensor:
        """The images at `positions` (int64 [B], each in 0..N-1) as uint8 [B, C, H, W]."""
        return self._storage.gather(positions)

    def tensor(self) -> Tensor:
        """All images as uint8 [N, C, H, W] in memory; no copy if they are there already, so do not write into it."""
        return self._storage.tensor()

    @property
    def has_floats(self) -> bool:
        """Whether there are floats, of which the pixels are the 8-bit form; see `of_floats`."""
        return self._storage.has_floats

    def floats(self, positions: Tensor | None = None) -> Tensor:
        """The images at `positions` (int64 [B]), or all of them, floating [B, C, H, W] in units of [0, 1].

        For a set that has floats these are returned, neither rounded nor clamped.
        """
        return self._storage.floats(torch.arange(len(self)) if positions is None else positions)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions int64 [B], images uint8 [B, C, H, W]) in order; the last batch may be smaller."""
        if batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, got {batch_size}.")
        for positions in torch.arange(len(self)).split(batch_size):
            yield positions, self.gather(positions)

    def positions(self, ids: Tensor | Sequence[int]) -> Tensor:
        """Where each of `ids` (int64 [B]) stands in this set, as int64 [B].

        Raises:
            UserError: an id that the set does not have.
        """
        ids = torch.as_tensor(ids, dtype=torch.int64).contiguous()
        places = torch.searchsorted(self._sorted_ids, ids).clamp(max=len(self) - 1)
        unknown = ids[self._sorted_ids[places] != ids]
        if len(unknown):
            raise UserError(
                f"`ids` must be ids of {self.name!r} ({len(self)} images, ids {int(self._sorted_ids[0])} to "
                f"{int(self._sorted_ids[-1])}); {len(unknown)} are not, the first is {int(unknown[0])}."
            )
        return self._order[places]

    def subset(self, ids: Tensor | Sequence[int]) -> "ImageSet":
        """The images with `ids`, in the order given; pixels are not copied.

        Raises:
            UserError: an unknown id, one given twice, or none at all.
        """
        positions = self.positions(ids)
        return ImageSet(
            SubsetStorage(self._storage, positions),
            None if self.labels is None else self.labels[positions],
            ids=self.ids[positions],
            classes=self.classes,
            name=self.name,
        )

    def with_labels(self, labels: Tensor | Sequence[int] | None, classes: Sequence[str]) -> "ImageSet":
        """The same images, pixels and ids, with other labels (int64 [N] in 0..K-1, or None) and K class names.

        Raises:
            UserError: see `ImageSet`.
        """
        return ImageSet(self._storage, labels, ids=self.ids, classes=classes, name=self.name, skipped=self.skipped)

    def torch_dataset(self, **shown: Unpack[Shown]) -> TorchDataset:
        """The images as a torch `Dataset` of items (image, target, id), in views of limbeck's; see `TorchDataset`.

        Example:
            >>> image, label, id = images.torch_dataset(views="pad-crop")[5]
            >>> image.shape, int(label) == int(images.labels[5]), id
            (torch.Size([1, 8, 8]), True, 5)
        """
        return TorchDataset(self, **shown)

    def dataloader(
        self, *, batch_size: int, shuffle: bool = True, workers: int = 0, **shown: Unpack[Shown]
    ) -> EpochLoader:
        """Batches of `torch_dataset` in an order of the epoch's own; see `limbeck.data.torch_dataset.dataloader`.

        Example:
            >>> [len(ids) for shown, labels, ids in images.dataloader(batch_size=150)]
            [150, 50]
        """
        return dataloader(self, batch_size=batch_size, shuffle=shuffle, workers=workers, **shown)

    def class_counts(self) -> Tensor:
        """Images of each class, int64 [K].

        Raises:
            UserError: the set has no labels.
        """
        if self.labels is None:
            raise UserError(f"`class_counts` needs labels, {self.name!r} has none.")
        return torch.bincount(self.labels, minlength=self.num_classes)

    def split(self, held_out: int | float, *, seed: int) -> tuple["ImageSet", "ImageSet"]:
        """(rest, held out), stratified by label; which images depends on ids and seed alone, not on their order.

        Args:
            held_out: a count in 1..N-1, or a share in (0, 1) of the images, rounded.
            seed: any integer.

        Raises:
            UserError: `held_out` leaves either part empty.

        Example:
            >>> rest, validation = images.split(0.1, seed=0)
            >>> len(rest), len(validation)
            (180, 20)
        """
        count = held_out if isinstance(held_out, int) else round(held_out * len(self))
        if not 0 < count < len(self):
            raise UserError(
                f"`held_out` must be a count in 1..{len(self) - 1} or a share of {len(self)} images that leaves both "
                f"parts at least one, got {held_out}."
            )
        groups = torch.zeros_like(self.ids) if self.labels is None else self.labels
        taken = _stratified(groups, words(derive_seed(seed, "split"), 0, self.ids), count)
        return self.subset(self.ids[~taken]), self.subset(self.ids[taken])


def unreadable(count: int) -> str:
    """Images that were left out, in words.

    Example:
        >>> unreadable(1), unreadable(1200)
        ('1 unreadable image', '1,200 unreadable images')
    """
    return f"{count:,} unreadable image{'' if count == 1 else 's'}"


def fingerprint_begun(shape: tuple[int, int, int], count: int, *, labelled: bool) -> "hashlib.blake2b":
    """The hash that `ImageSet.fingerprint` begins with; digests uint8 `[N, 16]`, ids and labels int64 `[N]` follow.

    For callers that have these without the images.
    """
    return hashlib.blake2b(repr((tuple(shape), count, labelled)).encode(), digest_size=16)


def _stratified(groups: Tensor, keys: Tensor, count: int) -> Tensor:
    """bool [N]: `count` elements, each group's share of them (largest remainders first), those of smallest keys."""
    sizes = torch.bincount(groups)
    exact = sizes.double() * count / len(groups)
    quotas = exact.long()
    remainders = (exact - quotas).argsort(descending=True, stable=True)
    quotas[remainders[: count - int(quotas.sum())]] += 1
    order = keys.argsort()
    order = order[groups[order].argsort(stable=True)]
    starts = sizes.cumsum(0) - sizes
    rank = torch.arange(len(groups)) - starts.repeat_interleave(sizes)
    taken = torch.zeros(len(groups), dtype=torch.bool)
    taken[order] = rank < quotas.repeat_interleave(sizes)
    return taken


def _checked_images(images: Tensor | np.ndarray) -> Tensor:
    images = torch.as_tensor(images)
    if images.dtype != torch.uint8:
        raise UserError(
            f"`images` must be uint8 in 0..255, got {images.dtype}; multiply floats in [0, 1] by 255 and round, or "
            "keep learned ones as they are by `ImageSet.of_floats`."
        )
    _check_layout(images)
    return images


def _check_layout(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(f"`images` must be [N, C, H, W] with C 1 or 3, got {list(images.shape)}.")


def _int64(values: Tensor | np.ndarray | Sequence[int], argument: str, count: int) -> Tensor:
    values = torch.as_tensor(values)
    if values.dtype.is_floating_point or values.dtype.is_complex or values.dtype == torch.bool:
        raise UserError(f"`{argument}` must be integers, got {values.dtype}.")
    if values.shape != (count,):
        raise UserError(f"`{argument}` must be [{count}], one for each image, got {list(values.shape)}.")
    return values.to(torch.int64)


def _checked_classes(labels: Tensor | None, classes: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(classes or ())
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(f"`classes` must be distinct, got {repeated[0]!r} twice.")
    check_class_names(names, "`classes`")
    if labels is None:
        return names
    low, high = int(labels.min()), int(labels.max())
    names = names if classes is not None else tuple(str(label) for label in range(high + 1))
    if low < 0 or high >= len(names):
        raise UserError(f"`labels` must lie in 0..{len(names) - 1} ({len(names)} classes), got {low}..{high}.")
    return names
