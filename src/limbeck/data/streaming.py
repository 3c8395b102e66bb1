"""Images of tables on the hub or in files, read from front to back without a copy of the whole."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from limbeck.caching import cache_folder, cache_key
from limbeck.data.catalogue import DATASETS, LIST_HINT, find, in_catalogue
from limbeck.data.class_names import printable
from limbeck.data.encoded.decode import Target
from limbeck.data.encoded.decode_many import unreadable
from limbeck.data.encoded.images import file_stamps
from limbeck.data.image_set import ImageSet
from limbeck.data.labels import LabelColumn, UnusableLabels, encode_labels
from limbeck.data.pixel_range import check_range, checked_scale
from limbeck.data.place import hub_id
from limbeck.data.stream_cache import StreamCache, StreamedImages
from limbeck.data.stream_reading import read_on
from limbeck.data.stream_source import Stream, open_stream
from limbeck.data.table_places import FilePlace, FolderPlace, HubPlace, place_of_entry, place_of_hub_id, place_of_path
from limbeck.data.tables import find_images, if_there, open_parquet, stamps_of_named
from limbeck.errors import UserError, unknown_name
from limbeck.locks import only_one
from limbeck.progress import Progress

_NUMBERED = 2**16
"""Largest number of classes without names; larger integer labels are taken for something else."""


def open_streamed(
    name: str | Path,
    split: str = "train",
    *,
    count: int | None = None,
    shape: tuple[int, int, int],
    image_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: bool = False,
    scale: float | None = None,
) -> "StreamedSet":
    """The first `count` images (None for all) of a split, opened far enough to know columns and class names.

    Images are read one after another, and stored at `shape` in the cache. What was read before, by this or another
    process, is not read again: a stream that was stopped or broke off continues where it was, and a longer one
    continues from the end. A repository is read at the commit at which the stream was begun. What is in the cache is
    memory-mapped, and needs no connection any more.

    Args:
        name: a data set of the catalogue or the hub; or a Parquet file or a folder of them, which `load` would copy
            where they are large.
        split, image_column, label_column, skip_unreadable, scale: see `load`. Labels that cannot be numbered are
            ignored with a warning, unless `label_column` names them.
        count: at least 1; unreadable images count, too.
        shape: (C, H, W): every image is scaled until it covers that and cropped to its centre.

    Raises:
        UserError: nothing of that name, or it cannot be streamed or opened; see `load`.

    Example:
        >>> lb.TransferSet(images).save("some-digits")  # a Parquet file as any other
        >>> from limbeck.progress import Silent
        >>> open_streamed("some-digits", count=50, shape=(3, 16, 16)).read(Silent())
        ImageSet('some-digits/train', 50 images 3x16x16, 10 classes)
    """
    if count is not None and count < 1:
        raise UserError(f"`count` must be at least 1, got {count}.")
    place, usual = _place(name, split)
    named = (image_column, label_column)
    scale = checked_scale(scale)
    folder = (
        cache_folder()
        / "streams"
        / cache_key("stream", _identity(place, named[0], usual[0]), named, usual, shape, scale)
    )
    title = f"{printable(Path(name).name)}/{split}"
    cache = StreamCache(folder, shape)
    about, opened = cache.about(), None
    if about is None:
        opened = open_stream(place, named, usual)
        about = cache.begin({"name": title, "shape": list(shape), **opened.about})
    target = Target(shape[0], shape[1], shape[2], resize=True, scale=scale)
    if opened is not None and about["commit"] != opened.about["commit"]:
        opened = None  # another process began it, with another revision
    return StreamedSet(title, place, named, usual, folder, about, target, count, skip_unreadable, opened)


@dataclass(frozen=True)
class StreamedSet:
    """A split that is read from front to back, continuing where it was left.

    Attributes:
        title: what reports call it.
        place: where its rows come from.
        named, usual: columns of images and labels, see `open_stream`.
        folder: of the cache of what was read.
        about: what was noted when it was first opened, see `Stream`.
        target: what images are converted to.
        count: rows that are wanted, None for all.
        skip_unreadable: whether broken images are left out.
        opened: the stream, if it had to be opened to make the note.
    """

    title: str
    place: HubPlace | FilePlace
    named: tuple[str | None, str | None]
    usual: tuple[str | None, str | None]
    folder: Path
    about: dict[str, Any]
    target: Target
    count: int | None
    skip_unreadable: bool
    opened: Stream | None = None

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names, empty where it has no labels; None where they are only known after reading the labels."""
        if self.about["label"] is None:
            return ()
        return None if self.about["names"] is None else tuple(self.about["names"])

    def read(self, progress: Progress) -> ImageSet:
        """The images; those that are not in the cache yet are read from the stream.

        Raises:
            UserError: it broke off, or an image is unreadable (names its row); see `load`.
            Interrupted: stopped by Ctrl-C or SIGTERM; calling it again continues.
        """
        waiting = f"another process is reading {self.title}; waiting for it"
        with only_one(self.folder, lambda: progress.say(waiting)):
            cache = StreamCache(self.folder, self.target.shape)
            if not cache.ended and (self.count is None or cache.rows < self.count):
                stream = self.opened or open_stream(self.place, self.named, self.usual, begun=self.about)
                read_on(stream, cache, self.target, self.count, self.skip_unreadable, self.title, progress)
        rows = cache.rows if self.count is None else min(self.count, cache.rows)
        if rows == 0:
            raise UserError(f"{self.title!r} holds no images.")
        explicit = self.named[1] is not None
        return _image_set(
            cache.read(rows), self.about, self.title, self.target.scale, self.skip_unreadable, explicit=explicit
        )


