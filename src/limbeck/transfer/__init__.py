"""Makers of transfer sets, one package for each place that images can come from: `select` takes them from the data."""

from limbeck.lazy import lazy_exports

__getattr__ = lazy_exports(__name__, {})
