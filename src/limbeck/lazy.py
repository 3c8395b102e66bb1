"""Exports that import their module on first use, so that `limbeck --help` does not wait for torch."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` (PEP 562) for `package`, which knows the package's own modules, too.

    Args:
        package: the `__name__` of a package or module.
        modules: exported name -> the module that defines it, or "module:name" where it has another name there.
    """

    def __getattr__(name: str) -> Any:
        if name in modules:
            module, _, attribute = modules[name].partition(":")
            return getattr(import_module(module), attribute or name)
        if not name.startswith("_") and _has_modules(package) and find_spec(f"{package}.{name}") is not None:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__


def lazy_dir(package: str, exports: Iterable[str]) -> Callable[[], list[str]]:
    """A module-level `__dir__` for `package`, so that a prompt completes what `lazy_exports` would import."""

    def __dir__() -> list[str]:
        own = [one.name for one in iter_modules(getattr(sys.modules[package], "__path__", ()))]
        return sorted({*vars(sys.modules[package]), *exports, *own})

    return __dir__


def _has_modules(package: str) -> bool:
    return hasattr(sys.modules[package], "__path__")
