"""A folder of class folders, each with images of that class, or of images and a file of labels; or of train/ and test/
folders of those."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from limbeck.data.class_names import check_class_names, composed
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import ColumnImages, FileImages
from limbeck.data.labels import UnusableLabels
from limbeck.data.layout import innermost, inside, listing, names, split_below, split_folders
from limbeck.data.local import choose_split
from limbeck.data.metadata import metadata_of, read_metadata, unread_lists
from limbeck.data.splits import hinted_splits
from limbeck.data.unread import how_to_convert, passed_over, unread_images
from limbeck.data.visible import IMAGE_SUFFIXES, files_in, images_below, images_in, links_to_nothing, subfolders
from limbeck.errors import UserError

_ENDINGS = ", ".join(sorted(IMAGE_SUFFIXES))


@dataclass(frozen=True)
class _How:
    """What the caller says about the labels.

    Attributes:
        labelled: False ignores them.
        image_column, label_column: columns of metadata files.
        others: folders of the other splits.
    """

    labelled: bool
    image_column: str | None
    label_column: str | None
    others: tuple[Path, ...] = ()


def read_folder(
    folder: Path,
    split: str,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    labelled: bool = True,
) -> EncodedSet:
    """The images below `folder` and their classes: those in a metadata file (see `limbeck.data.metadata`), else the
    names of its subfolders, sorted; without labels where these are not wanted.

    Where the subfolders are splits (see `split_folders`), the classes of every split are numbered as in `train/`, or
    as in all splits together where that has none. A folder with images and no subfolders is an unlabelled set. A folder
    without splits is the split "train", and also the one that its name hints at. Files without an image suffix are
    skipped, and so are hidden files and those of the operating system; see `is_hidden`. Images in formats that cannot
    be read are reported.

    Raises:
        UnusableLabels: images beside class folders, an empty class folder, a class that training does not have.
        UserError: no images, an unknown split, a layout that can be read in two ways, a column and no file of metadata.
    """
    splits = split_folders(folder)
    where = repr(str(folder))
    how = _How(labelled, image_column, label_column)
    if not splits:
        # Read first: a folder that wraps all splits is recognised, and refused, by its content.
        encoded_set = _read(folder, None, how)
        choose_split({"train": []} | {name: [] for name in hinted_splits(folder.name)}, split, where)
        return _with_lists(encoded_set, labelled, folder)
    (chosen,) = choose_split({name: [path] for name, path in splits.items()}, split, where)
    training = subfolders(splits["train"]) if "train" in splits else []
    class_names = sorted(set(map(_class_name, training or chain.from_iterable(map(subfolders, splits.values())))))
    others = tuple(path for path in splits.values() if path != chosen)
    encoded_set = _with_lists(_read(chosen, class_names or None, replace(how, others=others)), labelled, folder, chosen)
    loose = sorted(images_in(folder))
    passed = [f"{where} holds images beside its splits, which are passed over: {names(loose)}."] if loose else []
    return replace(encoded_set, remarks=(*passed, *encoded_set.remarks))


def _read(folder: Path, known: Sequence[str] | None, how: _How) -> EncodedSet:
    columns = how.image_column, how.label_column
    metadata = metadata_of(folder, *columns)
    others = [table for path in how.others if (table := metadata_of(path, *columns)) is not None]
    if metadata is not None:
        encoded_set = read_metadata(metadata, others, *columns, labelled=how.labelled)
    elif others:  # the other splits take their classes from metadata, so folders are no classes here
        encoded_set = _without_labels(folder)
    else:
        _check_columns(folder, how)
        encoded_set = _labelled(folder, known) if how.labelled else _without_labels(folder)
    return replace(encoded_set, remarks=(*encoded_set.remarks, *passed_over(folder)))


def _check_columns(folder: Path, how: _How) -> None:
    """Raises a UserError where a column is named for a folder that has no columns."""
    for argument in ("image_column", "label_column"):
        if (column := getattr(how, argument)) is not None:
            lists = unread_lists(folder)
            raise UserError(
                f"`{argument}` is for tables, .npz files and folders with a metadata.csv, and {str(folder)!r} is none; "
                f"leave it out, got {column!r}.{f' {lists}' if lists else ''}"
            )


def _without_labels(folder: Path) -> EncodedSet:
    below = chain(images_in(folder), chain.from_iterable(map(images_below, subfolders(folder))))
    return EncodedSet(FileImages(sorted(below)), None, ())


def _with_lists(encoded_set: EncodedSet, labelled: bool, *folders: Path) -> EncodedSet:
    """Adds a remark on files that may list labels, where images have none and no metadata file was read."""
    if not labelled or encoded_set.labels is not None or isinstance(encoded_set.images, ColumnImages):
        return encoded_set
    lists = unread_lists(*folders)
    return replace(encoded_set, remarks=(*encoded_set.remarks, lists)) if lists else encoded_set


def _labelled(folder: Path, known: Sequence[str] | None) -> EncodedSet:
    class_folders = sorted(subfolders(folder), key=_class_name)
    loose = sorted(images_in(folder))
    if not class_folders:
        if not loose:
            raise UserError(
                f"{str(folder)!r} holds no images (of {_ENDINGS}) and no class folders, nor tables (.parquet)"
                f"{_other_files(folder)}. Give the folder that holds them, or a .npz by its own name; convert others."
            )
        return EncodedSet(FileImages(loose), None, ())
    if loose:
        raise UnusableLabels(
            f"{str(folder)!r} holds images beside class folders, for instance {loose[0].name!r}; put each into one."
        )
    if lost := links_to_nothing(folder):
        raise UserError(
            f"{str(folder)!r} holds links to nothing beside class folders, {names(lost)}, which may be classes; mend "
            "or remove them."
        )
    check_class_names(map(_as_written, class_folders), f"class folders of {str(folder)!r}")
    classes = [_class_name(path) for path in class_folders] if known is None else known
    numbers = {name: number for number, name in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    for class_folder in class_folders:
        number = numbers.get(_class_name(class_folder))
        if number is None:
            raise UnusableLabels(
                f"class folder {str(class_folder)!r} has no counterpart among the training classes, "
                f"{listing(classes)}; rename it as one of these or remove it, or, for images without labels, move them "
                f"to {str(folder)!r} itself and remove its folders."
            )
        images = class_images(class_folder)
        paths += images
        labels += [number] * len(images)
    remarks = _remarks(folder, class_folders, len(classes))
    return EncodedSet(FileImages(paths), np.array(labels, dtype=np.int64), tuple(classes), remarks=remarks)


def class_images(class_folder: Path) -> list[Path]:
    """The image files of one class, in its folder and all folders below, sorted.

    Raises:
        UnusableLabels: there are none.
    """
    images = sorted(images_below(class_folder))
    if not images:
        raise UnusableLabels(
            f"class folder {str(class_folder)!r} holds no images; add some or remove it. Images end in "
            f"{_ENDINGS}{_other_files(class_folder)}."
        )
    return images


def _remarks(folder: Path, class_folders: Sequence[Path], num_classes: int) -> tuple[str, ...]:
    """Remarks on a layout that may be meant differently from how it was read.

    Raises:
        UserError: splits below class folders; a single folder that wraps all others.
    """
    without = [path for path in class_folders if not any(True for _ in images_in(path))]
    first = class_folders[0]
    if num_classes == 1 and without:
        raise UserError(
            f"{str(folder)!r} holds one folder, {first.name!r}, which would be the only class, with "
            f"{inside(first)} in it. Load {str(innermost(first))!r}, if classes or splits are the folders in there; "
            f"for one class, move the images to {str(first)!r} itself."
        )
    if num_classes == 1 and (lists := unread_lists(folder)):
        raise UnusableLabels(
            f"{str(folder)!r} holds one folder, {first.name!r}, which would be the only class. {lists} Load "
            f"{str(first)!r} to read its images without labels."
        )
    if num_classes == 1:
        return (
            f"{str(folder)!r} holds one folder, {first.name!r}, which was taken for the only class. Load "
            f"{str(first)!r} to read its images without labels.",
        )
    for path in class_folders:
        if (split := split_below(path)) is not None:
            raise UserError(
                f"{str(split)!r} is a folder of a split below the class folder {path.name!r}, so that images of all "
                f"splits would be mixed; splits go above classes, as {str(folder / split.name / path.name)!r}."
            )
    if not without:
        return ()
    deep = listing(path.name for parent in without for path in subfolders(parent))
    return (
        f"{str(folder)!r} holds folders without images of their own, {names(without)}, with folders {deep} in them; "
        f"they were taken for {num_classes} classes, each with all images below. If the classes are the folders in "
        f"them, load {str(without[0])!r} by itself, or name folders of splits 'train' and 'test'.",
    )


def _other_files(folder: Path) -> str:
    """What a folder without images holds instead, and how to convert images that cannot be read."""
    others = sorted(os.fsencode(path.name).decode(errors="replace") for path in files_in(folder))
    unread = unread_images(folder)
    advice = f". {how_to_convert(unread, folder).rstrip('.')}" if unread else ""
    return f"{f'; it holds {listing(others)}' if others else ''}{advice}"


def _class_name(folder: Path) -> str:
    """The name composed (NFC): macOS writes file names decomposed, others do not, and copies must keep their class."""
    return composed(_as_written(folder))


def _as_written(folder: Path) -> str:
    """The name in UTF-8, whatever encoding the locale says that file names have."""
    return os.fsencode(folder.name).decode("utf-8", "surrogateescape")
