"""Opening the data sets that images are borrowed from, in one shape and without excluded classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import first_of, load_first
from limbeck.data.streaming import StreamedSet, open_streamed
from limbeck.errors import UserError
from limbeck.progress import Progress, Silent
from limbeck.transfer.borrow.exclusion import PoolClasses, of_all_pools, of_own_settings, of_teacher
from limbeck.transfer.borrow.pool_names import distinct_names
from limbeck.transfer.borrow.settings import KNOWN, PoolSettings
from limbeck.transfer.class_names import known_as

__all__ = ["Pool", "known_as", "open_pools"]


_OF_ANY_IMAGES = {"name", "images", "exclude"}
"""Settings that also apply to pools passed as Python objects."""


@dataclass(frozen=True)
class Pool:
    """Images that may be borrowed.

    Attributes:
        name: distinct from those of other pools.
        settings: by which it was opened.
        images: uint8 in the student's shape (C, H, W), without excluded classes; ids, classes and labels are the data
            set's own, whatever was excluded; labels are None if it has none.
        excluded: excluded class -> number of its images.
        unreadable: number of images left out because they cannot be decoded.
        whole: the images including those of excluded classes; None if no class is excluded.
    """

    name: str
    settings: PoolSettings
    images: ImageSet
    excluded: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0
    whole: ImageSet | None = None

    @property
    def scored(self) -> ImageSet:
        """The images to score: including excluded classes, so that other exclusions need no further teacher passes."""
        return self.images if self.whole is None else self.whole

    @property
    def read(self) -> int:
        """Number of images that were read."""
        return len(self.images) + sum(self.excluded.values()) + self.unreadable


def open_pools(
    settings: Sequence[PoolSettings],
    shape: tuple[int, int, int],
    *,
    exclude: Sequence[str] | str = (),
    teacher_classes: Sequence[str] = (),
    progress: Progress | None = None,
    handed: Mapping[str, ImageSet] | None = None,
) -> tuple[Pool, ...]:
    """Opens all pools; images are scaled to cover the student's shape, centre-cropped, and converted to its channels.

    Sets above 4 GiB stay encoded and are decoded on access. Labels that cannot be numbered are ignored with a warning,
    as nothing is learned from them.

    Args:
        settings: of the pools, at least one.
        shape: (C, H, W) of the student's images.
        exclude: names of classes, in any spelling, to exclude from every pool that has them; or "known" for all that
            `known_as` finds among `teacher_classes`.
        teacher_classes: names of the teacher's classes.
        progress: reports progress.
        handed: images that were passed as Python objects, by the names that the settings use for them.

    Raises:
        UserError: a pool cannot be opened, has no class of a name to exclude, or no other class than the excluded ones.

    Example:
        >>> pool, = open_pools([PoolSettings(name="digits", exclude=["7"])], (3, 16, 16))
        >>> pool.images.shape, pool.excluded
        ((3, 16, 16), {'7': 143})
    """
    if not settings:
        raise UserError("`pools` must be at least one, got none.")
    watch = progress or Silent()
    over_all = [exclude] if isinstance(exclude, str) and exclude != KNOWN else exclude
    names = distinct_names(settings, handed)
    watch.begin("opening pools", len(settings))
    try:
        opened = [_open(pool_settings, shape, handed or {}) for pool_settings in settings]
        _check_excluded([_classes(*row) for row in zip(names, settings, opened, strict=True)], over_all)
        pools: list[Pool] = []
        for name, pool_settings, source in zip(names, settings, opened, strict=True):
            images = source.read(watch) if isinstance(source, StreamedSet) else source
            pools.append(Pool(name, pool_settings, images, unreadable=images.skipped))
            watch.update(len(pools), name)
    finally:
        watch.end()
    classes = [PoolClasses(pool.name, _labelled(pool.images), pool.settings.exclude) for pool in pools]
    if over_all == KNOWN:
        more = [of_teacher(pool, teacher_classes) for pool in classes]
    else:
        more = of_all_pools(over_all, classes)
    left_out = [of_own_settings(pool) | numbers for pool, numbers in zip(classes, more, strict=True)]
    return tuple(_without(pool, numbers) for pool, numbers in zip(pools, left_out, strict=True))


def _open(
    settings: PoolSettings, shape: tuple[int, int, int], handed: Mapping[str, ImageSet]
) -> ImageSet | StreamedSet:
    """The images, or the stream to read them from, as that may take long."""
    if settings.name in handed:
        return _handed(settings, shape, handed[settings.name])
    options = {
        "count": settings.images,
        "shape": shape,
        **settings.model_dump(include={"image_column", "label_column", "skip_unreadable", "scale"}),
    }
    if settings.streaming:
        return open_streamed(settings.name, settings.split, **options)
    return load_first(settings.name, settings.split, seed=settings.seed, **options)


def _handed(settings: PoolSettings, shape: tuple[int, int, int], images: ImageSet) -> ImageSet:
    fields = {name: field for name, field in PoolSettings.model_fields.items() if name not in _OF_ANY_IMAGES}
    of_files = [f"`{name}`" for name, field in fields.items() if getattr(settings, name) != field.default]
    if of_files:
        raise UserError(
            f"{' and '.join(of_files)} of pool {images.name!r} must be left out, since its images were handed over and "
            "are not read from files."
        )
    return first_of(images, count=settings.images, shape=shape)


def _classes(name: str, settings: PoolSettings, opened: ImageSet | StreamedSet) -> PoolClasses | None:
    """The classes of a pool; None if they are unknown until the stream is read."""
    names = opened.classes if isinstance(opened, StreamedSet) else _labelled(opened)
    return None if names is None else PoolClasses(name, names, settings.exclude)


def _labelled(images: ImageSet) -> tuple[str, ...]:
    return () if images.labels is None else images.classes


def _check_excluded(pools: Sequence[PoolClasses | None], over_all: Sequence[str]) -> None:
    """Raises a UserError before streams are read if it is already known that there are no such classes."""
    known = [pool for pool in pools if pool is not None]
    for pool in known:
        of_own_settings(pool)
    if len(known) == len(pools) and over_all != KNOWN:
        of_all_pools(over_all, known)


def _without(pool: Pool, numbers: set[int]) -> Pool:
    images = pool.images
    if not numbers or images.labels is None:
        return pool
    counts = images.class_counts()
    excluded = {images.classes[number]: int(counts[number]) for number in sorted(numbers) if counts[number]}
    keep = ~torch.isin(images.labels, torch.tensor(sorted(numbers)))
    if not keep.any():
        raise UserError(
            f"pool {pool.name!r} holds no images but those of classes that are left out "
            f"({len(images):,} of {len(excluded)} classes); leave the pool out, or exclude fewer of its classes."
        )
    if keep.all():
        return pool
    return replace(pool, images=images.subset(images.ids[keep]), excluded=excluded, whole=images)
