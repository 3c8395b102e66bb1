"""The verb `make`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.loading import loads_images
from limbeck.cli.options import NETWORK, Split


@loads_images
def make(
    maker: Annotated[str, typer.Argument(help="What makes it; see `limbeck ls makers`.")],
    data: Annotated[
        str | None,
        typer.Argument(help="Data set, folder, file or hub id; needed by makers that take or look at your images."),
    ] = None,
    *,
    budget: Annotated[str, typer.Option(help="A count (500), a share (10%) or as many for every class (50/class).")],
    out: Annotated[Path, typer.Option(help="Folder of the transfer set, a new one.")],
    teacher: Annotated[str | None, typer.Option(help=f"For makers that ask one: {NETWORK}.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="KEY=VALUE", help="Of the maker, e.g. criterion=margin; repeatable."),
    ] = None,
    split: Split = "train",
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    loading: dict[str, Any],
) -> None:
    """Make a transfer set by any maker, with the settings that a recipe has under `transfer`."""
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.making_alone import save_made

    with telling_how_to_resume(out, "the same command"), showing_progress() as progress:
        summary = save_made(
            {"maker": maker, "budget": budget},
            out,
            overrides=settings or [],
            data=data,
            split=split,
            teacher=teacher,
            seed=seed,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)
