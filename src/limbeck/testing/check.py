"""Checks as objects that can be listed, named and called."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from limbeck.errors import UserError, unknown_name
from limbeck.foreign import ForeignError
from limbeck.models.catalogue import canonical
from limbeck.objectives.sums import canonical_name
from limbeck.plugins import FAMILIES, catalogue_of, register, unregister
from limbeck.testing import (
    criteria,
    datasets,
    generators,
    makers,
    models,
    normalised_views,
    objectives,
    optimizers,
    parts,
    schedules,
    views,
)
from limbeck.transfer.parts import full_name

Options = Mapping[str, Any]
_UNDER_TEST = "part-under-test"
_FULL_NAMES: Mapping[str, Callable[[str], str]] = {"objectives": canonical_name, "models": canonical, "criteria": str}

CHECKS: Mapping[str, Mapping[str, Callable[..., None]]] = {
    "objectives": objectives.CHECKS,
    "representations": parts.REPRESENTATION_CHECKS,
    "scores": parts.SCORE_CHECKS,
    "allocations": parts.ALLOCATION_CHECKS,
    "criteria": criteria.CHECKS,
    "optimizers": optimizers.CHECKS,
    "schedules": schedules.CHECKS,
    "views": views.CHECKS,
    "normalised_views": normalised_views.CHECKS,
    "models": models.CHECKS,
    "datasets": datasets.CHECKS,
    "makers": makers.CHECKS,
    "generators": generators.CHECKS,
}
"""Family -> what a check is called -> the function of a part's name and options."""


@dataclass(frozen=True)
class Check:
    """One check of one part; call it.

    Attributes:
        family: of the part.
        part: its name, or itself where it has none yet.
        title: what is checked.
        options: with which the part is made.
    """

    family: str
    part: Any
    title: str
    options: Options = field(default_factory=dict)

    def __call__(self) -> None:
        """Runs the check.

        Raises:
            AssertionError: the part does not pass, or fails with whatever error.
            UserError: it cannot be used.
        """
        with _named(self.family, self.part) as name:
            try:
                CHECKS[self.family][self.title](name, dict(self.options))
            except ForeignError as error:
                raise AssertionError(f"{name} fails where {self.title!r} is checked: {error}") from error
            except (AssertionError, UserError):
                raise
            except Exception as error:
                raise AssertionError(f"{name} fails where {self.title!r} is checked: {error!r}") from error

    def __str__(self) -> str:
        name = self.part if isinstance(self.part, str) else getattr(self.part, "__name__", "part")
        return f"{name}-{self.title.replace(' ', '-')}"


def checks_for(family: str, part: Any, options: Options | None = None, *, but: Mapping[str, str] = {}) -> list[Check]:
    """The checks of a part, each of which can be called.

    Args:
        family: one of `limbeck.plugins.FAMILIES`.
        part: a name that recipes may use, or what `register` takes.
        options: with which it is made, as few epochs where something is trained.
        but: titles of checks that do not hold for it, and why.

    Raises:
        UserError: no such family, no part of that name, or no check of a title in `but`.

    Example:
        >>> [str(one) for one in checks_for("views", "pad-crop")][:2]
        ['pad-crop-gives-images-of-the-same-shape', 'pad-crop-depends-on-image,-seed-and-view-alone']
    """
    catalogue_of(family)
    if isinstance(part, str):
        part = _FULL_NAMES.get(family, full_name)(part)
        if family != "criteria":  # which may be named by their parts, too
            catalogue_entry(family, part)
    for title in but:
        if title not in CHECKS[family]:
            raise unknown_name(f"check of {family}:", title, CHECKS[family])
    return [Check(family, part, title, options or {}) for title in CHECKS[family] if title not in but]


def check(family: str, part: Any, options: Options | None = None, *, but: Mapping[str, str] = {}) -> None:
    """Runs all checks of a part; arguments are those of `checks_for`.

    Raises:
        AssertionError: the first check that it does not pass.
        UserError: it cannot be used.

    Example:
        >>> check("objectives", "kd")
        >>> def forgetful(student_logits, teacher_logits):
        ...     return (student_logits.detach() - teacher_logits.detach()).square().mean()
        >>> try:
        ...     check("objectives", forgetful)
        ... except AssertionError as error:
        ...     print(error)
        no gradient reaches the student from part-under-test
    """
    for part_check in checks_for(family, part, options, but=but):
        part_check()


def catalogue_entry(family: str, name: str) -> Any:
    """What the catalogue holds under a name.

    Raises:
        UserError: nothing, or what cannot be used.
    """
    catalogue = catalogue_of(family)
    if name not in catalogue:
        raise unknown_name(FAMILIES[family][0], name, catalogue, f"`limbeck ls {family}` lists them all")
    return catalogue[name]


@contextmanager
def _named(family: str, part: Any) -> Iterator[str]:
    """The name of a part, for as long as it is looked at."""
    if isinstance(part, str):
        yield part
        return
    register(family, _UNDER_TEST, part, replace=True)
    try:
        yield _UNDER_TEST
    finally:
        unregister(family, _UNDER_TEST)
