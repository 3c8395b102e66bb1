"""Typed configuration: a recipe is one run, a comparison is many."""

from limbeck.lazy import lazy_exports

__getattr__ = lazy_exports(__name__, {})
