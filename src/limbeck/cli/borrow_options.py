"""Options of the verb `borrow`."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.options import NETWORK

Teacher = Annotated[str, typer.Option(help=f"Who says what images look like: {NETWORK}.")]
Pools = Annotated[
    list[str],
    typer.Option(
        "--pool",
        metavar="DATA",
        help="Data set, folder, file or hub id to borrow from, or '{name: DATA, split: test, images: 5000}'; "
        "again for more.",
    ),
]
Budget = Annotated[
    str,
    typer.Option(help="A count (500), a share of the pools' images (10%) or so many times the classes (50/class)."),
]
By = Annotated[
    list[str] | None,
    typer.Option(
        help="What is preferred, see `limbeck ls criteria`; CRITERION=SHARE, repeatable, for a mixture. By default "
        "minimal-margin."
    ),
]
Threshold = Annotated[
    str | None, typer.Option(help="How sure the teacher must be: mean, best-share or quantile; by default any.")
]
Share = Annotated[float | None, typer.Option(help="Of best-share and quantile, in (0, 1]. By default 0.1.")]
Calibration = Annotated[
    str | None, typer.Option(help="Images of the task, which mean and best-share need; by default none.")
]
Fill = Annotated[str | None, typer.Option(help="best over all pools, or first-come, pool after pool. By default best.")]
Short = Annotated[
    str | None,
    typer.Option(help="What becomes of classes that cannot be filled: spread, repeat or leave. By default spread."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        help="Class of the pools to leave out, repeatable; or known, all of them that the teacher "
        "knows. By default none."
    ),
]
Test = Annotated[
    str | None,
    typer.Option(help="Images that students will be judged on, of which none may be borrowed. By default none."),
]
Overlap = Annotated[
    str | None,
    typer.Option(help="What becomes of pictures that equal test images: refuse or leave-out. By default refuse."),
]
PoolSplit = Annotated[str | None, typer.Option(help="Split of the pools. By default train.")]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out broken images.")]
Streaming = Annotated[bool, typer.Option("--streaming", help="Read the pools from the hub image by image.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting of borrow, as threshold.fixed_count=100; repeatable.",
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(help="PIXELS a side, or HEIGHTxWIDTH; by default that of the test images, or else the teacher's."),
]
ScoringWorkers = Annotated[int, typer.Option(help="Processes that score, here or on the Ray cluster of RAY_ADDRESS.")]
Scores = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps what the teacher says, for other budgets and criteria; by default none."),
]
Seed = Annotated[int, typer.Option(help="Of all that is drawn.")]
BorrowedOut = Annotated[Path | None, typer.Option(help="Folder of the transfer set; by default runs/borrowed-<by>.")]
