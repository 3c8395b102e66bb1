"""What a name stands for: it may be in the catalogue, on the hub, or on this disk."""

import os
import re
from pathlib import Path

from limbeck.data.catalogue import DATASETS, in_catalogue
from limbeck.data.local import ROOT_VARIABLE
from limbeck.import_paths import FROM_PYTHON

__all__ = ["FROM_PYTHON", "hub_id", "is_path", "other_reading", "path_text"]

_HUB_ID = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?")


def is_path(name: str | Path) -> bool:
    """Whether `name` can only be a path: a `Path`, or a string that is absolute or begins with `./`, `../` or `~`."""
    if not isinstance(name, str):
        return True
    return Path(name).is_absolute() or name.startswith("~") or re.match(r"\.{1,2}([/\\]|$)", name) is not None


def path_text(path: str | Path) -> str:
    """A path as a string that `load` takes for a path as well: `Path("cifar10")` is "./cifar10"; strings stay.

    Example:
        >>> path_text(Path("cifar10")), path_text(Path("/data/own")), path_text("cifar10")
        ('./cifar10', '/data/own', 'cifar10')
    """
    text = str(path)
    return text if is_path(text) or isinstance(path, str) else f".{os.sep}{text}"


def hub_id(name: str | Path) -> tuple[str, str | None] | None:
    """("owner/name", configuration or None) if `name` has the form of a hub id, else None."""
    match = None if is_path(name) else _HUB_ID.fullmatch(str(name))
    return match and (match[1], match[2])


def other_reading(name: str | Path, root: str | Path | None) -> str | None:
    """The remark on a name that stands for two things that both exist; None for other names."""
    path = Path(name)
    if is_path(name) or not path.exists():
        return None
    kind = "folder" if path.is_dir() else "file"
    if in_catalogue(str(name)):
        return (
            f"{name!r} is a data set of the catalogue and a {kind} here. The data set was taken; './{name}' is the "
            f"{kind}. (Rename the {kind} to be rid of this warning.)"
        )
    place = hub_id(name)
    if place is None:
        return None
    folder = Path(root or os.environ.get(ROOT_VARIABLE) or os.devnull).expanduser() / place[0]
    if folder.is_dir() and not folder.samefile(path):
        other = f"the data set {str(folder)!r} under the local root, which that path names"
    elif listed := next((info.name for info in DATASETS.built_in.values() if info.hub_id == name), None):
        other = f"a data set on the hub, which the catalogue calls {listed!r}"
    else:
        return None
    return f"{name!r} is a {kind} here and {other}. The {kind} was taken; './{name}' says so without this warning."
