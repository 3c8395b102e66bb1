"""A folder of class folders, each with images of that class; or of train/ and test/ folders of those."""

from pathlib import Path

import numpy as np

from limbeck.data.cells import FileCells
from limbeck.data.local import SPLIT_ALIASES, canonical_split, choose_split
from limbeck.data.source import Source
from limbeck.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif"}
    | {".tiff", ".webp"}
)
_SPLIT_NAMES = frozenset(name for names in SPLIT_ALIASES for name in names)


def folder_source(folder: Path, split: str) -> Source:
    """The images below `folder` and their classes: the names of its subfolders, sorted.

    With `train/` and `test/` or `val/` in it, the classes of every split are numbered as in `train/`. A folder with
    images and no subfolders is an unlabelled set. Files with other endings than images have are passed over, hidden
    ones too.

    Raises:
        UserError: no images, an empty class folder, an unknown split, a class that training does not have.
    """
    splits = _splits(folder)
    if not splits:
        choose_split({"train": []}, split, repr(str(folder)))
        return _labelled(folder, None)
    (chosen,) = choose_split(splits, split, repr(str(folder)))
    known = [path.name for path in _subfolders(splits["train"][0])] if "train" in splits else []
    return _labelled(chosen, known or None)


def _splits(folder: Path) -> dict[str, list[Path]]:
    """split -> its one folder; empty where the subfolders are classes."""
    names = {path.name.lower(): path for path in _subfolders(folder)}
    if not names or not ("train" in names or set(names) <= _SPLIT_NAMES):
        return {}
    return {canonical_split(name): [path] for name, path in names.items() if name in _SPLIT_NAMES}


def _labelled(folder: Path, known: list[str] | None) -> Source:
    class_folders = _subfolders(folder)
    loose = [path for path in sorted(folder.iterdir()) if _is_image(path)]
    if not class_folders:
        if not loose:
            raise UserError(
                f"{str(folder)!r} holds no images (of {', '.join(sorted(IMAGE_SUFFIXES))}) and no class folders."
            )
        return Source(FileCells(loose), None, ())
    if loose:
        raise UserError(
            f"{str(folder)!r} holds images beside class folders, for instance {loose[0].name!r}; put each into one."
        )
    classes = [path.name for path in class_folders] if known is None else known
    numbers = {name: number for number, name in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    for class_folder in class_folders:
        if class_folder.name not in numbers:
            raise UserError(f"class folder {str(class_folder)!r} has no counterpart among the training classes.")
        images = sorted(path for path in class_folder.rglob("*") if _is_image(path))
        if not images:
            raise UserError(f"class folder {str(class_folder)!r} holds no images; add some or remove it.")
        paths += images
        labels += [numbers[class_folder.name]] * len(images)
    return Source(FileCells(paths), np.array(labels, dtype=np.int64), tuple(classes))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
