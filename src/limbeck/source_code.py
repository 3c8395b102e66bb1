"""A digest of the source of a part, so that what is cached of it is not used once the source changes."""

import hashlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_COMPILED = (".so", ".pyd")
_BY_VERSION = ("numpy", "timm", "torch", "torchvision")
"""Packages whose version stands for their files, of which there are many."""


def source_digest(part: Any, module: str) -> str | None:
    """16 hex digits of all files of the package that a part is in, or of its module where that stands alone.

    Files are read as they are now, and modules outside the package do not count.

    Args:
        part: a function, a class or anything else that a module holds.
        module: the module's name; it has been imported.

    Returns:
        None where no file holds the part, as in a notebook.
    """
    loaded = sys.modules.get(module)
    if loaded is None or not _holds(loaded, part):
        return None
    if (name := module.partition(".")[0]) in _BY_VERSION or name in sys.stdlib_module_names:
        version = str(getattr(sys.modules.get(name), "__version__", sys.version))
        return hashlib.blake2b(f"{name} {version}".encode(), digest_size=8).hexdigest()
    top = _top(module)
    if top is None:
        return None
    files = [top]
    if top.name == "__init__.py":
        files = sorted(file for file in top.parent.rglob("*") if file.suffix in (".py", *_COMPILED))
    digest = hashlib.blake2b(digest_size=8)
    try:
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(top.parent).as_posix()}:{len(content)}:".encode() + content)
    except OSError:
        return None
    return digest.hexdigest()


def _top(module: str) -> Path | None:
    """The file of the outermost package with one; those around it are namespace packages, which others share."""
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        file = getattr(sys.modules.get(".".join(names[:depth])), "__file__", None)
        if file and Path(file).is_file():
            return Path(file)
    return None


def _holds(module: ModuleType, part: Any) -> bool:
    """Whether a function is of that module, and not of another program's script of the same name."""
    variables = getattr(inspect.unwrap(part) if callable(part) else part, "__globals__", None)
    return variables is None or variables is vars(module)
