"""The verb `experts`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.loading import loads_images
from limbeck.cli.options import Split


@loads_images
def experts(
    data: Annotated[str, typer.Option(help="Labelled images: data set, folder, file or hub id.")],
    *,
    method: Annotated[
        str | None, typer.Option(help="That will read them, see `limbeck ls methods`. By default datm.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Of the experts, or '{model: convnet_d3, options: {width: 32}, whitening: true}'. By default "
            "convnet_d3.",
        ),
    ] = None,
    count: Annotated[int | None, typer.Option(help="How many. By default as published, 100 or 20.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of a whole training. By default as published.")] = None,
    snapshots: Annotated[
        int | None, typer.Option(help="Kept of each, from before the first step on. By default those that are read.")
    ] = None,
    judges: Annotated[int | None, typer.Option(help="Networks taught to the end. By default 1.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "-s",
            "--set",
            metavar="KEY=VALUE",
            help="Of the method, as experts.learning_rate=0.02.",
        ),
    ] = None,
    split: Split = "train",
    seed: Annotated[int | None, typer.Option(help="Of weights, order and views. By default 0.")] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that teach side by side, here or on the Ray cluster of RAY_ADDRESS.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the experts, also one that holds some; by default runs/experts-<data>-<model>."),
    ] = None,
    loading: dict[str, Any],
) -> None:
    """Teach the experts whose ways `condense` follows, or more of them; what the folder holds is found."""
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.experts import save_experts

    asked = {"count": count, "epochs": epochs, "judges": judges, "seed": seed}
    given = {name: value for name, value in asked.items() if value is not None}
    with telling_how_to_resume(out or Path("what was begun"), "the same command"), showing_progress() as progress:
        summary = save_experts(
            {"method": method, "network": network, "experts": given or None},
            out,
            data=data,
            split=split,
            overrides=settings or [],
            snapshots=snapshots,
            workers=workers,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)
