"""The verb `borrow`."""

from pathlib import Path
from typing import Any

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.borrow_options import (
    BorrowedOut,
    Budget,
    By,
    Calibration,
    Exclude,
    Fill,
    ImageSize,
    Overlap,
    Pools,
    PoolSplit,
    Scores,
    ScoringWorkers,
    Seed,
    Settings,
    Share,
    Short,
    SkipUnreadable,
    Streaming,
    Teacher,
    Test,
    Threshold,
)
from limbeck.cli.display import console
from limbeck.cli.loading import parse_size
from limbeck.cli.options import ComputesIn


def borrow(
    teacher: Teacher,
    pools: Pools,
    budget: Budget,
    by: By = None,
    threshold: Threshold = None,
    share: Share = None,
    calibration: Calibration = None,
    fill: Fill = None,
    short: Short = None,
    exclude: Exclude = None,
    test: Test = None,
    overlap: Overlap = None,
    split: PoolSplit = None,
    skip_unreadable: SkipUnreadable = False,
    streaming: Streaming = False,
    settings: Settings = None,
    size: ImageSize = None,
    workers: ScoringWorkers = 1,
    precision: ComputesIn = "auto",
    scores: Scores = None,
    seed: Seed = 0,
    out: BorrowedOut = None,
) -> None:
    """Borrow images of other data sets that a teacher is sure of, balanced over its classes, as a transfer set."""
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.borrowing import save_borrowed

    common = {"split": split, "skip_unreadable": skip_unreadable or None, "streaming": streaming or None}
    maker_settings: dict[str, Any] = {
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
            maker_settings,
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
