"""Options of the verb `borrow`."""

from pathlib import Path
from typing import Annotated

import typer

Teacher = Annotated[str, typer.Option(help="Run folder, weights folder or file, or named weights.")]
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
    typer.Option(help="What is preferred, see `limbeck ls criteria`; CRITERION=SHARE, again for more, for a mixture."),
]
Threshold = Annotated[str | None, typer.Option(help="How sure the teacher must be: mean, best-share or quantile.")]
Share = Annotated[float | None, typer.Option(help="Of best-share and quantile, in (0, 1]. By default 0.1.")]
Calibration = Annotated[str | None, typer.Option(help="Images of the task, for mean and best-share.")]
Fill = Annotated[str | None, typer.Option(help="best over all pools, or first-come. By default best.")]
Short = Annotated[
    str | None, typer.Option(help="Of classes that cannot be filled: spread, repeat or leave. By default spread.")
]
Exclude = Annotated[list[str] | None, typer.Option(help="Class of the pools to leave out, again for more; or known.")]
Test = Annotated[
    str | None, typer.Option(help="Images that students will be judged on, of which none may be borrowed.")
]
Overlap = Annotated[
    str | None, typer.Option(help="Of pictures that equal test images: refuse or leave-out. By default refuse.")
]
PoolSplit = Annotated[str | None, typer.Option(help="Split of the pools. By default train.")]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out broken images.")]
Streaming = Annotated[bool, typer.Option("--streaming", help="Read the pools from the hub image by image.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Any other, as threshold.fixed_count=100."),
]
ImageSize = Annotated[
    str | None,
    typer.Option(help="PIXELS a side, or HEIGHTxWIDTH; by default that of the test images, or else the teacher's."),
]
ScoringWorkers = Annotated[int, typer.Option(help="Processes that score, here or on the Ray cluster of RAY_ADDRESS.")]
Scores = Annotated[
    Path | None, typer.Option(help="Folder that keeps what the teacher says, for other budgets and criteria.")
]
Seed = Annotated[int, typer.Option(help="Of all that is drawn.")]
BorrowedOut = Annotated[Path | None, typer.Option(help="Folder of the transfer set; by default runs/borrowed-<by>.")]
