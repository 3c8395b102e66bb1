"""Parts that installed packages offer, by entry point; read once, and loaded when they are named."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from limbeck.errors import UserError

PREFIX = "limbeck."
"""Prefix of the groups, as in `limbeck.objectives`."""


@dataclass(frozen=True)
class Offer:
    """A part that an installed package offers under a name.

    Attributes:
        family: as "objectives".
        name: what recipes call it.
        package, version: of the distribution.
        value: where it is, "module:object".
    """

    family: str
    name: str
    package: str
    version: str
    value: str

    def load(self) -> Any:
        """The part itself; imports its module.

        Raises:
            UserError: it cannot be imported, whatever the reason.
        """
        from importlib.metadata import EntryPoint  # late: help does without it

        if not EntryPoint.pattern.match(self.value):
            raise UserError(f"{self.value!r} names nothing in a module, as 'module:object' does")
        try:
            return EntryPoint(self.name, self.value, PREFIX + self.family).load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Somebody else's module may raise anything, as a panic of compiled code or an exit, and must not stop
            # work that does not name it.
            raise UserError(f"{self.value!r} cannot be imported ({type(error).__name__}: {error})") from error


@cache
def offers() -> Mapping[str, Mapping[str, tuple[Offer, ...]]]:
    """Family -> name -> the offers of it, which should be one; packages that are shadowed do not count.

    Families that limbeck does not know are among them, so that misspelt ones can be reported.
    """
    from importlib.metadata import distributions

    by_family: dict[str, dict[str, tuple[Offer, ...]]] = {}
    seen: set[str] = set()
    for distribution in distributions():
        package = distribution.name  # None where an installation was left half-way
        if not package or _normal(package) in seen:
            continue
        seen.add(_normal(package))
        for point in distribution.entry_points:
            if point.group.startswith(PREFIX):
                family = by_family.setdefault(point.group.removeprefix(PREFIX), {})
                offer = Offer(point.group.removeprefix(PREFIX), point.name, package, distribution.version, point.value)
                family[point.name] = (*family.get(point.name, ()), offer)
    return by_family


def _normal(package: str) -> str:
    return package.lower().replace("_", "-").replace(".", "-")
