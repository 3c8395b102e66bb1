"""Where a teacher's answers lie, what their folder says of itself, and those that are of use to one process only."""

import atexit
import json
import os
import platform
import shutil
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import torch

from limbeck.caching import cache_entries, cache_folder, cache_key
from limbeck.data.image_set import ImageSet
from limbeck.data.views import Augmentation
from limbeck.files import atomic_write_text
from limbeck.models.forward import FrozenTeacher
from limbeck.training.distributed import process_token

_VERSION = 1


def view_folder(
    teacher: FrozenTeacher, fingerprint: str, images: ImageSet, views: Augmentation, *, shared: bool
) -> Path:
    """The folder for answers to `views` of the set that `images` are of.

    Args:
        fingerprint: of the teacher's classifier.
        shared: by all processes; else no other process has the same.
    """
    origin, rows = images.origin
    # Where views hang on ids, and ids are not places, sets share answers only if all of their ids are equal.
    own_ids = views.by_id and not torch.equal(images.ids, rows)
    ids = images.fingerprint if own_ids else None
    process = None if shared else process_token()
    key = cache_key("views", _VERSION, fingerprint, teacher.computing, origin, views.key, ids, process)
    return cache_folder() / "views" / key


def note_use(folder: Path, teacher: FrozenTeacher, images: ImageSet, views: Augmentation, *, shared: bool) -> None:
    """Writes what `limbeck cache ls` shows; its time of change is that of the last use.

    Where the folder is not shared, it is deleted when this process ends; one that was killed leaves it to the next.
    """
    if not shared:
        _remove_at_exit(folder)
        _remove_of_ended_processes()
    about = folder / "about.json"
    if about.exists():
        os.utime(about)
        return
    content = {
        "teacher": teacher.classifier.name,
        "data": images.name,
        "images": images.origin_size,
        "views": views.key,
        "views_per_image": views.distinct,
        "precision": str(teacher.dtype).removeprefix("torch."),
        "device": teacher.device.type,
        "created": datetime.now(UTC).isoformat("T", "seconds"),
        "process": None if shared else [os.getpid(), platform.node()],
    }
    atomic_write_text(about, json.dumps(content, indent=1) + "\n")


@cache
def _remove_at_exit(folder: Path) -> None:
    made_by = os.getpid()

    def remove() -> None:
        if os.getpid() == made_by:  # and not a process that it forked
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
