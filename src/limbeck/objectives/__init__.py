"""Distillation losses as modules on plain tensors, and weighted sums of them; as functions in `functional`.

Type checkers and editors read what is exported from `__init__.pyi`, which is made from the catalogue, see `stubs`.
"""

from limbeck.lazy import lazy_dir, lazy_exports
from limbeck.objectives.catalogue import EXPORTS

__all__ = sorted(EXPORTS)  # pyright: ignore[reportUnsupportedDunderAll] (the stub tells it)
__getattr__ = lazy_exports(__name__, EXPORTS)
__dir__ = lazy_dir(__name__, EXPORTS)
