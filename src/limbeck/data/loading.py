"""`load`: a name, a folder, a file or a hub id to an `ImageSet`."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from limbeck.data.arrays import read_npz
from limbeck.data.catalogue import DATASETS, LIST_HINT, DatasetInfo, find, find_split, in_catalogue
from limbeck.data.class_names import printable
from limbeck.data.digits import read_digits
from limbeck.data.encoded.build import LoadOptions, build_image_set
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.folders import read_folder
from limbeck.data.hub import open_hub
from limbeck.data.image_set import ImageSet
from limbeck.data.local import ROOT_VARIABLE, choose_split, files_of_other_splits, find_in_root, local_root
from limbeck.data.own_datasets import load_own
from limbeck.data.pixel_range import checked_scale
from limbeck.data.place import hub_id, is_path, other_reading
from limbeck.data.splits import stated_splits
from limbeck.data.table_files import SUFFIX, splits_by_file
from limbeck.data.tables import ImageTable, open_parquet, read_table
from limbeck.errors import UserError, unknown_name
from limbeck.files import check_path


def load(
    name: str | Path,
    split: str = "train",
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: bool = False,
    scale: float | None = None,
    in_memory: bool | None = None,
    root: str | Path | None = None,
    classes: Sequence[str | int] | None = None,
    labels: bool = True,
) -> ImageSet:
    """Images and labels of a named dataset, of the user's own files, or of any dataset on the hub.

    Ids are row numbers: of the split, of the sorted list of files, of the array. They stay when `classes` or
    `skip_unreadable` leave images out. Decoded pixels are kept in the cache folder (`LIMBECK_CACHE`) when decoding took
    longer than a second, and are memory-mapped from there the next time.

    Args:
        name: a name of the catalogue (`limbeck ls datasets`; `imagenette:320px` for another configuration), looked for
            under the local root first and then on the hub; a folder of class folders, also with `train/` and `test/` or
            `val/` above them; a Parquet file or a folder of them; a `.npz`; a hub id "owner/name" or
            "owner/name:config". A `Path`, and a string that starts as one ("./cifar10"), is never anything else;
            `docs/data.md` shows how folders and files are read.
        split: "train", "test", "validation"; what else the dataset has.
        size: pixels, one number or (height, width): every image is scaled until it covers that and cropped to its
            centre. Default: their own size when all have the same, else the catalogue's, else an error.
        channels: 1 or 3. Default: the catalogue's, else 1 if all images are gray, else 3.
        image_column, label_column: columns of a table or arrays of a `.npz`, where they are none of the usual.
        skip_unreadable: leave out images that cannot be decoded, counted in `ImageSet.skipped`, instead of stopping.
        scale: the stored value that becomes white, > 0, in arrays and in files of more than 8 bits: 4095 for 12-bit
            data in 16-bit files, 255 for floats in 0..255. Larger values are refused. Files of 8 bits stay as they are.
            Default: 65535 for 16-bit files and integers, 255 for other integers, 1 for floats, with a warning where no
            value of the set reaches half of that.
        in_memory: whether pixels are held decoded. Default: if they take at most 4 GiB; else they stay encoded in
            memory-mapped files and are decoded when asked for.
        root: folder of datasets by hub id, `<root>/<hub id>/<config>/<split>-*.parquet`. Default: `$LIMBECK_DATA`.
        classes: names or numbers of the classes to keep, renumbered from 0 in this order. Default: all.
        labels: False leaves the labels and the names of the classes aside, as of images of other things than those to
            be told apart. `classes` still chooses among the images.

    Raises:
        UserError: nothing of that name, no such split, column or class, no images, unreadable ones, images of several
            sizes and no `size`, a folder that can be read in two ways.

    Example:
        >>> images = load("digits", "test")
        >>> images.shape, images.num_classes
        ((1, 8, 8), 10)
    """
    if not isinstance(name, str | Path) or name == "":
        raise UserError(
            "`name` must be a data set of the catalogue, a folder, a file or a hub id, as a string or `Path`, got "
            f"{name!r}; the folder at hand is '.'."
        )
    options = _load_options(size, channels, skip_unreadable, in_memory, scale)
    columns = (image_column, label_column)
    if remark := other_reading(name, root):
        warnings.warn(remark, stacklevel=2)
    if in_catalogue(name):
        info = find(str(name))
        if info.made_by is not None:
            return _with_or_without(load_own(info, split, options, columns, classes), labels=labels)
        encoded_set = _named(info, split, *columns, in_memory is False, root)
        if info.warning:
            warnings.warn(info.warning, stacklevel=2)
        keep = _within(classes, info) if info.keep is not None else classes
        made = build_image_set(encoded_set, options, name=f"{name}/{split}", keep=keep)
        return _with_or_without(made, labels=labels)
    encoded_set = _own(name, split, *columns, in_memory is False, root, scale)
    for remark in encoded_set.remarks:
        warnings.warn(remark, stacklevel=2)
    made = build_image_set(encoded_set, options, name=f"{printable(Path(name).name)}/{split}", keep=classes)
    return _with_or_without(made, labels=labels)


def _with_or_without(images: ImageSet, *, labels: bool) -> ImageSet:
    return images if labels else images.with_labels(None, ())


def _load_options(
    size: int | tuple[int, int] | None,
    channels: int | None,
    skip_unreadable: bool,
    in_memory: bool | None,
    scale: float | None,
) -> LoadOptions:
    both = (size, size) if isinstance(size, int) else size
    if both is not None and (len(both) != 2 or min(both) < 1 or any(isinstance(one, bool) for one in both)):
        raise UserError(f"`size` must be a number of pixels or (height, width), each at least 1, got {size!r}.")
    if channels not in (None, 1, 3) or isinstance(channels, bool):
        raise UserError(f"`channels` must be 1 (gray) or 3 (RGB), got {channels!r}.")
    return LoadOptions(both, channels, skip_unreadable, in_memory, checked_scale(scale))


def _named(
    info: DatasetInfo,
    split: str,
    image_column: str | None,
    label_column: str | None,
    mapped: bool,
    root: str | Path | None,
) -> EncodedSet:
    hub_split = find_split(info, split).hub_name
    if info.hub_id is None:
        return read_digits(hub_split)
    table = _table(info.hub_id, info.config, hub_split, mapped, root, info.revision, exactly=info.name not in DATASETS)
    return read_table(
        table,
        image_column=image_column or _if_there(info.image_column, table),
        label_column=label_column or _if_there(info.label_column, table),
        size=info.size if info.varies else None,
        channels=info.channels,
    )


def _within(classes: Sequence[str | int] | None, info: DatasetInfo) -> Sequence[str | int]:
    assert info.keep is not None
    if classes is None:
        return info.keep
    for one in classes:
        if isinstance(one, int) and not 0 <= one < len(info.keep):
            raise UserError(f"`classes` must lie in 0..{len(info.keep) - 1}, got {one}.")
    return [info.keep[one] if isinstance(one, int) else one for one in classes]


def _own(
    name: str | Path,
    split: str,
    image_column: str | None,
    label_column: str | None,
    mapped: bool,
    root: str | Path | None,
    scale: float | None,
) -> EncodedSet:
    path = Path(name).expanduser()
    where = repr(str(name))
    if path.is_dir():
        splits = splits_by_file(path)
        if not splits:
            return read_folder(path, split)
        if list(splits) == ["train"]:
            splits |= dict.fromkeys(stated_splits(path.name), splits["train"])
        files = choose_split(splits, split, where)
        check_path(files[0])
        siblings = [one for several in splits.values() if several is not files for one in several]
        table = open_parquet(files, siblings=siblings, mapped=mapped)
        return read_table(table, image_column=image_column, label_column=label_column)
    if path.is_file() and path.suffix == ".npz":
        return read_npz(path, split, image_key=image_column, label_key=label_column, scale=scale)
    if path.is_file() and path.suffix.lower() == SUFFIX:
        # What is loaded by itself is the training split, whatever its name; that may say another split as well.
        check_path(path)
        choose_split({"train": [path]} | {one: [path] for one in stated_splits(path.name)}, split, where)
        return read_table(open_parquet([path], mapped=mapped), image_column=image_column, label_column=label_column)
    if path.is_file():
        raise UserError(
            f"{where} must be a .npz or .parquet file, or a folder, got a {path.suffix or 'nameless'} file."
        )
    if place := hub_id(name):
        table = _table(*place, split, mapped, root, None, exactly=True)
        return read_table(table, image_column=image_column, label_column=label_column)
    hint = " A `Path` is never a name; give that of a data set as a string." if isinstance(name, Path) else ""
    if is_path(name) or "/" in str(name) or "\\" in str(name) or path.suffix in (".npz", SUFFIX):
        raise UserError(f"there is no file or folder {where}.{hint}")
    raise unknown_name("dataset", str(name), DATASETS, LIST_HINT)


def _table(
    hub_id: str,
    config: str | None,
    split: str,
    mapped: bool,
    root: str | Path | None,
    revision: str | None,
    *,
    exactly: bool,
) -> ImageTable:
    folder = local_root(root)
    if folder is None:
        looked = f"No local root is set ({ROOT_VARIABLE} or `root=`). "
    else:
        if files := find_in_root(folder, hub_id, config, split, exactly=exactly):
            return open_parquet(files, siblings=files_of_other_splits(files, split), mapped=mapped)
        looked = (
            f"Looked for {split}-*.parquet below {str(folder / hub_id)!r} ({'`root`' if root else ROOT_VARIABLE}). "
        )
    return open_hub(hub_id, config, split, revision=revision, looked=looked)


def _if_there(column: str, table: ImageTable) -> str | None:
    """The catalogue's column, unless an uploader has renamed it since: then it is found by its feature."""
    return column if column in table.schema.names else None
