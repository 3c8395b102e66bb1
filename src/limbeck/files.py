"""Writing files and folders so that a reader sees the old content or the new, never half of it."""

import errno
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from limbeck.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
_SWAPS = 100
"""Attempts at replacing a folder that other processes replace at the same time."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Turn a full or forbidden disk into a `UserError` that says where and how much room there is.

    Raises:
        UserError: no space left, quota exceeded, no permission to write, a folder in which nothing can be made, or a
            file where a folder must be and the other way round; any other `OSError` passes through.

    Example:
        >>> with disk_errors("note.txt"):
        ...     Path("note.txt").write_text("hello")
        5
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(
                f"no space left on the disk of {str(path)!r} ({free_bytes(path) / 2**20:.0f} MiB free); what was "
                "there before is intact. Make room, or choose a folder on another disk."
            ) from error
        if error.errno in _FORBIDDEN:
            raise UserError(
                f"cannot write {str(path)!r}: {error.strerror}. Choose a folder you may write to."
            ) from error
        if error.errno == errno.ENOENT and not takes_files(folder := nearest_folder(path)):
            raise UserError(
                f"cannot write {str(path)!r}: nothing can be made in {str(folder)!r}. Choose a folder you may write to."
            ) from error
        if error.errno in _IN_THE_WAY:
            blocking = next(place for place in (Path(path), *Path(path).parents) if place.exists())
            raise UserError(
                f"cannot write {str(path)!r}: {str(blocking)!r} is in its way. Choose another name."
            ) from error
        raise


def nearest_folder(path: str | Path) -> Path:
    """The nearest existing folder above `path`."""
    return next(parent for parent in Path(path).absolute().parents if parent.is_dir())


def takes_files(folder: Path) -> bool:
    """Whether files can be made in a folder; not in the kernel's own, even where permissions allow writing."""
    try:
        with tempfile.TemporaryDirectory(dir=folder):
            return True
    except OSError:
        return False


def check_path(path: str | Path) -> None:
    """Refuse a path that the file formats used here cannot take.

    Raises:
        UserError: its bytes are not text in the encoding of the system, as in file names of old archives.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"the path {os.fsencode(path)!r} must be text in the encoding that this system says file names have "
            f"({sys.getfilesystemencoding()}); rename it, or choose another."
        ) from error


def free_bytes(path: str | Path) -> int:
    """Bytes free on the disk that holds `path` or, where that does not exist yet, its nearest existing parent."""
    path = Path(path).absolute()
    return shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block ends well and removed when it does not.

    Raises:
        UserError: see `check_path` and `disk_errors`; an older file at `path` is then untouched.

    Example:
        >>> with atomic_path("ids.txt") as temporary:
        ...     Path(temporary).write_text("7 12 30")
        7
    """
    path = Path(path)
    check_path(path)
    if path.name in ("", ".."):
        raise UserError(f"the path must name a file, got {str(path)!r}, which is a folder.")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all; missing parent folders are made."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(path: str | Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all; missing parent folders are made."""
    atomic_write_bytes(path, content.encode(errors="backslashreplace"))  # it may hold file names that are not text


@contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty temporary folder beside `path`, renamed onto it when the block ends well.

    Args:
        path: the folder to make.
        replace: whether an existing folder may be replaced; it stays whole until the new one is complete.

    Raises:
        UserError: `path` exists and `replace` is false; or see `place_new`, `check_path` and `disk_errors`.
    """
    path = Path(path)
    check_path(path)
    if path.exists() and not replace:
        raise UserError(f"{str(path)!r} exists already and is never overwritten; choose another folder or remove it.")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Both names are made by mkdtemp so that two processes writing the same folder never share one.
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            temporary.chmod(0o777 & ~_umask())
            if replace:
                _swap(temporary, path)
            else:
                place_new(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def place_new(new: Path, path: Path) -> None:
    """Renames a finished folder to `path`, which did not exist when it was begun; what is there by now stays.

    Raises:
        UserError: there is something by now; the finished folder is then beside it, under the name that is given.
    """
    if not path.exists():
        try:
            new.rename(path)
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
        else:
            return
    beside = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    kept = next(place for place in beside if not place.exists())
    new.rename(kept)
    raise UserError(
        f"{str(path)!r} was made by somebody else meanwhile and is never overwritten; what was to be there is whole in "
        f"{str(kept)!r}. Rename it as you like."
    )


def _swap(new: Path, path: Path) -> None:
    """Renames a folder to `path` and removes what was there; other processes may do the same at any moment."""
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        for attempt in range(1, _SWAPS + 1):
            with suppress(FileNotFoundError):
                path.rename(old / str(attempt))
            try:
                new.rename(path)
                return
            except OSError as error:
                if error.errno not in _IN_THE_WAY or attempt == _SWAPS:
                    with suppress(OSError):
                        (old / str(attempt)).rename(path)
                    raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Reach the disk before the rename does; else a power cut may leave a new name on old blocks."""
    writable = os.access(path, os.W_OK)  # a copy of a read-only file is read-only, too
    with path.open("r+b" if writable else "rb") as file:  # Windows syncs no file that is open only for reading
        os.fsync(file.fileno())


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
