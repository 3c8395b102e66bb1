"""The losses as pure functions; for type checkers and editors see `limbeck.objectives`."""

from limbeck.lazy import lazy_dir, lazy_exports
from limbeck.objectives.catalogue import FUNCTIONAL_EXPORTS

__all__ = sorted(FUNCTIONAL_EXPORTS)  # pyright: ignore[reportUnsupportedDunderAll] (the stub tells it)
__getattr__ = lazy_exports(__name__, FUNCTIONAL_EXPORTS)
__dir__ = lazy_dir(__name__, FUNCTIONAL_EXPORTS)
