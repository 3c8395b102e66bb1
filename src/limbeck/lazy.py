"""Exports that import their module on first use, so that `limbeck --help` does not wait for torch."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
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
        if not name.startswith("_") and name in _own_modules(package):
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__


def lazy_dir(package: str, exports: Iterable[str]) -> Callable[[], list[str]]:
    """A module-level `__dir__` for `package`, so that a prompt completes what `lazy_exports` would import."""

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *exports, *_own_modules(package)})

    return __dir__


def _own_modules(package: str) -> set[str]:
    from pkgutil import iter_modules  # late: help does without it

    return {module.name for module in iter_modules(getattr(sys.modules[package], "__path__", ()))}
