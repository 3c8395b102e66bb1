"""Messages about images in formats that cannot be read, such as those of phones and cameras."""

import shlex
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from limbeck.data.class_names import printable
from limbeck.data.visible import subfolders, unread_below

_SHOWN = 4


def unread_images(folder: Path) -> list[Path]:
    """The images in `folder` and below (including class folders that are links) whose formats cannot be read."""
    return sorted(chain(*map(unread_below, [path for path in subfolders(folder) if path.is_symlink()] + [folder])))


def passed_over(folder: Path) -> tuple[str, ...]:
    """The remark on images of `folder` in formats that cannot be read: how many, in which folders, and what to do;
    empty where there are none."""
    unread = unread_images(folder)
    if not unread:
        return ()
    places = Counter(path.parent for path in unread)
    counts = [f"{count:,} in {str(place)!r}" for place, count in places.items()]
    more = f" and {len(counts) - _SHOWN:,} more folders" if len(counts) > _SHOWN else ""
    many = "1 image is" if len(unread) == 1 else f"{len(unread):,} images are"
    return (
        f"{many} passed over, {', '.join(counts[:_SHOWN])}{more}: {_endings(unread)} cannot be read. "
        f"{how_to_convert(unread, folder)}",
    )


def how_to_convert(unread: Iterable[Path], folder: Path) -> str:
    """Advice on converting them, with a command for the commonest suffix."""
    (suffix, _), *_ = Counter(path.suffix.lower() for path in unread).most_common(1)
    find = f"find {printable(shlex.quote(str(folder)))} -iname '*{suffix}'"
    return (
        f"Convert them to JPEG, for instance by `{find} -exec mogrify -format jpg -quality 95 {{}} +` (of ImageMagick; "
        "docs/data.md has a way in Python); they may stay beside what is made of them."
    )


def _endings(paths: Iterable[Path]) -> str:
    """The suffixes with their counts: ".heic (5) and .dng (1)"."""
    counts = Counter(path.suffix.lower() for path in paths)
    return " and ".join(f"{suffix} ({count:,})" for suffix, count in counts.most_common())
