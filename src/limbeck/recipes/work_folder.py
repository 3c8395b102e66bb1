"""Folders in which transfer sets are made: locked, resumed with the same request, or reused after a refusal."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.files import atomic_write_text, check_path, disk_errors
from limbeck.locks import LOCK_FILE, only_one
from limbeck.models.fingerprint import fingerprint
from limbeck.progress import Progress
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.settings import MakerSettings

_REFUSED = "refused"
"""File in a work folder: making ended in a UserError."""
_CALLED = {
    "shape": "size of the images",
    "judged": "images to be judged on",
    "files": "files that settings name",
}
"""Names in messages of entries that earlier versions did not write."""


def check_new(target: Path) -> None:
    """Raises a UserError if the folder exists or its path is invalid."""
    check_path(target)
    if target.exists():
        raise UserError(f"{str(target)!r} exists already and is never overwritten; choose another --out.")


def making_folder(target: Path) -> Path:
    """The work folder, in which a maker keeps what it needs to resume until `target` is there."""
    return target.with_name(f"{target.name}.making")


@contextmanager
def making(target: Path, progress: Progress) -> Iterator[Path]:
    """Locks and yields the folder to make `target` in, waiting for any other process that makes it.

    Raises:
        UserError: the target exists by then.
    """
    folder = making_folder(target)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    waiting = f"another process makes {str(target)!r}; waiting for it"
    with ExitStack() as alone:
        try:
            alone.enter_context(only_one(folder, lambda: progress.say(waiting)))
        except FileNotFoundError:  # the other process has ended, and removed the folder with its lock
            check_new(target)
            raise
        if target.exists() and {entry.name for entry in folder.iterdir()} <= {LOCK_FILE}:
            shutil.rmtree(folder, ignore_errors=True)  # recreated by waiting for the lock
        check_new(target)
        yield folder


@contextmanager
def beginning(folder: Path, settings: MakerSettings, context: MakerContext) -> Iterator[None]:
    """Records in a folder what is made there, or checks that it is resumed with what it was begun with.

    After a UserError, other settings are allowed to reuse the folder, as they are what is needed; scores and experts in
    it stay. A folder with a checkpoint may not be reused: what was learned before the error is not discarded.

    Raises:
        UserError: something else was begun there.
    """
    _check_same_request(folder, settings, context)
    (folder / _REFUSED).unlink(missing_ok=True)
    try:
        yield
    except UserError:
        if not any((context.folder / name).exists() for name in getattr(find_maker(settings.maker), "checkpoints", ())):
            atomic_write_text(folder / _REFUSED, "")
        raise


def _check_same_request(folder: Path, settings: MakerSettings, context: MakerContext) -> None:
    """Records in a folder what is begun there; raises a UserError if something else was begun and not refused."""
    path, now = folder / "begun.json", _request(settings, context)
    if path.exists():
        before = _read_request(path, settings)
        remarks = _take_over_rounding(before["settings"], now["settings"], settings.maker)
        differing = _differences(before, now)
        if differing and not (folder / _REFUSED).exists():
            raise UserError(
                f"{str(folder)!r} holds what was begun with other {' and other '.join(differing)}; go on with what it "
                "was begun with, remove that folder, or choose another --out."
            )
        if not differing and not remarks:
            return
        if differing:
            _clear(folder, settings, context)
        else:
            for remark in remarks:
                context.progress.say(remark)
    else:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, json.dumps(now, indent=1) + "\n")


def _request(settings: MakerSettings, context: MakerContext) -> dict[str, Any]:
    """What a transfer set is made with, as `begun.json` has it."""
    pool, teacher = context.pool, context.teacher
    return {
        "settings": settings.model_dump(mode="json"),
        "seed": context.seed,
        "images": None if pool is None else pool.fingerprint,
        "teacher": None if teacher is None else fingerprint(teacher),
        "shape": list(context.shape),
        "judged": [images.fingerprint for images in context.held_out],
        "files": settings.named_files(),
    }


def _read_request(path: Path, settings: MakerSettings) -> dict[str, Any]:
    """What was begun, its settings as this version would write them; a damaged file counts as empty."""
    try:
        before = dict(json.loads(path.read_text()))
    except (ValueError, TypeError):
        before = {}
    return before | {"settings": _as_now(before.get("settings"), settings)}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, in words for an error; entries that earlier versions did not write are not compared."""
    compared = [name for name in now if name in before or name not in _CALLED]
    differing = [_CALLED.get(name, name) for name in compared if before.get(name) != now[name]]
    if "settings" in differing:
        differing[differing.index("settings")] += _first_change(before["settings"], now["settings"])
    return differing


def _first_change(before: Any, now: Any, path: str = "") -> str:
    """The first difference of settings, in brackets."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in now:
            if before.get(name) != now[name]:
                return _first_change(before.get(name), now[name], f"{path}.{name}".lstrip("."))
    return f" (`{path}` {before!r} then, {now!r} now)" if path else ""


def _as_now(before: Any, settings: MakerSettings) -> Any:
    """Settings written by an earlier version, with defaults for newer ones; unchanged if they are invalid now."""
    try:
        return type(settings).model_validate(before).model_dump(mode="json")
    except ValueError:
        return before


def _clear(folder: Path, settings: MakerSettings, context: MakerContext) -> None:
    """Removes what refused settings left, except what other settings can use: scores and experts."""
    for path in (*folder.iterdir(), *(context.folder.iterdir() if context.folder.exists() else ())):
        kept = path == context.folder or path.name == LOCK_FILE  # this process holds the lock
        if kept or path.name in getattr(find_maker(settings.maker), "findable", ()):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _take_over_rounding(before: Any, now: Any, maker: str) -> list[str]:
    """Copies settings that only change rounding from `now` to `before`; returns a remark on each that differed."""
    remarks = []
    for path in rounding_settings(maker):
        *groups, name = path.split(".")
        then, new = before, now
        for group in groups:
            then, new = (settings.get(group) if isinstance(settings, Mapping) else None for settings in (then, new))
        if isinstance(then, dict) and isinstance(new, Mapping) and then.get(name) != new[name]:
            remarks.append(rounding_remark(path, then.get(name), new[name]))
            then[name] = new[name]
    return remarks


def rounding_settings(maker: str) -> tuple[str, ...]:
    """Paths of a maker's settings that may change while a set is made, as they only change rounding."""
    return getattr(find_maker(maker), "rounding", ())


def rounding_remark(path: str, then: Any, now: Any) -> str:
    """A remark on the change of a setting that only changes rounding."""
    return (
        f"`{path}` was {then} and is {now}: from here on, images may differ by rounding from those without the change"
    )
