"""The data sets that images are borrowed from: opened, brought to one shape, and freed of what is left out."""

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
"""Settings that pools have that were handed over in Python, too."""


@dataclass(frozen=True)
class Pool:
    """Images that may be borrowed.

    Attributes:
        name: no other pool's.
        settings: what it was opened by.
        images: uint8 of the student's (C, H, W), without those of excluded classes; ids, classes and labels are the
            data set's own, whatever was left out; labels None where it has none.
        excluded: class -> its images that were left out.
        unreadable: images that were left out because they cannot be decoded.
        whole: the images with those of excluded classes; None where no class is left out.
    """

    name: str
    settings: PoolSettings
    images: ImageSet
    excluded: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0
    whole: ImageSet | None = None

    @property
    def scored(self) -> ImageSet:
        """What the teacher is asked about: excluded classes, too, so that leaving out others asks it nothing more."""
        return self.images if self.whole is None else self.whole

    @property
    def read(self) -> int:
        """Images that were looked at."""
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
    """All pools, each image scaled until it covers the student's and cropped to its centre, gray or in colour as that.

    Sets above 4 GiB stay encoded where they are and are decoded when they are asked for. Labels that cannot be numbered
    are left aside with a warning: nothing is taught of them.

    Args:
        settings: of the pools, at least one.
        shape: (C, H, W) of the student's images.
        exclude: classes that are left out of every pool that has one of that name, in whatever writing; or "known", all
            that `known_as` finds among `teacher_classes`.
        teacher_classes: names of the classes that the teacher tells apart.
        progress: who watches.
        handed: images that were handed over in Python, by the names that the settings have for them.

    Raises:
        UserError: a pool cannot be opened, has no such class as is to be left out, or nothing else.

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
    """The images, or the stream that they will be read from, which may take long."""
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
    """None where only reading the stream will tell."""
    names = opened.classes if isinstance(opened, StreamedSet) else _labelled(opened)
    return None if names is None else PoolClasses(name, names, settings.exclude)


def _labelled(images: ImageSet) -> tuple[str, ...]:
    return () if images.labels is None else images.classes


def _check_excluded(pools: Sequence[PoolClasses | None], over_all: Sequence[str]) -> None:
    """Raises a UserError before streams are read where it is known already that there are no such classes."""
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
