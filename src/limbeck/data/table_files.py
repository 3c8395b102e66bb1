"""Which Parquet files of a folder belong to which split, by their names as in `datasets`.

Source of the rules: the patterns of `datasets.data_files` (https://github.com/huggingface/datasets). Two things differ:
case is ignored, and where `datasets` would leave files out, read one twice, or take test images for training images,
the folder is refused.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from limbeck.data.card import stated_files
from limbeck.data.layout import holds_images, listing
from limbeck.data.local import check_shards
from limbeck.data.splits import hinted_splits, stated_splits
from limbeck.data.visible import files_below
from limbeck.errors import UserError

SUFFIX = ".parquet"
_DEPTH = 3
_SHARD = re.compile(r"(\w+(?:\.\w+)*)-\d{5}-of-\d{5}.*\..*", re.IGNORECASE)
_INSIDE = re.compile(r"train(?:ing)?|test(?:ing)?|valid(?:ation)?|val|dev|eval(?:uation)?")
_HOW = (
    "Give all of them names with 'train', 'test' or 'validation' in them, between '-', '_', '.' or digits; or load one "
    "file or folder by itself."
)


def splits_by_file(folder: Path) -> dict[str, list[Path]]:
    """split -> its Parquet files in `folder`, sorted; empty where there are none.

    A dataset card (README.md) that lists files is followed. Otherwise, the first of these rules that gives a split for
    any file must give one for all: `data/<split>-00000-of-00001.parquet`; a folder's name, as in `test/0.parquet`; the
    file's own name, as in `cifar_test.parquet`. If none does, all files are "train".

    Raises:
        UserError: some names give a split and others do not, one gives two or only hints at one ("testset"), files of
            one split lie in several folders, a shard is missing.
    """
    files = sorted(files_below(folder, SUFFIX, _DEPTH))
    if files and (stated := stated_files(folder)):
        carded = {path: {split for split, paths in stated.items() if path in paths} for path in files}
        if any(carded.values()):
            return _grouped(folder, {path: splits for path, splits in carded.items() if splits})
    for rule in (_by_shard, _by_folder, _by_name):
        splits = {path: rule(path.relative_to(folder)) for path in files}
        if any(splits.values()):
            return _grouped(folder, splits)
    if half := _ambiguous(folder, files):
        raise UserError(f"{_listed(folder, half)} in {str(folder)!r} may be of a split, or not. {_HOW}")
    if files and not any(path.parent in (folder, folder / "data") for path in files) and holds_images(folder):
        raise UserError(
            f"{str(folder)!r} holds tables, {_listed(folder, files)}, and folders of images; load one of them."
        )
    return _grouped(folder, {path: {"train"} for path in files})


def _by_shard(path: Path) -> set[str]:
    match = _SHARD.fullmatch(path.name) if path.parent.name == "data" and len(path.parts) == 2 else None
    return {match[1].lower()} if match else set()


def _by_folder(path: Path) -> set[str]:
    return set().union(*map(stated_splits, path.parent.parts))


def _by_name(path: Path) -> set[str]:
    return stated_splits(path.name)


def _ambiguous(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Files whose names hint at a split ("testset"), or differ only in the split ("xtrain" and "xtest")."""
    names = {path: str(path.relative_to(folder)) for path in files}
    alike = Counter(_INSIDE.sub("*", name.lower()) for name in names.values())
    return [
        path
        for path, name in names.items()
        if any(map(hinted_splits, Path(name).parts)) or alike[_INSIDE.sub("*", name.lower())] > 1
    ]


def _grouped(folder: Path, splits: Mapping[Path, set[str]]) -> dict[str, list[Path]]:
    where = repr(str(folder))
    if unnamed := [path for path, candidates in splits.items() if not candidates]:
        others = [path for path, candidates in splits.items() if candidates]
        raise UserError(
            f"{_listed(folder, unnamed)} in {where} tell no split where {_listed(folder, others)} do. {_HOW}"
        )
    if double := [path for path, candidates in splits.items() if len(candidates) > 1]:
        names = listing(sorted(splits[double[0]]))
        raise UserError(f"{_listed(folder, double[:1])} in {where} may be of the splits {names}. {_HOW}")
    groups: dict[str, list[Path]] = {}
    for path, (split,) in splits.items():
        groups.setdefault(split, []).append(path)
    for split, files in groups.items():
        if len(parents := dict.fromkeys(path.parent for path in files)) > 1:
            raise UserError(
                f"the files of split {split!r} in {where} lie in several folders, {_listed(folder, parents)}; load one "
                "of them by itself, or put the files together."
            )
        check_shards(files)
    return groups


def _listed(folder: Path, paths: Sequence[Path] | Mapping[Path, object]) -> str:
    return listing(str(path.relative_to(folder)) for path in paths)
