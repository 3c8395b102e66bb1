"""The cache folder, which holds only what limbeck can make again: listing and deleting its entries."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from limbeck.errors import UserError, unknown_name
from limbeck.files import disk_errors

KINDS = {
    "views": "teachers' outputs for views",
    "features": "embeddings of frozen networks",
    "whitening": "matrices that whiten images",
    "decoded": "decoded images",
    "arrow": "columns of tables",
    "digests": "hashes of images",
    "streams": "images read from streams",
    "select": "networks trained to score images",
    "experts": "experts that images are condensed by",
    "autotune": "what this machine computes fastest in",
    "scripts": "what draws the charts of reports",
}

_SUFFIXES = {
    "features": ".safetensors",
    "whitening": ".safetensors",
    "arrow": ".arrow",
    "digests": ".npy",
    "autotune": ".json",
    "scripts": ".js",
}
"""Of entries that are files; all others are folders."""
_NAME = "(?:[0-9a-z]+-)?[0-9a-f]{16}(?:[0-9a-f]{16})?"
_TEMPORARY = "[0-9a-z_]{8}"  # what `tempfile` puts after a prefix
_ABANDONED_AFTER = timedelta(days=1)
_KEY_VERSION = 1


@dataclass(frozen=True)
class CacheEntry:
    """One entry of the cache.

    Attributes:
        kind: one of `KINDS`.
        key: its name, 16 or 32 hex digits, without a prefix; users may shorten it to a unique beginning.
        path: file or folder.
        bytes: space it takes on the disk; of sparse files, what was written.
        used: when it was made or, of views, last opened.
        about: its metadata.
    """

    kind: str
    key: str
    path: Path
    bytes: int
    used: datetime
    about: dict[str, Any]


def cache_folder() -> Path:
    """`$LIMBECK_CACHE`, else `$XDG_CACHE_HOME/limbeck`, else `~/.cache/limbeck`; safe to delete at any time."""
    if folder := os.environ.get("LIMBECK_CACHE"):
        return Path(folder).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "limbeck"


def cache_key(*parts: object) -> str:
    """32 hex digits for Json-able `parts`."""
    text = json.dumps([_KEY_VERSION, *parts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cache_entries(kind: str | None = None) -> list[CacheEntry]:
    """What the cache holds, by kind, the largest first; other files in its folders, which limbeck did not make, are no
    entries.

    Raises:
        UserError: an unknown `kind`.
    """
    return _entries(kind, lambda suffix: f"{_NAME}{suffix}")


def abandoned_entries(kind: str | None = None) -> list[CacheEntry]:
    """What processes that were killed had begun to write: nobody wrote to it for a day.

    Raises:
        UserError: an unknown `kind`.
    """
    begun = _entries(kind, lambda suffix: rf"\.{_NAME}{suffix}(?:\.old)?\.{_TEMPORARY}{suffix}")
    return [entry for entry in begun if datetime.now().astimezone() - entry.used > _ABANDONED_AFTER]


def _entries(kind: str | None, pattern: Callable[[str], str]) -> list[CacheEntry]:
    """The entries of a kind, or of all, whose names are as the pattern for their suffix says."""
    if kind is not None and kind not in KINDS:
        raise unknown_name("kind of cache", kind, KINDS)
    entries = []
    for name in [kind] if kind else KINDS:
        folder, wanted = cache_folder() / name, re.compile(pattern(re.escape(_SUFFIXES.get(name, ""))))
        paths = [path for path in folder.iterdir() if wanted.fullmatch(path.name)] if folder.is_dir() else []
        entries += sorted((_entry(name, path) for path in paths), key=lambda entry: -entry.bytes)
    return entries


def matching_entries(keys: Iterable[str], kind: str | None = None) -> list[CacheEntry]:
    """The entries whose keys start with `keys`, one for each.

    Raises:
        UserError: a key that no entry starts with, or more than one.
    """
    entries = cache_entries(kind)
    matches = []
    for key in keys:
        candidates = [entry for entry in entries if entry.key.startswith(key)]
        if len(candidates) != 1:
            problem = f"{len(candidates)} entries start with" if candidates else "no entry starts with"
            raise UserError(f"{problem} {key!r}; `limbeck cache ls` lists all keys.")
        matches += candidates
    return matches


def remove_entries(entries: Iterable[CacheEntry]) -> int:
    """Deletes entries; returns the bytes freed. A running process keeps the files it has open until it ends."""
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
    stats = list(_stats(path))
    return CacheEntry(
        kind,
        path.stem.rpartition("-")[2],  # the digits of "autoencoder-0123..."
        path,
        sum(map(_bytes_on_disk, stats)),
        datetime.fromtimestamp(max((stat.st_mtime for stat in stats), default=0)).astimezone(),
        _about(kind, path),
    )


def _stats(path: Path) -> Iterator[os.stat_result]:
    """Of a file, or of a folder and everything in it, less what another process deletes meanwhile."""
    for file in [path, *(path.rglob("*") if path.is_dir() else ())]:
        with suppress(FileNotFoundError):
            yield file.stat()


def _bytes_on_disk(stat: os.stat_result) -> int:
    """By blocks where the system counts them: a sparse file of teacher outputs has its full length from the start."""
    blocks = getattr(stat, "st_blocks", None)  # which Windows lacks
    return stat.st_size if blocks is None else blocks * 512


def _about(kind: str, path: Path) -> dict[str, Any]:
    """The metadata of an entry, empty where it is damaged."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                return dict(file.metadata() or {})
        if path.suffix == ".json":
            return json.loads(path.read_text())
        if kind == "select":
            return _about_network(path)
        about = json.loads((path / "about.json").read_text())
        if (index := path / "index.bin").exists():
            about["images"] = index.stat().st_size // 16  # bytes of a hash
        return about
    except (OSError, ValueError, SafetensorError):
        return {}


def _about_network(folder: Path) -> dict[str, Any]:
    """What a network was trained for, "autoencoder" or "forgetting"; of a run also its model and epochs."""
    import yaml  # late: of all users of the cache folder, only this one reads recipes

    purpose, recipe = folder.name.rpartition("-")[0], folder / "recipe.yaml"
    try:
        run = yaml.safe_load(recipe.read_text()) if recipe.exists() else None
    except yaml.YAMLError:
        run = None
    if not isinstance(run, dict):
        return {"network": purpose}
    return {"network": f"{purpose} of {run.get('model')}, {run.get('epochs')} epochs"}
