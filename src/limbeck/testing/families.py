"""`check` by the name of what is checked."""

from collections.abc import Mapping
from typing import Any

from limbeck.testing.check import check


def check_objective(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is an objective that limbeck can work with; see `check`.

    Args:
        part: a name, a function of signals or a subclass of `Objective`.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_objective("kd")
    """
    check("objectives", part, options, but=but)


def check_representation(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a representation that limbeck can work with; see `check`.

    Args:
        part: a name or a function.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_representation("grayscale")
    """
    check("representations", part, options, but=but)


def check_score(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a score that limbeck can work with; see `check`.

    Args:
        part: a name or a function.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_score("margin")
    """
    check("scores", part, options, but=but)


def check_allocation(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is an allocation that limbeck can work with; see `check`.

    Args:
        part: a name or a function.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_allocation("top-n")
    """
    check("allocations", part, options, but=but)


def check_criterion(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a criterion that limbeck can work with; see `check`.

    Args:
        part: a name, parts joined by slashes, a mapping or a `Criterion`.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_criterion("hrgb/tnpc/ls")
    """
    check("criteria", part, options, but=but)


def check_optimizer(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is an optimiser that limbeck can work with; see `check`.

    Args:
        part: a name, a subclass of `torch.optim.Optimizer` or a function that makes one.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_optimizer("torch.optim:RAdam", {"eps": 1e-6})
    """
    check("optimizers", part, options, but=but)


def check_schedule(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a schedule that limbeck can work with; see `check`.

    Args:
        part: a name, a function of the share done or a subclass of torch's `LRScheduler`.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_schedule(lambda elapsed: 1 - elapsed)
    """
    check("schedules", part, options, but=but)


def check_view(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a view that limbeck can work with; see `check`.

    Args:
        part: a name, a function of images and draws or a subclass of `Augmentation`.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_view("pad-crop-flip")
    """
    check("views", part, options, but=but)


def check_normalised_view(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether they are normalised views that limbeck can work with; see `check`.

    Args:
        part: a name, a function of images and a draw or a subclass of `NormalisedViews`.
        options: with which they are made.
        but: titles of checks that do not hold for them, and why.

    Example:
        >>> check_normalised_view("dsa", {"shift": 0.25})
    """
    check("normalised_views", part, options, but=but)


def check_model(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a model that limbeck can work with; see `check`.

    Args:
        part: a name, a class of modules or a function that makes one.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_model("convnet_d3", {"width": 8})
    """
    check("models", part, options, but=but)


def check_dataset(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a data set that limbeck can work with; see `check`.

    Args:
        part: a name or a function of a split.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_dataset("digits")
    """
    check("datasets", part, options, but=but)


def check_maker(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a maker that limbeck can work with; see `check`.

    Args:
        part: a name, or a package with `Settings` and `Maker`.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_maker("select")
    """
    check("makers", part, options, but=but)


def check_generator(part: Any, options: Mapping[str, Any] | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Whether it is a generator that limbeck can work with; see `check`.

    Args:
        part: a name, a class of modules or a function that makes one.
        options: with which it is made.
        but: titles of checks that do not hold for it, and why.

    Example:
        >>> check_generator("published")
    """
    check("generators", part, options, but=but)
