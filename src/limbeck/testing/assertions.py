"""Assertions of checks, which also hold where Python runs without `assert`."""

from typing import Any

from torch import Tensor


def ensure(fact: Any, message: str) -> None:
    """Raises an `AssertionError` of that message unless `fact` holds."""
    if not fact:
        raise AssertionError(message)


def ensure_finite(values: Tensor, what: str) -> None:
    ensure(bool(values.isfinite().all()), f"{what} must be finite, got {_first(values, ~values.isfinite())}")


def ensure_equal(one: Tensor, other: Tensor, message: str) -> None:
    """To the bit, type and shape included."""
    ensure(one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all()), message)


def ensure_close(one: Tensor, other: Tensor, message: str, *, rel: float = 1e-5, abs: float = 1e-5) -> None:
    close = one.shape == other.shape and bool(((one - other).abs() <= abs + rel * other.abs()).all())
    ensure(close, message)


def near(value: float, expected: float, *, rel: float, abs: float) -> bool:
    """Whether `value` is `expected`, to a share of that or to a number."""
    difference = value - expected
    return (difference if difference > 0 else -difference) <= max(rel * (expected if expected > 0 else -expected), abs)


def _first(values: Tensor, where: Tensor) -> Any:
    offending = values[where]
    return offending[0].item() if len(offending) else "none"
