"""The user's own objects, named by import path, "my_pkg:name", and the folders in which they are looked for.

Modules come from Python's own path. Those not found there are taken from the folders added here: where the command
line runs, and where the recipe lies. These never hide what is installed.
"""

import importlib
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

from limbeck.errors import UserError, closest

_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
FROM_PYTHON = "python:"
"""Prefix of the names that recipes have for objects handed over in Python."""
ENVIRONMENT_FILE = "environment.json"
FOUND_IN = "modules_from"
"""Key of a run folder's environment.json: the folders that modules of its parts came from."""
_OTHERS = ("python", "timm")
"""Prefixes, before the colon, of names that are no import paths."""

_folders: list[Path] = []
_added: list[str] = []
"""Those of them that were added to Python's path here."""
_taken: dict[str, Path] = {}
"""Module -> the one of these folders that it was imported from, where it was imported here."""


def is_import_path(name: object) -> bool:
    """Whether a name can be an import path.

    Example:
        >>> is_import_path("my_pkg.losses:brier"), is_import_path("brier"), is_import_path("timm:resnet18")
        (True, False, False)
    """
    return isinstance(name, str) and _PATH.fullmatch(name) is not None and name.partition(":")[0] not in _OTHERS


def import_object(path: str, argument: str, *, fits: Callable[[Any], bool] | None = None, allowed: str = "") -> Any:
    """The object that "module:name" names; imports the module.

    Args:
        path: "module:name", both with dots if need be.
        argument: what the user named it as, for messages: "objective", or "student.model".
        fits: whether the object is of the right kind.
        allowed: the right kind, in words.

    Raises:
        UserError: it is no import path, there is no such module, the module fails when it is imported, it has nothing
            of that name, or that is of another kind.

    Example:
        >>> import_object("math:pi", "objective")
        3.141592653589793
    """
    if not is_import_path(path):
        raise UserError(f"`{argument}` must be a name, or 'module:name' of what is to be imported, got {path!r}.")
    module, _, name = path.partition(":")
    target = _module(module, f"`{argument}` {path!r}")
    root = target
    for part in name.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            raise _no_attribute(root, target, part, f"`{argument}` {path!r}") from None
    if fits is not None and not fits(target):
        raise UserError(f"`{argument}` must be {allowed}, got {path!r}, which is {_kind(target)}.")
    return target


