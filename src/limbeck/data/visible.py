"""The visible content of a folder: images and subfolders, without what an operating system puts there."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from limbeck.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"}
    | {".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
# Of phones (HEIF), cameras (raw) and drawing programs; Pillow decodes none of these.
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".hif", ".jxl", ".svg", ".svgz"}
    | {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".kdc", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf"}
    | {".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
# Of macOS (archives and file shares), Python, Synology, QNAP, Windows, ext4, Android and NetApp. Jupyter's checkpoints,
# AppleDouble's `._` files and the like start with a dot.
_SYSTEM = re.compile(
    r"__macosx|network trash folder|temporary items|thevolumesettingsfolder|__pycache__|@eadir|@tmp|#recycle|#snapshot"
    r"|@recycle|@recently-snapshot|\$recycle\.bin|system volume information|found\.\d{3}|thumbs\.db|desktop\.ini"
    r"|ehthumbs(_vista)?\.db|lost\+found|lost\.dir|~snapshot"
)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or belongs to an operating system or a tool."""
    return name.startswith(".") or _SYSTEM.fullmatch(name.casefold()) is not None


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in `folder`, links to other folders included, but none to one that it lies in; sorted."""
    return sorted(Path(entry.path) for entry in _entries(folder) if entry.is_dir() and not _leads_back(entry))


def images_in(folder: Path) -> Iterator[Path]:
    """The image files directly in `folder`, in no order."""
    return (Path(entry.path) for entry in _entries(folder) if _is_image(entry))


def files_in(folder: Path) -> Iterator[Path]:
    """The files of any kind directly in `folder`, in no order."""
    return (Path(entry.path) for entry in _entries(folder) if entry.is_file())


def links_to_nothing(folder: Path) -> list[Path]:
    """The links directly in `folder` whose target is not there, sorted."""
    links = (Path(entry.path) for entry in _entries(folder) if entry.is_symlink())
    return sorted(link for link in links if not link.exists())


def images_below(folder: Path) -> Iterator[Path]:
    """The image files in `folder` and all folders below, links to folders not followed, in no order."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from images_below(Path(entry.path))
        elif _is_image(entry):
            yield Path(entry.path)


def unread_below(folder: Path) -> Iterator[Path]:
    """The images in `folder` and all folders below (as in `images_below`) in formats that cannot be read; without those
    beside a readable image of the same name, as cameras and conversion leave them."""
    unread: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from unread_below(Path(entry.path))
        elif PurePath(entry.name).suffix.lower() in UNREAD_SUFFIXES and entry.is_file():
            unread.append(Path(entry.path))
    read = {path.stem for path in images_in(folder)} if unread else set()
    yield from (path for path in unread if path.stem not in read)


def files_below(folder: Path, suffix: str, depth: int) -> Iterator[Path]:
    """The files that end in `suffix`, case ignored, in `folder` and at most `depth` levels below.

    Subfolders that hold images are not searched, so that a million images cost no time.
    """
    entries = _entries(folder)
    yield from (Path(entry.path) for entry in entries if entry.name.lower().endswith(suffix) and entry.is_file())
    for inner in subfolders(folder) if depth else ():
        if not any(True for _ in images_in(inner)):
            yield from files_below(inner, suffix, depth - 1)


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    """The visible entries, in no order; a generator, because a folder may hold a million."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not is_hidden(entry.name))
    except OSError as error:
        raise UserError(f"the folder {str(folder)!r} cannot be read: {error.strerror}.") from error


def _leads_back(entry: "os.DirEntry[str]") -> bool:
    if not entry.is_symlink():
        return False
    folder, target = Path(entry.path).parent.resolve(), Path(entry.path).resolve()
    return target == folder or target in folder.parents


def _is_image(entry: "os.DirEntry[str]") -> bool:
    if PurePath(entry.name).suffix.lower() not in IMAGE_SUFFIXES:
        return False
    # A broken link is a missing image (of git-annex, or of a moved folder), which must be reported, not ignored.
    return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
