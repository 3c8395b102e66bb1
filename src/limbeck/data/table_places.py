"""Where a split is stored: Parquet files or class folders on this disk, or a repository on the hub."""

from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.data.catalogue import DATASETS, DatasetInfo, find_split
from limbeck.data.layout import listing
from limbeck.data.local import (
    ROOT_VARIABLE,
    choose_split,
    files_of_other_splits,
    find_in_root,
    local_root,
    split_folder_in_root,
)
from limbeck.data.splits import stated_splits
from limbeck.data.table_files import SUFFIX, splits_by_file
from limbeck.data.visible import subfolders
from limbeck.errors import UserError
from limbeck.files import check_path


@dataclass(frozen=True)
class HubPlace:
    """A split of a repository.

    Attributes:
        hub_id: "owner/name".
        config: configuration, None for the only one.
        split: its name at the hub.
        revision: branch, None for the default.
        looked: where it was looked for before, for messages.
    """

    hub_id: str
    config: str | None
    split: str
    revision: str | None = None
    looked: str = ""


@dataclass(frozen=True)
class FilePlace:
    """Parquet files on this disk.

    Attributes:
        files: of the split, in order, at least one.
        siblings: of the other splits.
    """

    files: list[Path]
    siblings: list[Path]


@dataclass(frozen=True)
class FolderPlace:
    """A folder on this disk, with the images of a split in a folder for each class."""

    folder: Path


def place_of_entry(info: DatasetInfo, split: str, root: str | Path | None) -> HubPlace | FilePlace | FolderPlace:
    """The place of a split of a catalogue entry that has a repository.

    Raises:
        UserError: it has no such split, or see `place_of_hub_id` and `split_folder_in_root`.
    """
    assert info.hub_id is not None
    hub_split = find_split(info, split).hub_name
    exactly = info.name not in DATASETS
    place = _place(info.hub_id, info.config, hub_split, root, revision=info.revision, exactly=exactly)
    if isinstance(place, HubPlace) and info.wordnet_folders:
        local = local_root(root)
        if local is not None and (folder := split_folder_in_root(local, info.hub_id, hub_split)):
            return FolderPlace(folder)
        example = f"<root>/{info.hub_id}/{hub_split}/n01440764/"
        place = replace(place, looked=f"{place.looked}Class folders will do, too, as {example}, and links to them. ")
    _check_root(place, root)
    return place


def place_of_hub_id(
    hub_id: str, config: str | None, split: str, root: str | Path | None, *, revision: str | None = None, exactly: bool
) -> HubPlace | FilePlace:
    """The place of a split: under the local root if it is there, else on the hub.

    Raises:
        UserError: `root` is given and does not have it, or see `find_in_root`.
    """
    place = _place(hub_id, config, split, root, revision=revision, exactly=exactly)
    _check_root(place, root)
    return place


def _place(
    hub_id: str, config: str | None, split: str, root: str | Path | None, *, revision: str | None, exactly: bool
) -> HubPlace | FilePlace:
    folder = local_root(root)
    if folder is None:
        return HubPlace(hub_id, config, split, revision, f"No local root is set ({ROOT_VARIABLE} or `root=`). ")
    if files := find_in_root(folder, hub_id, config, split, exactly=exactly):
        return FilePlace(files, files_of_other_splits(files, split))
    option = "`root`" if root else ROOT_VARIABLE
    base = folder / hub_id / config if exactly and config else folder / hub_id
    looked = f"Looked for {split}-*.parquet below {str(base)!r} ({option}). "
    return HubPlace(hub_id, config, split, revision, looked)


def _check_root(place: HubPlace | FilePlace, root: str | Path | None) -> None:
    """Raises a UserError where a `root` was given and lacks the split: the hub must not be used instead."""
    folder = local_root(root)
    if not root or folder is None or isinstance(place, FilePlace):
        return
    folders = listing(path.name for path in subfolders(folder))
    raise UserError(
        f"`root` {str(folder)!r} has no split {place.split!r} of {place.hub_id!r}. {place.looked}It holds "
        f"{f'the folders {folders}' if folders else 'no folders'}. Give the folder in which "
        f"{place.hub_id.partition('/')[0]!r} lies, put the files there, as "
        f"<root>/{place.hub_id}/{place.config or 'data'}/{place.split}-00000-of-00001.parquet, or leave `root` out: "
        f"then {ROOT_VARIABLE} and the hub are asked."
    )


def place_of_path(path: Path, split: str, where: str) -> FilePlace | None:
    """The place of a split in a Parquet file or a folder of them; None where `path` is something else.

    Raises:
        UserError: it has no such split, or see `splits_by_file`.
    """
    if path.is_dir():
        splits = splits_by_file(path)
        if not splits:
            return None
        if list(splits) == ["train"]:
            splits |= dict.fromkeys(stated_splits(path.name), splits["train"])
    elif path.is_file() and path.suffix.lower() == SUFFIX:
        check_path(path)
        # A single file is the training split whatever its name, and also the split that its name states.
        splits = {"train": [path]} | {name: [path] for name in stated_splits(path.name)}
    else:
        return None
    files = choose_split(splits, split, where)
    check_path(files[0])
    return FilePlace(files, [file for several in splits.values() if several is not files for file in several])
