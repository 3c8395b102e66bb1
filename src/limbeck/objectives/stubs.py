"""Stubs of the lazy exports, for type checkers and editors; made from the catalogue, as the pages of docs/ are."""

from collections.abc import Mapping
from pathlib import Path

from limbeck.objectives.catalogue import EXPORTS, FUNCTIONAL_EXPORTS

_HEADER = "# Made by `python -m limbeck.cli.documentation docs`; edit catalogue.py instead.\n"


def stub(exports: Mapping[str, str]) -> str:
    """A stub file that re-exports names from the modules that define them.

    Example:
        >>> print(stub({"Setup": "limbeck.objectives.setup"}))
        # Made by `python -m limbeck.cli.documentation docs`; edit catalogue.py instead.
        from limbeck.objectives.setup import Setup as Setup
        <BLANKLINE>
    """
    lines = sorted(f"from {module} import {name} as {name}\n" for name, module in exports.items())
    return _HEADER + "".join(lines)


STUBS = {
    "__init__.pyi": {"functional": "limbeck.objectives", **EXPORTS},
    "functional.pyi": FUNCTIONAL_EXPORTS,
}
"""File beside this one -> exported name -> module."""


def write_stubs() -> None:
    for name, exports in STUBS.items():
        Path(__file__).with_name(name).write_text(stub(exports), encoding="utf-8")
