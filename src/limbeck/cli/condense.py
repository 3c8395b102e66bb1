"""The verb `condense`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.loading import loads_images
from limbeck.cli.options import Split


@loads_images
def condense(
    data: Annotated[str, typer.Option(help="Labelled images: data set, folder, file or hub id.")],
    budget: Annotated[str, typer.Option(help="Images of each class (1/class), or a multiple of the classes (50).")],
    *,
    method: Annotated[str | None, typer.Option(help="See `limbeck ls methods`. By default datm.")] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="That images are learned on, or '{model: convnet_d3, options: {width: 32}, whitening: true}'. By "
            "default convnet_d3.",
        ),
    ] = None,
    experts: Annotated[
        Path | None, typer.Option(help="Folder of `limbeck experts`. By default experts are made beside the set.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Of learning. By default as published.")] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="For methods that ask one (rded, edf): run folder, weights folder or file, or named weights."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "-s",
            "--set",
            metavar="KEY=VALUE",
            help="Of the method, as experts.count=10 or matching.synthetic_steps=20.",
        ),
    ] = None,
    split: Split = "train",
    seed: Annotated[int, typer.Option(help="Of all that is drawn, but for the experts (experts.seed).")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that teach experts side by side.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the transfer set; by default runs/condensed-<data>-<method>.")
    ] = None,
    loading: dict[str, Any],
) -> None:
    """Learn a handful of images with labels that teach what all the images would."""
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.condensing import save_condensed

    said: dict[str, Any] = {"method": method, "budget": budget, "network": network, "iterations": iterations}
    with telling_how_to_resume(out or Path("what was begun"), "the same command"), showing_progress() as progress:
        summary = save_condensed(
            said,
            out,
            data=data,
            split=split,
            overrides=settings or [],
            experts=experts,
            teacher=teacher,
            seed=seed,
            workers=workers,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)
