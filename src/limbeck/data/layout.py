"""Which subfolders are splits and which are classes, decided by the whole layout and not by single names."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from limbeck.data.splits import hinted_splits, is_split, without_split
from limbeck.data.visible import images_below, images_in, subfolders
from limbeck.errors import UserError

_SHOWN = 4


def split_folders(folder: Path) -> dict[str, Path]:
    """split -> its folder, for all subfolders of `folder`; empty where they are classes.

    A name such as `train` or `test_images` makes a subfolder a split only where the others are splits, too: where all
    have such names, or two of them hold the same class folders; the others are then splits under their own names.
    Beside folders of images with other names, it is a class.

    Raises:
        UserError: both readings are plausible, or two folders are of one split.
    """
    layout = _Layout(folder)
    if not layout.named or layout.are_classes():
        return {}
    if not layout.are_splits():
        raise layout.doubt()
    splits = [layout.named.get(path, path.name) for path in layout.folders]
    twice = [split for split, count in Counter(splits).items() if count > 1]
    if twice:
        same = [path for path, split in layout.named.items() if split == twice[0]]
        raise UserError(
            f"{str(folder)!r} holds several folders of the split {twice[0]!r}, {names(same)}; put them into one, or "
            "load one of them by itself."
        )
    return dict(zip(splits, map(_unwrapped, layout.folders), strict=True))


class _Layout:
    """The subfolders of `folder` that hold images, and the evidence for their being splits.

    Attributes:
        folders: those that hold images, also further down; and those without images that are named like a split.
        named: folder -> the one split that its name says, for those that hold images.
        nested: of these, those whose images are all in subfolders, as in labelled splits.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all = subfolders(folder)
        filled = [path for path in self._all if holds_images(path)]
        hinted = {path: hinted_splits(path.name) for path in filled}
        self.named = {path: splits.pop() for path, splits in hinted.items() if len(splits) == 1}
        self.nested = [path for path in self.named if not any(True for _ in images_in(path))]
        self._others = [path for path in filled if path not in self.named]
        self._exact = [path for path in self.named if is_split(path.name)]
        self.folders = [path for path in self._all if path in filled or is_split(path.name)]

    def are_classes(self) -> bool:
        """Whether folders of images stand side by side, and no more of them are named like splits than otherwise."""
        if not self._others:
            return len(self.named) == 1 and not self._exact
        return not self.nested and len(self._exact) <= len(self._others)

    def are_splits(self) -> bool:
        """Whether all folders are named so or, with others among them, at least two hold the same class folders."""
        alike = len(self.nested) > 1 and self._share_classes()
        if self._others:
            return alike and len(self._others) <= len(self.named)
        if len(self._exact) == len(self.named):
            return len(self.named) > 1 or bool(self.nested) or self.folders == self._all
        return alike or len({without_split(path.name) for path in self.named}) == 1

    def doubt(self) -> UserError:
        """The error that states both readings, and how to choose either."""
        folder, first = str(self.folder), next(iter(self.named))
        found = ", ".join(f"{path.name}/ ({inside(path)})" for path in self._all[:_SHOWN])
        return UserError(
            f"{folder!r} holds {found}: {names(self.named)} may be of a split ({listing(self.named.values())}), or may "
            f"be one of the classes. For the split, load {str(first)!r}, or leave only folders of splits "
            f"('train', 'test', 'validation') in {folder!r}; for the classes, move all of them into a new folder "
            f"{str(self.folder / 'all' / 'train')!r} and load {str(self.folder / 'all')!r}."
        )

    def _share_classes(self) -> bool:
        """Whether each nested folder shares a class folder with the one that has the most."""
        classes = sorted(({path.name for path in subfolders(_unwrapped(split))} for split in self.nested), key=len)
        return all(group & classes[-1] for group in classes)


def split_below(class_folder: Path) -> Path | None:
    """A folder of a split among those of a class, where all of these are splits; else None."""
    inner = subfolders(class_folder)
    return inner[-1] if inner and all(hinted_splits(path.name) for path in inner) else None


def innermost(folder: Path) -> Path:
    """Down from `folder` through folders that hold one folder and no images."""
    inner = subfolders(folder)
    return innermost(inner[0]) if len(inner) == 1 and not any(True for _ in images_in(folder)) else folder


def _unwrapped(split: Path) -> Path:
    """The inner folder of `train/train/{cat,dog}`, as left by archives unpacked into a folder of their name."""
    inner = subfolders(split)
    if [path.name for path in inner] != [split.name] or any(True for _ in chain(images_in(split), images_in(inner[0]))):
        return split
    return inner[0]


def inside(folder: Path) -> str:
    """What a folder holds, in a few words."""
    if any(True for _ in images_in(folder)):
        return "images"
    return f"folders {names(subfolders(folder))}" if holds_images(folder) else "no images"


def names(paths: Iterable[Path]) -> str:
    """The first few names of `paths`."""
    return listing(path.name for path in paths)


def listing(words: Iterable[str]) -> str:
    """The first few distinct words, quoted, and how many more there are."""
    distinct: Sequence[str] = list(dict.fromkeys(words))
    more = len(distinct) - _SHOWN
    return ", ".join(chain((repr(word) for word in distinct[:_SHOWN]), [f"{more} more"] if more > 0 else []))


def holds_images(folder: Path) -> bool:
    """Whether there are images in `folder`, in its subfolders (links included), or further down."""
    below = chain(images_in(folder), chain.from_iterable(map(images_below, subfolders(folder))))
    return any(True for _ in below)
