"""The verb `borrow`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.loading import parse_size
from limbeck.cli.options import ComputesIn


def borrow(
    teacher: Annotated[str, typer.Option(help="Run folder, weights folder or file, or named weights.")],
    pools: Annotated[
        list[str],
        typer.Option(
            "--pool",
            metavar="DATA",
            help="Data set, folder, file or hub id to borrow from, or '{name: DATA, split: test, images: 5000}'; "
            "again for more.",
        ),
    ],
    budget: Annotated[
        str,
        typer.Option(help="A count (500), a share of the pools' images (10%) or so many times the classes (50/class)."),
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="What is preferred, see `limbeck ls criteria`; CRITERION=SHARE, again for more, for a mixture."
        ),
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(help="How sure the teacher must be: mean, best-share or quantile.")
    ] = None,
    share: Annotated[float | None, typer.Option(help="Of best-share and quantile, in (0, 1]. By default 0.1.")] = None,
    calibration: Annotated[str | None, typer.Option(help="Images of the task, for mean and best-share.")] = None,
    fill: Annotated[str | None, typer.Option(help="best over all pools, or first-come. By default best.")] = None,
    short: Annotated[
        str | None, typer.Option(help="Of classes that cannot be filled: spread, repeat or leave. By default spread.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Class of the pools to leave out, again for more; or known.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Images that students will be judged on, of which none may be borrowed.")
    ] = None,
    overlap: Annotated[
        str | None, typer.Option(help="Of pictures that equal test images: refuse or leave-out. By default refuse.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of the pools. By default train.")] = None,
    skip_unreadable: Annotated[bool, typer.Option("--skip-unreadable", help="Leave out broken images.")] = False,
    streaming: Annotated[bool, typer.Option("--streaming", help="Read the pools from the hub image by image.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="KEY=VALUE", help="Any other, as threshold.fixed_count=100."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="PIXELS a side, or HEIGHTxWIDTH; by default that of the test images, or else the teacher's."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that score, here or on the Ray cluster of RAY_ADDRESS.")] = 1,
    precision: ComputesIn = "auto",
    scores: Annotated[
        Path | None, typer.Option(help="Folder that keeps what the teacher says, for other budgets and criteria.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the transfer set; by default runs/borrowed-<by>.")] = None,
) -> None:
    """Borrow images of other data sets that a teacher is sure of, balanced over its classes, as a transfer set."""
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.borrowing import save_borrowed

    common = {"split": split, "skip_unreadable": skip_unreadable or None, "streaming": streaming or None}
    given: dict[str, Any] = {
        "pools": list(pools),
        "budget": budget,
        "by": by or None,
        "threshold": threshold,
        "share": share,
        "calibration": calibration,
        "fill": fill,
        "short": short,
        "exclude": exclude or None,
        "overlap": overlap,
    }
    with telling_how_to_resume(out or Path("what was begun"), "the same command"), showing_progress() as progress:
        summary = save_borrowed(
            given,
            out,
            of_every_pool={name: value for name, value in common.items() if value is not None},
            overrides=settings or [],
            teacher=teacher,
            test=test,
            size=None if size is None else parse_size(size),
            seed=seed,
            workers=workers,
            precision=precision,
            scores=scores,
            progress=progress,
        )
    console.print(summary, markup=False, soft_wrap=True)
