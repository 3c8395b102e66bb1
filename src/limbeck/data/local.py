"""Parquet files under a local root laid out by hub id, and the names of splits."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from limbeck.data.visible import is_hidden, subfolders
from limbeck.errors import UserError

ROOT_VARIABLE = "LIMBECK_DATA"
SPLIT_ALIASES = (
    ("train", "training"),
    ("validation", "valid", "val", "dev"),
    ("test", "testing", "eval", "evaluation"),
)
"""Names of splits that `datasets` recognises; first in each row is the name used here."""
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")


def local_root(root: str | Path | None) -> Path | None:
    """`root`, else `$LIMBECK_DATA`, else None.

    Raises:
        UserError: it is given but is no folder.
    """
    location = root or os.environ.get(ROOT_VARIABLE)
    if not location:
        return None
    folder = Path(location).expanduser()
    if not folder.is_dir():
        argument = "`root`" if root else ROOT_VARIABLE
        raise UserError(f"{argument} must be a folder that holds datasets by hub id, got {str(folder)!r}.")
    return folder


def find_in_root(root: Path, hub_id: str, config: str | None, split: str, *, exactly: bool = False) -> list[Path]:
    """Files of `split` in `<root>/<hub id>/<config>/`, else `.../data/`, else in the one other folder that has it.

    Args:
        root: the local root.
        hub_id: "owner/name".
        config: configuration to prefer.
        split: name of the split at the hub.
        exactly: whether no other configuration will do, because the user named this one.

    Raises:
        UserError: several folders have it and none is the configuration asked for, or a shard is missing.
    """
    base = root / hub_id
    if exactly and config:
        return split_files(base / config, split)
    for folder in ([base / config] if config else []) + [base / "data", base]:
        if files := split_files(folder, split):
            return files
    others = [folder for folder in _folders(base) if split_files(folder, split)]
    if len(others) > 1:
        names = ", ".join(repr(f"{hub_id}:{folder.name}") for folder in others)
        raise UserError(f"{str(base)!r} holds several configurations; name one of {names}.")
    return split_files(others[0], split) if others else []


def split_folder_in_root(root: Path, hub_id: str, split: str) -> Path | None:
    """The folder in `<root>/<hub id>/` named `split`, or by another name for it ("val"), case ignored.

    Raises:
        UserError: there are several.
    """
    base = root / hub_id
    folders = [folder for folder in (subfolders(base) if base.is_dir() else ()) if _split_called(folder) == split]
    if len(folders) > 1:
        names = " and ".join(repr(folder.name) for folder in folders)
        raise UserError(f"{str(base)!r} holds several folders of the split {split!r}, {names}; put them into one.")
    return folders[0] if folders else None


def files_of_other_splits(files: Sequence[Path], split: str) -> list[Path]:
    """The Parquet files beside those that `find_in_root` found of `split`, sorted."""
    folder = files[0].parent
    paths = folder.parent.glob("*/*.parquet") if folder.name == split else folder.glob("*.parquet")
    return sorted(path for path in set(paths) - set(files) if not path.name.startswith("."))


def split_files(folder: Path, split: str) -> list[Path]:
    """`<split>-*.parquet`, `<split>.parquet` or `<split>/*.parquet` in `folder`, sorted.

    Raises:
        UserError: file names say that a shard is missing.
    """
    for pattern in (f"{split}-*.parquet", f"{split}.parquet", f"{split}/*.parquet"):
        if files := sorted(path for path in folder.glob(pattern) if not is_hidden(path.name)):
            check_shards(files)
            return files
    return []


def canonical_split(split: str) -> str:
    """ "val" and "valid" are "validation", and so on; other names stay."""
    return next((names[0] for names in SPLIT_ALIASES if split in names), split)


def _split_called(folder: Path) -> str:
    return canonical_split(folder.name.casefold())


class NoSuchSplit(UserError):
    """A split that does not exist; `available` are those that do."""

    available: tuple[str, ...] = ()


def choose_split(available: dict[str, list[Path]], split: str, where: str) -> list[Path]:
    """The files of `split`, or of the only other name for it that is available.

    Raises:
        NoSuchSplit: lists those there are.
    """
    others = next((names for names in SPLIT_ALIASES if split in names), ())
    matching = [split] if split in available else [name for name in others if name in available]
    if len(matching) != 1:
        alone = " Images of whatever split, if they are all there is, are asked for as 'train'."
        hold_out = (
            " To hold images out of a set with one split, use `ImageSet.split`; in a recipe, `data.test: 0.2` and "
            f"`data.validation: 0.1`.{alone}"
        )
        error = NoSuchSplit(
            f"`split` of {where} must be {' or '.join(map(repr, available))}, got {split!r}."
            f"{hold_out if list(available) == ['train'] else ''}"
        )
        error.available = tuple(available)
        raise error
    return available[matching[0]]


def _folders(base: Path) -> list[Path]:
    return sorted(path for path in base.iterdir() if path.is_dir()) if base.is_dir() else []


def check_shards(files: Sequence[Path]) -> None:
    """Raises a UserError where names as `train-00001-of-00002` say that a file is missing."""
    shards = [match for path in files if (match := _SHARD.search(path.name))]
    totals = {int(match[2]) for match in shards}
    if len(shards) != len(files) or len(totals) != 1:
        return
    missing = set(range(totals.pop())) - {int(match[1]) for match in shards}
    if missing:
        raise UserError(f"shard {min(missing):05d} is missing beside {str(files[0])!r}; copy the whole dataset.")