def import_path_of(part: object) -> str | None:
    """The import path that leads back to a function or class in any process; None where none does.

    None for a lambda, for anything defined in a function, notebook or script, and for an object since replaced in its
    module.

    Example:
        >>> import_path_of(is_import_path), import_path_of(lambda: 0)
        ('limbeck.import_paths:is_import_path', None)
    """
    module, name = getattr(part, "__module__", None), getattr(part, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or module not in sys.modules:
        return None
    target: Any = sys.modules[module]
    if getattr(target, "__spec__", None) is None:  # made on the fly, as doctests and notebooks do
        return None
    for attribute in name.split("."):
        target = getattr(target, attribute, None)
    path = f"{module}:{name}"
    return path if target is part and is_import_path(path) else None


def look_in(folder: str | Path, *, only: bool = False, last: bool = False) -> None:
    """Adds a folder in which to look for modules that are not on Python's path; the last added comes first.

    A module of the same name that came from another of these folders is forgotten, and imported anew when it is named.

    Args:
        folder: that of a recipe, or where the command line runs.
        only: drop all folders that were added before.
        last: look in it after all others, and forget nothing.
    """
    folder = Path(folder).resolve()
    if last:
        if folder not in _folders:
            _folders.append(folder)
            _extend_path()
        return
    if only:
        _forget([*_taken])
        _folders.clear()
    _forget([name for name, home in _taken.items() if home != folder and _lies_in(name, folder)])
    _folders[:] = [folder, *(other for other in _folders if other != folder)]
    _extend_path()  # objects pickled elsewhere may name its modules


def folders() -> tuple[Path, ...]:
    """The folders that were added, in the order of search, for other processes."""
    return tuple(_folders)


def taken_from() -> list[str]:
    """Those added folders that modules were imported from, for another process that must find them again."""
    return sorted({str(folder) for folder in _taken.values()})


def look_where_found(folder: str | Path) -> None:
    """Adds, behind all others, the folders in which the modules of the run in `folder` were found when it was made.

    Nothing is done where that is not known, and for folders that are gone.

    Args:
        folder: of a run or a comparison, or one in it.
    """
    for place in (Path(folder).expanduser(), Path(folder).expanduser().parent):
        try:
            environment = json.loads((place / ENVIRONMENT_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for path in environment.get(FOUND_IN) or () if isinstance(environment, dict) else ():
            if Path(path).is_absolute() and Path(path).is_dir():
                look_in(path, last=True)
        return


def _module(module: str, what: str) -> Any:
    if module in sys.modules:
        return sys.modules[module]
    before = set(sys.modules)
    importlib.invalidate_caches()  # the module may have been written a moment ago
    try:
        return importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _fails(module, what, error) from error
        raise _no_module(module, error.name, what) from None
    except BaseException as error:  # somebody else's module may raise anything, even an exit
        raise _fails(module, what, error) from error
    finally:
        _taken.update({name: home for name in set(sys.modules) - before if (home := _home(name)) is not None})


def _extend_path() -> None:
    """Puts the folders at the end of Python's path, in their order."""
    sys.path[:] = [entry for entry in sys.path if entry not in _added]
    _added[:] = [str(folder) for folder in _folders if str(folder) not in sys.path]
    sys.path.extend(_added)


def _home(name: str) -> Path | None:
    """The folder among those added that a module was imported from; what is installed below one does not count."""
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    locations = {Path(place).resolve() for place in places if place}
    return next((folder for folder in map(Path, _added) if locations & {folder / f"{top}.py", folder / top}), None)


def _forget(names: Iterable[str]) -> None:
    for name in names:
        sys.modules.pop(name, None)
        _taken.pop(name, None)


def _lies_in(name: str, folder: Path) -> bool:
    top = folder / name.partition(".")[0]
    return top.with_suffix(".py").is_file() or top.is_dir()


def _no_module(module: str, missing: str, what: str) -> UserError:
    if "." in missing:
        return UserError(f"{what}: there is no module {missing!r} in {missing.rpartition('.')[0]!r}.")
    modules = dict.fromkeys(file.stem for folder in _folders for file in sorted(folder.glob("*.py")))
    hint = "".join(f"; did you mean {suggestion!r}?" for suggestion in closest(missing, modules, 1)) or "."
    places = "".join(f" nor in {str(folder)!r}" for folder in _folders)
    return UserError(
        f"{what}: there is no module {missing!r} on Python's path{places}{hint} Put {missing}.py beside the "
        "recipe or where the command line runs, set PYTHONPATH, or install its package."
    )


def _fails(module: str, what: str, error: BaseException) -> UserError:
    """With the line of somebody else's code that raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_imports(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        where = f", {error.filename}, line {error.lineno}"
    else:
        where = f", {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return UserError(
        f"{what}: the module {module!r} fails when it is imported ({type(error).__name__}: {message}{where})."
    )


def _of_imports(file: str) -> bool:
    return file == __file__ or file.startswith("<frozen") or file == importlib.__file__


def _no_attribute(whole: Any, found: Any, name: str, what: str) -> UserError:
    module = getattr(whole, "__name__", "")
    owner = f"the module {module!r}" if found is whole else f"{_kind(found)} in {module!r}"
    attributes = (
        [attribute for attribute in vars(found) if not attribute.startswith("_")] if hasattr(found, "__dict__") else []
    )
    suggestions = closest(name, attributes)
    if suggestions:
        return UserError(f"{what}: {owner} has no {name!r}; did you mean {' or '.join(map(repr, suggestions))}?")
    own = [attribute for attribute in attributes if getattr(vars(found)[attribute], "__module__", None) == module]
    return UserError(f"{what}: {owner} has no {name!r}{'; it has ' + ', '.join(own[:12]) if own else ''}.")


def _kind(found: Any) -> str:
    if isinstance(found, type):
        return f"the class {found.__qualname__}"
    if isinstance(found, FunctionType):
        return f"the function {found.__qualname__}"
    return f"a {type(found).__name__}"
