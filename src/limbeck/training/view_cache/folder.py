"""Folders of a teacher's cached outputs, their description, and the removal of those private to a process."""

import atexit
import json
import os
import platform
import shutil
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from limbeck.caching import cache_entries, cache_folder, cache_key
from limbeck.data.views import Augmentation
from limbeck.files import atomic_write_text
from limbeck.models.description import describe
from limbeck.models.forward import FrozenTeacher
from limbeck.training.distributed import process_token

_VERSION = 2  # 1 had a folder for each set of images


def view_folder(
    teacher: FrozenTeacher, fingerprint: str, shape: tuple[int, int, int], views: Augmentation, *, shared: bool
) -> Path:
    """The folder of a teacher's outputs for `views` of images of one shape, from whatever set.

    Args:
        fingerprint: of the teacher's classifier.
        shape: (C, H, W) of the images.
        shared: whether all processes use it; else it is private to this one.
    """
    process = None if shared else process_token()
    code = [describe(views)[0]] if views.own else []  # the key names code whose content may change
    key = cache_key("views", _VERSION, fingerprint, teacher.computing, shape, views.key, process, *code)
    return cache_folder() / "views" / key


def note_use(
    folder: Path, teacher: FrozenTeacher, shape: tuple[int, int, int], views: Augmentation, *, shared: bool
) -> None:
    """Writes what `limbeck cache ls` shows; the file's modification time is that of the last use.

    A folder that is not shared is deleted when this process ends, or by a later process if this one is killed.
    """
    about = folder / "about.json"
    if about.exists():
        os.utime(about)
        return
    content = {
        "version": _VERSION,
        "teacher": teacher.classifier.name,
        "shape": shape,
        "views": views.key,
        "views_per_image": views.distinct,
        "precision": str(teacher.dtype).removeprefix("torch."),
        "device": teacher.device.type,
        "created": datetime.now(UTC).isoformat("T", "seconds"),
        "process": None if shared else [os.getpid(), platform.node()],
    }
    atomic_write_text(about, json.dumps(content, indent=1) + "\n")
    if not shared:
        _remove_at_exit(folder)
        _remove_of_ended_processes()


@cache
def _remove_at_exit(folder: Path) -> None:
    made_by = os.getpid()

    def remove() -> None:
        if os.getpid() == made_by:  # not in a forked process
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def _remove_of_ended_processes() -> None:
    for entry in cache_entries("views"):
        process = entry.about.get("process")
        if process is not None and process[1] == platform.node() and not _runs(process[0]):
            shutil.rmtree(entry.path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
