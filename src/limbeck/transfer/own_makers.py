"""User-defined makers: entries made from a package, or from a class that holds `Settings` and `Maker`."""

from collections.abc import Mapping
from typing import Any

from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.signatures import summary_of
from limbeck.transfer.catalogue import MakerEntry
from limbeck.transfer.settings import MakerSettings

_METHODS = ("count", "make", "load", "evidence")


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> MakerEntry:
    """The catalogue's entry of a user-defined maker.

    Args:
        name: its name, which must also be the default of `Settings.maker`.
        part: a package, or a class, with `Settings` (of `MakerSettings`) and `Maker` (see `limbeck.transfer.maker`).
        remarks: `summary`.

    Raises:
        UserError: `Settings`, `Maker` or one of its methods is missing, or the default of `Settings.maker` is another.
    """
    what = f"maker {name!r}"
    check_remarks(remarks, ("summary",), what)
    settings, maker = getattr(part, "Settings", None), getattr(part, "Maker", None)
    if not (isinstance(settings, type) and issubclass(settings, MakerSettings)) or not isinstance(maker, type):
        raise UserError(
            f"{what} must be a package or class with `Settings`, of `MakerSettings`, and `Maker`, got {part!r}."
        )
    default = settings.model_fields["maker"].default
    if default != name:
        raise UserError(f'the `Settings` of {what} must say `maker: str = "{name}"`, got {default!r}.')
    absent = [method for method in _METHODS if not callable(getattr(maker, method, None))]
    if absent:
        raise UserError(f"the `Maker` of {what} must have {', '.join(f'`{method}`' for method in absent)}.")
    return MakerEntry(str(remarks.get("summary", summary_of(part))), part)
