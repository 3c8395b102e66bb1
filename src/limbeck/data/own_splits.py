"""Which splits a folder or file of the user's own has, and which of them evaluates students; without torch."""

import zipfile
from pathlib import Path

from limbeck.data.catalogue import in_catalogue
from limbeck.data.idx import idx_files
from limbeck.data.layout import split_folders
from limbeck.data.local import SPLIT_ALIASES
from limbeck.data.place import FROM_PYTHON
from limbeck.data.table_files import SUFFIX, splits_by_file

TRANSFER_SET = "transfer_set.json"
"""The file by which a folder is recognised as a transfer set."""
TRAIN, VALIDATION, TEST = (names[0] for names in SPLIT_ALIASES)


def own_path(name: str | Path) -> Path | None:
    """The folder or file that `name` stands for; None for names of the catalogue or hub, objects, and missing paths."""
    text = str(name)
    if text.startswith(FROM_PYTHON) or in_catalogue(name):
        return None
    path = Path(name).expanduser()
    return path if path.exists() else None


def own_splits(name: str | Path) -> tuple[str, ...]:
    """The splits of a folder or file, found without decoding; empty for anything else and for transfer sets.

    A folder without folders of splits, and a table, have the one split "train".

    Raises:
        UserError: a layout that can be read in two ways.

    Example:
        >>> own_splits("digits")  # of the catalogue
        ()
    """
    path = own_path(name)
    if path is None or (path / TRANSFER_SET).is_file():
        return ()
    if path.is_dir():
        idx = {split for split, kind in idx_files(path) if kind == "images"}
        return tuple(idx or splits_by_file(path) or split_folders(path)) or (TRAIN,)
    if path.suffix.lower() == SUFFIX:
        return (TRAIN,)
    return _splits_of_arrays(path) if path.suffix == ".npz" else ()


def evaluation_split(name: str | Path) -> tuple[str, str]:
    """The split that students are evaluated on by default, and a few words on why where that is not "test".

    The test images if there are any, else the validation images, else all images of a folder without splits.

    Raises:
        UserError: see `own_splits`.

    Example:
        >>> evaluation_split("digits")
        ('test', '')
    """
    splits = own_splits(name)
    if not splits or TEST in splits:
        return TEST, ""
    if VALIDATION in splits:
        return VALIDATION, f"the validation images of {str(name)!r} are judged on, for it has no test images"
    if splits == (TRAIN,):
        return TRAIN, f"all images of {str(name)!r} are judged on, for it has no splits"
    return TEST, ""  # loading it raises an error that lists the splits


def _splits_of_arrays(path: Path) -> tuple[str, ...]:
    """The splits in the names of arrays, such as "x_test"; "train" where there are none."""
    try:
        with zipfile.ZipFile(path) as archive:
            words = {word for name in archive.namelist() for word in name.removesuffix(".npy").split("_")}
    except (OSError, zipfile.BadZipFile):
        return (TRAIN,)  # reading the file will report what is wrong
    return tuple(names[0] for names in SPLIT_ALIASES if words & set(names)) or (TRAIN,)
