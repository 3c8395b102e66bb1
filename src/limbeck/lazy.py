"""Exports that import their module on first use, so that `limbeck --help` does not wait for torch."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` (PEP 562) for `package`, which knows the package's own modules, too.

    Args:
        package: the package's `__name__`.
        modules: exported name -> the module that defines it, or "module:name" where it has another name there.
    """

    def __getattr__(name: str) -> Any:
        if name in modules:
            module, _, attribute = modules[name].partition(":")
            return getattr(import_module(module), attribute or name)
        if not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
