"""The verb `push`: a student to the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.display import console


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository, made if there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Nobody else may see it.")] = False,
    license: Annotated[
        str | None, typer.Option(help="Of the student, as apache-2.0; by default what the recipe says, or unknown.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded, and stop.")] = False,
) -> None:
    """Upload a student to the Hugging Face hub: weights, description and model card, nothing else of its folder."""
    from limbeck.recipes.pushing import prepare_push, send
    from limbeck.report import formats

    prepared = prepare_push(run, repository, private=private, license=license)
    seen = "private" if private else "public, unless it is private there already"
    console.print(f"to {repository} on the Hugging Face hub ({seen}):", markup=False, soft_wrap=True)
    for name, size in prepared.sizes.items():
        console.print(f"  {name}  {formats.size(size)}", markup=False, soft_wrap=True)
    if dry_run:
        console.print("nothing was uploaded (--dry-run)", markup=False)
        return
    console.print(f"pushed: {send(prepared)}", markup=False, soft_wrap=True)
    console.print(f'load it by lb.load_model("{repository}")', markup=False, soft_wrap=True)
