"""What `--help` says of every argument and option of every verb."""

import re
from collections.abc import Collection, Iterator
from typing import Any, get_args

import pytest
from typer.main import get_command

from limbeck.caching import KINDS
from limbeck.cli.listing import LISTS
from limbeck.cli.main import app
from limbeck.cli.options import NETWORK
from limbeck.exporting.settings import Format, InputType, Normalisation
from limbeck.transfer.borrow.settings import BorrowSettings, Threshold
from limbeck.transfer.parts import ORDERS


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for subname, subcommand in getattr(command, "commands", {}).items():
        yield from verbs(subcommand, f"{name} {subname}".strip())
    if not hasattr(command, "commands"):
        yield name, command


VERBS = dict(verbs(get_command(app)))
PARAMETERS = {
    f"{verb} {max(param.opts, key=len)}": param
    for verb, command in VERBS.items()
    for param in command.params
    if not param.hidden
}


def values_of(settings: Any, field: str) -> tuple[str, ...]:
    return get_args(settings.model_fields[field].annotation)


VALUES: dict[str, Collection[str]] = {
    "export --format": get_args(Format),
    "export --normalisation": get_args(Normalisation),
    "export --input-type": get_args(InputType),
    "borrow --threshold": values_of(Threshold, "of"),
    "borrow --fill": values_of(BorrowSettings, "fill"),
    "borrow --short": values_of(BorrowSettings, "short"),
    "borrow --overlap": values_of(BorrowSettings, "overlap"),
    "select --order": ORDERS,
    "ls family": LISTS,
    "cache ls --kind": KINDS,
    "cache rm --kind": KINDS,
    **{f"{verb} --precision": ("auto", "bf16", "fp32") for verb in ("select", "score", "evaluate", "probe", "borrow")},
}
"""The words that parameters with a few choices take."""
NETWORKS = {
    "evaluate what",
    "probe network",
    "export student",
    *(f"{verb} --teacher" for verb in ("distill", "select", "score", "borrow", "make", "condense", "generate")),
}
"""Whatever takes a network with weights."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_has_help(name: str) -> None:
    words = PARAMETERS[name].help or ""
    assert len(words.split()) >= 2
    assert words.endswith("."), words


@pytest.mark.parametrize("name", VALUES)
def test_help_names_all_that_may_be_given(name: str) -> None:
    words = re.findall(r"[\w-]+", PARAMETERS[name].help)
    assert set(VALUES[name]) <= set(words)


@pytest.mark.parametrize("name", [name for name, param in PARAMETERS.items() if not param.required])
def test_defaults_are_said(name: str) -> None:
    """A default is shown by typer; without one, the help says what happens, or when the option is needed."""
    param = PARAMETERS[name]
    if param.default not in (None, False, "", (), []) or getattr(param, "is_flag", False):
        assert param.show_default or getattr(param, "is_flag", False)
        return
    assert re.search(
        r"default|\belse\b|repeatable|required unless|needed|for all|^(Of|With|For|Only) |others have none", param.help
    ), param.help


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_are_named_alike(name: str) -> None:
    assert NETWORK in PARAMETERS[name].help


def test_no_other_words_for_them() -> None:
    for name, param in PARAMETERS.items():
        assert "named weights" not in param.help, name
