"""The verbs `condense` and `experts`, whose ways it follows."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.loading import loads_images
from limbeck.cli.options import NETWORK, Split

_AGAIN = Path("what was begun"), "the same command"
Labelled = Annotated[str, typer.Option(help="Labelled images: data set, folder, file or hub id.")]
NetworkName = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Model that images are learned on: a name, or '{model: convnet_d3, options: {width: 32}, whitening: "
        "true}'. By default that of the experts, else convnet_d3.",
    ),
]
MethodSettings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        help="Of the method, as experts.learning_rate=0.02 or matching.synthetic_steps=20; repeatable.",
    ),
]


@loads_images
def condense(
    data: Labelled,
    budget: Annotated[
        str,
        typer.Option(
            help="Images of each class (1/class), or a number that is a multiple of the number of classes (50)."
        ),
    ],
    *,
    method: Annotated[str | None, typer.Option(help="See `limbeck ls methods`. By default datm.")] = None,
    network: NetworkName = None,
    experts: Annotated[
        Path | None,
        typer.Option(help="Folder of `limbeck experts`. By default experts of the cache, made where there are none."),
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Of learning. By default as published.")] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help=f"For methods that ask one (rded, edf): {NETWORK}."),
    ] = None,
    settings: MethodSettings = None,
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

    maker_settings = {"method": method, "budget": budget, "network": network, "iterations": iterations}
    options = {"data": data, "split": split, "overrides": settings or [], "workers": workers, **loading}
    with telling_how_to_resume(out or _AGAIN[0], _AGAIN[1]), showing_progress() as progress:
        summary = save_condensed(
            maker_settings, out, experts=experts, teacher=teacher, seed=seed, progress=progress, **options
        )
    console.print(summary, markup=False, soft_wrap=True)


@loads_images
def experts(
    data: Labelled,
    *,
    method: Annotated[
        str | None, typer.Option(help="Method that will read the experts, see `limbeck ls methods`. By default datm.")
    ] = None,
    network: NetworkName = None,
    count: Annotated[int | None, typer.Option(help="How many. By default as published, 100 or 20.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of a whole training. By default as published.")] = None,
    snapshots: Annotated[
        int | None, typer.Option(help="Kept of each, from before the first step on. By default those that are read.")
    ] = None,
    judges: Annotated[int | None, typer.Option(help="Networks taught to the end. By default 1.")] = None,
    settings: MethodSettings = None,
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

    numbers = {"count": count, "epochs": epochs, "judges": judges, "seed": seed}
    expert_settings = {name: value for name, value in numbers.items() if value is not None}
    options = {"data": data, "split": split, "overrides": settings or [], "workers": workers, **loading}
    with telling_how_to_resume(out or _AGAIN[0], _AGAIN[1]), showing_progress() as progress:
        summary = save_experts(
            {"method": method, "network": network, "experts": expert_settings or None},
            out,
            snapshots=snapshots,
            progress=progress,
            **options,
        )
    console.print(summary, markup=False, soft_wrap=True)
