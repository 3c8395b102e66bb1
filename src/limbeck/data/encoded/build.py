"""From encoded images to an `ImageSet`: settle the shape, then decode into memory or leave encoded."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from limbeck.caching import cache_key
from limbeck.data.class_names import check_class_names, composed
from limbeck.data.decoded import digest_table, read_decoded, write_decoded
from limbeck.data.encoded.decode import Target, Unreadable, header
from limbeck.data.encoded.decode_many import decode_many, unreadable
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.image_set import ImageSet
from limbeck.data.pixel_range import Largest, check_range
from limbeck.data.storage import EncodedStorage, Storage, TensorStorage
from limbeck.errors import UserError, unknown_name

IN_MEMORY_LIMIT = 4 * 2**30
"""Bytes of decoded pixels up to which a set is held in memory unless the caller says otherwise."""

CACHE_FROM_SECONDS = 1.0
"""How long decoding must have taken for its result to be worth the disk."""

_LOOK_AT_ALL = 20_000
_LOOK_AT = 512
_LOOK_AT_VALUES = 32
"""How many images of a set that stays encoded are decoded to look at their values."""


COVERED = "each image is scaled until it covers that square and cropped to its centre"
_USUAL_SIZES = (224, 128, 96, 64, 32)


class SizesDiffer(UserError):
    """Images of several sizes, and no size to bring them to.

    Attributes:
        found: the sizes found, in a few words.
        example: a side length in pixels that would do.
    """

    found = ""
    example = 0

    @classmethod
    def of(cls, where: str, sizes: Counter[tuple[int, int]]) -> Self:
        """The error for images called `where`; `sizes` counts how often each (H, W) was seen."""
        (height, width), count = sizes.most_common(1)[0]
        shorter = min(height, width)
        example = next((size for size in _USUAL_SIZES if size <= shorter), shorter)
        summary = f"{len(sizes)} sizes; {height}x{width} is the commonest, {count} of {sizes.total()} looked at"
        error = cls(
            f"`size` must be given for {where}, whose images differ in size ({summary}). For instance "
            f"`lb.load(..., size={example})` in Python, whose result goes wherever a name does, --size {example} on a "
            f"command line and `size: {example}` in a recipe: {COVERED}."
        )
        error.found, error.example = summary, example
        return error


@dataclass(frozen=True)
class LoadOptions:
    """What the caller of `load` asked for; see there."""

    size: tuple[int, int] | None = None
    channels: int | None = None
    skip_unreadable: bool = False
    in_memory: bool | None = None
    scale: float | None = None


def both_sides(size: object) -> tuple[int, int]:
    """(height, width) in pixels of a size that is either such a pair or one number for both.

    Raises:
        UserError: no such size.
    """
    both = (size, size) if isinstance(size, int) else size
    if (
        not isinstance(both, Sequence)
        or len(both) != 2
        or any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in both)
    ):
        raise UserError(f"`size` must be a number of pixels or (height, width), each at least 1, got {size!r}.")
    return both[0], both[1]


def build_image_set(
    encoded_set: EncodedSet,
    options: LoadOptions,
    *,
    name: str,
    keep: Sequence[str | int] | None = None,
    first: int | None = None,
    where: str | None = None,
) -> ImageSet:
    """The `ImageSet` of `encoded_set`: only its classes `keep` if given, renumbered in that order, and of those images
    only the first `first`; messages about their size call the images `where`, by default `name`.

    Raises:
        UserError: no images, an unreadable one, images of different sizes and no size, an unknown class, class names
            that cannot be told apart.
    """
    check_class_names(encoded_set.classes, f"classes of {name!r}")
    rows, labels, classes = _kept(encoded_set, keep, name)
    rows, labels = rows[:first], None if labels is None else labels[:first]
    if len(rows) == 0:
        raise UserError(f"{name!r} holds no images{'' if keep is None else ' of the `classes` asked for'}.")
    decoding = replace(options, scale=None) if encoded_set.scaled else options
    pixels = _pixels(encoded_set, decoding, rows, name, where or repr(name))
    check_range(encoded_set.seen if encoded_set.scaled else pixels.seen, options.scale, name, all_seen=pixels.all_seen)
    readable = pixels.readable
    return ImageSet(
        pixels.storage,
        None if labels is None else labels[readable],
        ids=(rows if encoded_set.ids is None else encoded_set.ids[rows])[readable],
        classes=classes,
        name=name,
        skipped=int((~readable).sum()),
    )


def _kept(
    encoded_set: EncodedSet, keep: Sequence[str | int] | None, name: str
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    rows = np.arange(len(encoded_set.images))
    if keep is None:
        return rows, encoded_set.labels, encoded_set.classes
    if encoded_set.labels is None:
        raise UserError(f"`classes` needs labels, {name!r} has none.")
    numbers = [class_number(wanted, encoded_set.classes) for wanted in keep]
    repeated = [encoded_set.classes[number] for number, count in Counter(numbers).items() if count > 1]
    if repeated:
        raise UserError(f"`classes` must be distinct, got {repeated[0]!r} more than once.")
    renumbered = np.full(len(encoded_set.classes), -1)
    renumbered[numbers] = np.arange(len(numbers))
    labels = renumbered[encoded_set.labels]
    return rows[labels >= 0], labels[labels >= 0], tuple(encoded_set.classes[number] for number in numbers)


def class_number(wanted: str | int, classes: tuple[str, ...]) -> int:
    """The number of a class, given its name in any Unicode form or the number itself.

    Raises:
        UserError: there is no such class, or a number that could also be meant as a name.
    """
    if isinstance(wanted, str):
        same = [number for number, name in enumerate(classes) if composed(name) == composed(wanted)]
        if not same:
            raise unknown_name("class", wanted, classes, "`classes` takes names or numbers of the set's classes.")
        return same[0]
    if isinstance(wanted, bool):
        raise UserError(f"`classes` takes names or numbers of the set's classes, got {wanted}.")
    is_name = str(wanted) in classes
    if not 0 <= wanted < len(classes):
        hint = f" There is a class of that name, which is text: {str(wanted)!r}." if is_name else ""
        raise UserError(f"`classes` must lie in 0..{len(classes) - 1}, got {wanted}.{hint}")
    if is_name and classes[wanted] != str(wanted):
        raise UserError(
            f"`classes` {wanted} is the number of class {classes[wanted]!r} and the name of another; give names, as "
            f"text: {classes[wanted]!r} or {str(wanted)!r}."
        )
    return wanted


@dataclass(frozen=True)
class _Pixels:
    """The pixels of some rows, which of them were readable (bool), and what `check_range` needs to know of them."""

    storage: Storage
    readable: np.ndarray
    seen: Sequence[Largest]
    all_seen: bool = True


def _pixels(encoded_set: EncodedSet, options: LoadOptions, rows: np.ndarray, name: str, where: str) -> _Pixels:
    key = _key(encoded_set, options, rows)
    if key is not None and options.in_memory is not False:
        cached = read_decoded(key)
        if cached is not None:
            return _Pixels(cached.storage, cached.readable, cached.seen)
    target = _target(encoded_set, options, rows, where)
    size = len(rows) * int(np.prod(target.shape))
    in_memory = size <= IN_MEMORY_LIMIT if options.in_memory is None else options.in_memory
    if not in_memory:
        return _encoded(encoded_set, options, rows, target, key, name)
    start = time.monotonic()
    images = np.empty((len(rows), *target.shape), dtype=np.uint8)
    seen: list[Largest] = []
    readable = decode_many(encoded_set.images, rows, target, images, skip_unreadable=options.skip_unreadable, seen=seen)
    images = images if readable.all() else images[readable]
    if not len(images):
        raise _none_readable(name, len(rows))
    if key is not None and time.monotonic() - start > CACHE_FROM_SECONDS:
        write_decoded(key, images, readable, seen, {"name": name, "shape": images.shape})
        cached = read_decoded(key)
        if cached is not None:
            return _Pixels(cached.storage, cached.readable, seen)
    return _Pixels(TensorStorage(torch.from_numpy(images)), readable, seen)


def _none_readable(name: str, count: int) -> UserError:
    return UserError(
        f"{name!r} holds no readable image: all {count} were skipped. Without `skip_unreadable` the first is told."
    )


def _encoded(
    encoded_set: EncodedSet, options: LoadOptions, rows: np.ndarray, target: Target, key: str | None, name: str
) -> _Pixels:
    """Pixels that stay encoded: all images are decoded once where broken ones are to be skipped, else only a few."""
    seen: list[Largest] = []
    readable = np.ones(len(rows), dtype=bool)
    looked_at = rows if options.skip_unreadable else _evenly_spaced(rows, _LOOK_AT_VALUES)
    decodable = _readable(encoded_set.images, looked_at, target, options.skip_unreadable, seen)
    if options.skip_unreadable:
        readable = decodable
        if not readable.any():
            raise _none_readable(name, len(rows))
    table = None if key is None else digest_table(key, int(readable.sum()))
    storage = EncodedStorage(encoded_set.images, rows[readable], target, table)
    return _Pixels(storage, readable, seen, all_seen=len(looked_at) == len(rows))


def _key(encoded_set: EncodedSet, options: LoadOptions, rows: np.ndarray) -> str | None:
    stamp = encoded_set.images.stamp()
    if stamp is None:
        return None
    rows_hash = hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest()
    choices = [
        options.size,
        options.channels,
        options.skip_unreadable,
        options.scale,
        encoded_set.size,
        encoded_set.channels,
    ]
    return cache_key(stamp, rows_hash, choices)


def _target(encoded_set: EncodedSet, options: LoadOptions, rows: np.ndarray, where: str) -> Target:
    channels, scale = options.channels or encoded_set.channels, options.scale
    if options.size is not None and channels is not None:
        return Target(channels, *options.size, resize=True, scale=scale)
    sizes, all_gray = _look(encoded_set.images, rows, options.skip_unreadable)
    to_gray = channels is not None
    channels = channels or (1 if all_gray else 3)
    if options.size is not None:
        return Target(channels, *options.size, resize=True, to_gray=to_gray, scale=scale)
    if len(sizes) == 1:
        return Target(channels, *next(iter(sizes)), to_gray=to_gray, scale=scale)
    if encoded_set.size is not None:
        return Target(channels, *encoded_set.size, resize=True, to_gray=to_gray, scale=scale)
    raise SizesDiffer.of(where, sizes)


def _look(images: EncodedImages, rows: np.ndarray, skip_unreadable: bool) -> tuple[Counter[tuple[int, int]], bool]:
    """How often each (H, W) occurs, and whether all images are gray; a large set is sampled at even spacing."""
    if len(rows) > _LOOK_AT_ALL:
        rows = _evenly_spaced(rows, _LOOK_AT)
    sizes: Counter[tuple[int, int]] = Counter()
    all_gray = True
    for chunk in np.array_split(rows, max(1, len(rows) // _LOOK_AT)):
        for row, encoded in zip(chunk, images.encoded(chunk), strict=True):
            try:
                size, gray = header(encoded)
            except Unreadable as error:
                if skip_unreadable:
                    continue
                raise unreadable(images.where(int(row)), error) from error
            sizes[size] += 1
            all_gray = all_gray and gray
    if not sizes:
        first = images.where(int(rows[0]))
        raise UserError(f"no image is readable; the first is {first}. Without `skip_unreadable` it is said why.")
    return sizes, all_gray


def _evenly_spaced(rows: np.ndarray, count: int) -> np.ndarray:
    """`count` of `rows` (int64 [N]), or all of them where there are fewer."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _readable(
    images: EncodedImages, rows: np.ndarray, target: Target, skip_unreadable: bool, seen: list[Largest]
) -> np.ndarray:
    """bool [len(rows)], by decoding every image once; `seen` is extended as by `decode`."""
    scratch = np.empty((min(_LOOK_AT, len(rows)), *target.shape), dtype=np.uint8)
    parts = [rows[start : start + _LOOK_AT] for start in range(0, len(rows), _LOOK_AT)]
    return np.concatenate(
        [decode_many(images, part, target, scratch, skip_unreadable=skip_unreadable, seen=seen) for part in parts]
    )
