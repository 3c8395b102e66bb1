"""The makers of transfer sets by name; without importing torch.

A maker is a package that exports `Settings`, its settings in a recipe, and `Maker`, see `limbeck.transfer.maker`.
Its entry here is all that the rest of limbeck knows about it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from limbeck.catalogue import Catalogue
from limbeck.errors import unknown_name

if TYPE_CHECKING:
    from limbeck.transfer.maker import Maker
    from limbeck.transfer.settings import MakerSettings


class MakerEntry(NamedTuple):
    """A line for listings, and the package that holds the maker: its name, or the package itself."""

    summary: str
    package: Any


MAKERS: Catalogue[MakerEntry] = Catalogue(
    "makers",
    {
        "select": MakerEntry("images of your own data, by a criterion", "limbeck.transfer.select"),
        "borrow": MakerEntry(
            "images of other people's data, by what the teacher takes them for", "limbeck.transfer.borrow"
        ),
        "generate": MakerEntry(
            "images made from nothing but the teacher, by inverting it", "limbeck.transfer.generate"
        ),
        "condense": MakerEntry("a handful of learned images that teach what all would", "limbeck.transfer.condense"),
    },
    "limbeck.transfer.own_makers:describe",
    by_path=False,  # the settings of a maker hold its name
)


def settings_of(name: str) -> "type[MakerSettings]":
    """The settings of the maker of that name.

    Raises:
        UserError: there is none.

    Example:
        >>> settings_of("select")(budget="10%").criterion
        'entropy'
    """
    return _package(name).Settings


def find_maker(name: str) -> "Maker[Any]":
    """The maker of that name.

    Raises:
        UserError: there is none.
    """
    return _package(name).Maker()


def _package(name: str) -> Any:
    if name not in MAKERS:
        raise unknown_name("maker", name, MAKERS, "`limbeck ls makers` lists them all")
    package = MAKERS[name].package
    return import_module(package) if isinstance(package, str) else package
