"""The data sets that images are borrowed from: opened, brought to one shape, and freed of what is left out."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import first_of, load_first
from limbeck.data.streaming import load_stream
from limbeck.errors import UserError, closest
from limbeck.progress import Progress, Silent
from limbeck.transfer.borrow.class_names import alike, known_as, untold
from limbeck.transfer.borrow.pool_names import distinct_names
from limbeck.transfer.borrow.settings import KNOWN, PoolSettings

__all__ = ["Pool", "known_as", "open_pools"]


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
    """

    name: str
    settings: PoolSettings
    images: ImageSet
    excluded: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0

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
    opened: list[Pool] = []
    watch.begin("opening pools", len(settings))
    try:
        for name, one in zip(distinct_names(settings, handed), settings, strict=True):
            images = _load(one, shape, watch, handed or {})
            opened.append(Pool(name, one, images, unreadable=images.skipped))
            watch.update(len(opened), name)
    finally:
        watch.end()
    out = [set(_numbers(pool)) for pool in opened]
    if exclude == KNOWN:
        for pool, numbers in zip(opened, out, strict=True):
            numbers |= _known(pool, teacher_classes)
    else:
        for numbers, more in zip(out, _named([exclude] if isinstance(exclude, str) else exclude, opened), strict=True):
            numbers |= more
    return tuple(_without(pool, numbers) for pool, numbers in zip(opened, out, strict=True))


def _load(
    settings: PoolSettings, shape: tuple[int, int, int], watch: Progress, handed: Mapping[str, ImageSet]
) -> ImageSet:
    if settings.name in handed:
        return _handed(settings, shape, handed[settings.name])
    options = {
        "count": settings.images,
        "shape": shape,
        **settings.model_dump(include={"image_column", "label_column", "skip_unreadable", "scale"}),
    }
    if settings.streaming:
        return load_stream(settings.name, settings.split, **options, progress=watch)
    return load_first(settings.name, settings.split, **options)


def _handed(settings: PoolSettings, shape: tuple[int, int, int], images: ImageSet) -> ImageSet:
    of_files = ("streaming", "image_column", "label_column", "scale")
    given = [f"`{name}`" for name in of_files if getattr(settings, name) not in (None, False)]
    if given:
        raise UserError(
            f"{' and '.join(given)} of pool {images.name!r} must be left out, since its images were handed over and "
            "are not read from files."
        )
    return first_of(images, count=settings.images, shape=shape)


def _numbers(pool: Pool) -> set[int]:
    """The classes that the pool's own settings leave out."""
    wanted = pool.settings.exclude
    if wanted and pool.images.labels is None:
        raise UserError(
            f"`exclude` of pool {pool.name!r} needs labels, and it has none; leave it out, or name their column with "
            "`label_column`."
        )
    return {number for one in wanted for number in _found(one, pool)}


def _found(wanted: str | int, pool: Pool) -> list[int]:
    classes = pool.images.classes
    if isinstance(wanted, int):
        return [_checked(wanted, pool)]
    found = alike(wanted, classes)
    if not found:
        raise UserError(
            f"`exclude` of pool {pool.name!r} must name classes of it, got {wanted!r}{_near(wanted, [pool])}."
        )
    return found


def _checked(number: int, pool: Pool) -> int:
    classes = pool.images.classes
    what = f"`exclude` of pool {pool.name!r}"
    if not 0 <= number < len(classes):
        raise UserError(f"{what} must lie in 0..{len(classes) - 1}, or name classes as text, got {number}.")
    if str(number) in classes and classes[number] != str(number):
        raise UserError(
            f"{what}: {number} is the number of class {classes[number]!r} and the name of another; give names, as "
            f"text: {classes[number]!r} or {str(number)!r}."
        )
    return number


def _named(exclude: Sequence[str], pools: Sequence[Pool]) -> list[set[int]]:
    """Of each pool, the classes that are called so."""
    found = [{name: alike(name, pool.images.classes) for name in exclude} for pool in pools]
    nowhere = [name for name in exclude if not any(one[name] for one in found)]
    if nowhere:
        raise UserError(
            "`exclude` must name classes of the pools, got "
            f"{', '.join(f'{name!r}{_near(name, pools)}' for name in nowhere)}. Leave out what no pool has."
        )
    return [{number for numbers in one.values() for number in numbers} for one in found]


def _near(wanted: str, pools: Sequence[Pool]) -> str:
    """The nearest names, and whose they are where there are several pools; of few, all."""
    owners = {name: pool.name for pool in reversed(pools) for name in pool.images.classes}
    near = closest(wanted, owners) or (list(owners) if len(owners) <= 12 else [])
    if not near:
        return ""
    names = " or ".join(f"{name!r}{f' of {owners[name]!r}' if len(pools) > 1 else ''}" for name in near)
    return f" (did you mean {names}?)"


def _known(pool: Pool, teacher_classes: Sequence[str]) -> set[int]:
    reason = "it has no labels" if pool.images.labels is None else untold(pool.images.classes, teacher_classes)
    if reason:
        warnings.warn(
            f"names do not tell which classes of pool {pool.name!r} the teacher knows, so none of them is left out: "
            f"{reason}. Name those to leave out in its `exclude`.",
            stacklevel=3,
        )
        return set()
    known = known_as(pool.images.classes, teacher_classes)
    return {number for number, name in enumerate(pool.images.classes) if name in known}


def _without(pool: Pool, numbers: set[int]) -> Pool:
    images = pool.images
    if not numbers or images.labels is None:
        return pool
    counts = images.class_counts()
    excluded = {images.classes[number]: int(counts[number]) for number in sorted(numbers) if counts[number]}
    keep: Tensor = ~torch.isin(images.labels, torch.tensor(sorted(numbers)))
    if not keep.any():
        raise UserError(
            f"pool {pool.name!r} holds no images but those of classes that are left out "
            f"({len(images):,} of {len(excluded)} classes); leave the pool out, or exclude fewer of its classes."
        )
    left = images if keep.all() else images.subset(images.ids[keep])
    return Pool(pool.name, pool.settings, left, excluded, pool.unreadable)