def _place(name: str | Path, split: str) -> tuple[HubPlace | FilePlace, tuple[str | None, str | None]]:
    """Where the rows come from, and the columns that the catalogue knows."""
    if in_catalogue(name):
        info = find(str(name))
        if info.hub_id is None or info.keep is not None:
            what = "is a part of another" if info.keep is not None else "is not on the hub"
            raise UserError(f"`streaming` reads from the hub, and {str(name)!r} {what}; leave `streaming` out.")
        place = place_of_entry(info, split, None)
        if isinstance(place, FolderPlace):
            raise _no_table(place.folder)
        return place, (info.image_column, info.label_column)
    path = Path(name).expanduser()
    if place := place_of_path(path, split, repr(str(name))):
        return place, (None, None)
    if path.exists():
        raise _no_table(name)
    if at_hub := hub_id(name):
        return place_of_hub_id(*at_hub, split, None, exactly=True), (None, None)
    if "/" in str(name) or isinstance(name, Path):
        raise UserError(f"there is no file or folder {str(name)!r}.")
    raise unknown_name("dataset", str(name), DATASETS, LIST_HINT)


def _no_table(name: str | Path) -> UserError:
    return UserError(
        f"`streaming` reads tables, of the hub or in Parquet files, and {str(name)!r} is none; leave `streaming` "
        "out: of images in files no copy is made."
    )


def _identity(place: HubPlace | FilePlace, named: str | None, usual: str | None) -> list[Any]:
    """What identifies the source: the address of a repository; stamps of files and of the images that they name."""
    if not isinstance(place, FilePlace):
        return [place.hub_id, place.config, place.split, place.revision]
    table = open_parquet(place.files)
    if table.count == 0:
        return file_stamps(place.files)
    column = find_images(table, named or if_there(usual, table))
    return [*file_stamps(place.files), *stamps_of_named(table, column)]


def _image_set(
    streamed: StreamedImages,
    about: dict[str, Any],
    title: str,
    scale: float | None,
    skip_unreadable: bool,
    *,
    explicit: bool,
) -> ImageSet:
    readable = streamed.readable
    if not readable.all() and not skip_unreadable:
        row = int((~readable).argmax())
        raise unreadable(f"row {row} of {about['where']}", ValueError("it could not be decoded when it was streamed"))
    if not readable.any():
        raise UserError(
            f"{title!r} holds no readable image: all {len(readable)} were skipped. Without "
            "`skip_unreadable` the first is told."
        )
    check_range(streamed.seen, scale, title)
    labels, classes = _labels(streamed.labels, about, title, explicit=explicit)
    return ImageSet(
        streamed.storage,
        None if labels is None else labels[readable],
        ids=np.flatnonzero(readable),
        classes=classes,
        name=title,
        skipped=int((~readable).sum()),
    )


def _labels(
    stored: pa.ChunkedArray | None, about: dict[str, Any], title: str, *, explicit: bool
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class numbers and names. Integers without names become names, as missing numbers may occur in later rows."""
    if stored is None:
        return None, ()
    where = f"labels in column {about['label']!r} of {about['where']}"
    names = None if about["names"] is None else tuple(about["names"])
    if names is None and pa.types.is_integer(stored.type):
        present = stored.drop_null().to_numpy()
        if len(present) and present.min() >= 0 and present.max() < _NUMBERED:
            names = tuple(map(str, range(present.max() + 1)))
    try:
        return encode_labels([LabelColumn(stored, where, names)], list, where)
    except UnusableLabels as error:
        if explicit:
            raise
        warnings.warn(f"the labels of {title!r} are left aside: {error}", stacklevel=4)
        return None, ()
