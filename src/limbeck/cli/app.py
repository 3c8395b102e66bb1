"""The command `limbeck` itself, and what a verb is wrapped in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck import __version__
from limbeck.cli.display import console, errors
from limbeck.errors import UserError
from limbeck.import_paths import look_in

app = typer.Typer(
    help="Teach a small image classifier from a big one with as little data as you have.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def verb(function: Callable[..., None], *, of: typer.Typer = app, name: str | None = None) -> None:
    """Registers a command, named as its function, whose user errors are one message and exit status 2."""

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except UserError as error:
            errors.print(f"error: {error}", style="red", markup=False)
            raise typer.Exit(2) from None

    of.command(name or function.__name__)(command)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        console.print(f"limbeck {__version__}")
        raise typer.Exit
    look_in(Path.cwd(), only=True)  # for parts of the user's own, "my_parts:loss"


@contextmanager
def telling_how_to_resume(folder: Path | None, again: str) -> Iterator[None]:
    """Ctrl-C ends in one line and exit status 130; `again` is what to type, without a folder nothing was kept."""
    try:
        yield
    except KeyboardInterrupt as stop:
        advice = "nothing was kept, --out FOLDER keeps runs to go on with"
        if folder is not None:
            advice = f"{again} goes on with {folder}"
        errors.print(f"{str(stop) or 'stopped'}; {advice}", markup=False)
        raise typer.Exit(130) from None
