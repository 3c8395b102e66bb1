"""The folder of everything that limbeck could make again: what is in it, and how to be rid of it."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from limbeck.errors import UserError, unknown_name
from limbeck.files import disk_errors

KINDS = {
    "views": "teachers' answers to views",
    "features": "embeddings of frozen networks",
    "decoded": "decoded images",
    "arrow": "columns of tables",
    "digests": "hashes of images",
    "autotune": "what this machine computes fastest in",
}

_KEY_VERSION = 1


@dataclass(frozen=True)
class CacheEntry:
    """One thing in the cache.

    Attributes:
        kind: one of `KINDS`.
        key: its name, 32 hex digits; unique prefixes do.
        path: file or folder.
        bytes: room it takes on the disk; of sparse files, what was written.
        used: when it was made or, of views, last opened.
        about: what it says of itself.
    """

    kind: str
    key: str
    path: Path
    bytes: int
    used: datetime
    about: dict[str, Any]


def cache_folder() -> Path:
    """`$LIMBECK_CACHE`, else `$XDG_CACHE_HOME/limbeck`, else `~/.cache/limbeck`; safe to delete at any time."""
    if named := os.environ.get("LIMBECK_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "limbeck"


def cache_key(*parts: object) -> str:
    """32 hex digits for Json-able `parts`."""
    text = json.dumps([_KEY_VERSION, *parts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cache_entries(kind: str | None = None) -> list[CacheEntry]:
    """What the cache holds, by kind, the largest first.

    Raises:
        UserError: an unknown `kind`.
    """
    if kind is not None and kind not in KINDS:
        raise unknown_name("kind of cache", kind, KINDS, f"there are {', '.join(KINDS)}")
    found = []
    for name in [kind] if kind else KINDS:
        folder = cache_folder() / name
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        found += sorted((_entry(name, path) for path in paths), key=lambda one: -one.bytes)
    return found


def matching_entries(keys: Iterable[str], kind: str | None = None) -> list[CacheEntry]:
    """The entries whose keys start so.

    Raises:
        UserError: a key that no entry starts with, or more than one.
    """
    entries = cache_entries(kind)
    found = []
    for key in keys:
        fitting = [one for one in entries if one.key.startswith(key)]
        if len(fitting) != 1:
            some = f"{len(fitting)} entries start with" if fitting else "no entry starts with"
            raise UserError(f"{some} {key!r}; `limbeck cache ls` lists all keys.")
        found += fitting
    return found


def remove_entries(entries: Iterable[CacheEntry]) -> int:
    """Deletes them; the room that becomes free, in bytes. What a running process has open it keeps till its end."""
    freed = 0
    for entry in entries:
        with disk_errors(entry.path):
            if entry.path.is_dir():
                shutil.rmtree(entry.path)
            else:
                entry.path.unlink(missing_ok=True)
        freed += entry.bytes
    return freed


def _entry(kind: str, path: Path) -> CacheEntry:
    files = [path, *(path.rglob("*") if path.is_dir() else ())]
    stats = [file.stat() for file in files]
    # Blocks, not length: a file of answers is as long as it may ever get.
    return CacheEntry(
        kind,
        path.stem,
        path,
        sum(stat.st_blocks * 512 for stat in stats),
        datetime.fromtimestamp(max(stat.st_mtime for stat in stats)).astimezone(),
        _about(path),
    )


def _about(path: Path) -> dict[str, Any]:
    """What an entry says of itself, nothing where it is damaged."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                return dict(file.metadata() or {})
        if path.suffix == ".json":
            return json.loads(path.read_text())
        return json.loads((path / "about.json").read_text())
    except (OSError, ValueError, SafetensorError):
        return {}
