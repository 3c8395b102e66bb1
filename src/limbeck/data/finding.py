"""What a name stands for: encoded images of the catalogue, of files or of the hub, before anything is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from limbeck.data.arrays import read_npz
from limbeck.data.catalogue import DATASETS, LIST_HINT, DatasetInfo, find, find_split, in_catalogue
from limbeck.data.class_names import printable
from limbeck.data.digits import read_digits
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.folders import read_folder
from limbeck.data.hub import open_hub
from limbeck.data.idx import idx_files, read_idx
from limbeck.data.imagenet_folders import read_imagenet_folders
from limbeck.data.labels import UnusableLabels
from limbeck.data.metadata import FILE_NAME, PARQUET
from limbeck.data.place import hub_id, is_path
from limbeck.data.table_files import SUFFIX
from limbeck.data.table_places import (
    FilePlace,
    FolderPlace,
    HubPlace,
    place_of_entry,
    place_of_hub_id,
    place_of_path,
)
from limbeck.data.tables import ImageTable, if_there, open_parquet, read_table
from limbeck.errors import UserError, unknown_name


@dataclass(frozen=True)
class Reading:
    """How the files of a data set are read; see `load`.

    Attributes:
        classes: the only classes whose images are needed, where others can be skipped cheaply; None for all.
    """

    image_column: str | None
    label_column: str | None
    mapped: bool
    root: str | Path | None
    scale: float | None
    labelled: bool = True
    classes: Sequence[str | int] | None = None


@dataclass(frozen=True)
class Found:
    """What a name stands for.

    Attributes:
        encoded_set: its images and labels.
        name: what reports call it.
        remarks: warnings for the user.
        info: its entry, for a data set of the catalogue.
        unusable: why its labels were ignored; "" where they were not.
    """

    encoded_set: EncodedSet
    name: str
    remarks: tuple[str, ...] = ()
    info: DatasetInfo | None = None
    unusable: str = ""


def find_encoded(name: str | Path, split: str, reading: Reading, *, labels_needed: bool) -> Found:
    """The images that `name` stands for; without labels where these cannot be numbered and are not needed.

    Raises:
        UserError: see `limbeck.load`.
    """
    try:
        return _find(name, split, reading)
    except UnusableLabels as error:
        if labels_needed:
            raise
        return replace(_find(name, split, replace(reading, labelled=False)), unusable=str(error))


def _find(name: str | Path, split: str, reading: Reading) -> Found:
    if in_catalogue(name):
        info = find(str(name))
        encoded_set, whole = _named(info, split, reading)
        remarks = [info.warning, _fewer(info, split, _kept(info, encoded_set)) if whole else ""]
        return Found(encoded_set, f"{name}/{split}", tuple(remark for remark in remarks if remark), info)
    encoded_set = _own(name, split, reading)
    return Found(encoded_set, f"{printable(Path(name).name)}/{split}", encoded_set.remarks)


def _named(info: DatasetInfo, split: str, reading: Reading) -> tuple[EncodedSet, bool]:
    """The images, and whether they include all classes of the entry."""
    if info.hub_id is None:
        _check_columns(info.name, reading)
        return read_digits(find_split(info, split).hub_name), True
    size = info.size if info.varies and all(info.size) else None
    place = place_of_entry(info, split, reading.root)
    if isinstance(place, FolderPlace):
        _check_columns(info.name, reading)
        wanted = info.keep if reading.classes is None else reading.classes
        encoded_set = read_imagenet_folders(place.folder, wanted, size=size, channels=info.channels)
        return encoded_set, encoded_set.labels is not None and len(np.unique(encoded_set.labels)) == info.num_classes
    table = _open(place, reading.mapped)
    encoded_set = read_table(
        table,
        image_column=reading.image_column or if_there(info.image_column, table),
        label_column=reading.label_column or if_there(info.label_column, table),
        size=size,
        channels=info.channels,
        labelled=reading.labelled,
    )
    return encoded_set, True


def _kept(info: DatasetInfo, encoded_set: EncodedSet) -> int:
    """How many images are of the entry's classes, where it is a subset of a larger set's."""
    if info.keep is None or encoded_set.labels is None:
        return len(encoded_set.images)
    return int(np.isin(encoded_set.labels, info.keep).sum())


def _fewer(info: DatasetInfo, split: str, count: int) -> str:
    """The warning about a data set that is smaller here than the catalogue says; "" for others."""
    published = find_split(info, split).images
    if published is None or count >= published:
        return ""
    return (
        f"{info.name!r} holds {count:,} images of the split {split!r} here, of the {published:,} that there are: "
        "accuracies are not those that others report. Fetch it again, or load a part by the path of its folder."
    )


def _own(name: str | Path, split: str, reading: Reading) -> EncodedSet:
    path = Path(name).expanduser()
    place = place_of_path(path, split, repr(str(name)))
    if place is None and (path.is_dir() or path.is_file()):
        return _without_table(name, path, split, reading)
    if place is None and (at_hub := hub_id(name)):
        place = place_of_hub_id(*at_hub, split, reading.root, exactly=True)
    if place is None:
        raise no_such_name(name)
    table = _open(place, reading.mapped)
    paths = FILE_NAME if isinstance(place, FilePlace) and place.files[0].name == PARQUET else None
    return read_table(
        table,
        image_column=reading.image_column or if_there(paths, table),
        label_column=reading.label_column,
        labelled=reading.labelled,
    )


def _without_table(name: str | Path, path: Path, split: str, reading: Reading) -> EncodedSet:
    """The images of a folder without tables, or of a `.npz`; `path` is that of `name`."""
    if path.is_dir() and idx_files(path):
        _check_columns(name, reading)
        return read_idx(path, split, labelled=reading.labelled)
    if path.is_dir():
        return read_folder(
            path,
            split,
            image_column=reading.image_column,
            label_column=reading.label_column,
            labelled=reading.labelled,
        )
    if path.suffix == ".npz":
        return read_npz(
            path,
            split,
            image_key=reading.image_column,
            label_key=reading.label_column,
            scale=reading.scale,
            labelled=reading.labelled,
        )
    raise UserError(
        f"{str(name)!r} must be a .npz or .parquet file, or a folder, got a {path.suffix or 'nameless'} file."
    )


def _check_columns(name: str | Path, reading: Reading) -> None:
    """Raises a UserError where a column is named for a data set that has no columns."""
    for argument in ("image_column", "label_column"):
        if (column := getattr(reading, argument)) is not None:
            raise UserError(
                f"`{argument}` is for tables and .npz files, and {str(name)!r} is none; leave it out, got {column!r}."
            )


def no_such_name(name: str | Path) -> UserError:
    """The error for a name that is neither a file, a folder, a hub id nor in the catalogue."""
    hint = " A `Path` is never a name; give that of a data set as a string." if isinstance(name, Path) else ""
    if is_path(name) or "/" in str(name) or "\\" in str(name) or Path(name).suffix in (".npz", SUFFIX):
        return UserError(f"there is no file or folder {str(name)!r}.{hint}")
    return unknown_name("dataset", str(name), DATASETS, LIST_HINT)


def _open(place: HubPlace | FilePlace, mapped: bool) -> ImageTable:
    if isinstance(place, FilePlace):
        return open_parquet(place.files, siblings=place.siblings, mapped=mapped)
    return open_hub(place.hub_id, place.config, place.split, revision=place.revision, looked=place.looked)
