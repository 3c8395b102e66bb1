"""The verbs `select` and `score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.loading import loads_images
from limbeck.cli.options import ComputesIn, Options, Split, TeacherName
from limbeck.cli.unused import refuse_unused, typed

_MADE_OF = "Of a criterion that you put together:"


Representation = Annotated[
    str | None,
    typer.Option(help=f"{_MADE_OF} what is seen of an image (`limbeck ls representations`), by default the score's."),
]
Score = Annotated[
    str | None,
    typer.Option(help=f"{_MADE_OF} how that is judged (`limbeck ls scores`), by default as the representation is."),
]
Allocation = Annotated[
    str | None,
    typer.Option(help=f"{_MADE_OF} how the budget is spread (`limbeck ls allocations`), by default top-n-per-class."),
]
Order = Annotated[
    str | None,
    typer.Option(help=f"{_MADE_OF} which scores come first, highest, lowest or random; by default hard images'."),
]
Space = Annotated[
    str | None,
    typer.Option(help=f"{_MADE_OF} the representation that distances are of, by default the allocation's own."),
]
FromScores = Annotated[
    Path | None,
    typer.Option(
        help="Choose by a table that `limbeck score` made; without DATA, only the ids. By default images are scored."
    ),
]


@loads_images
def select(
    budget: Annotated[str, typer.Option(help="A count (500), a share (10%) or as many for every class (50/class).")],
    data: Annotated[
        str | None, typer.Argument(help="Data set, folder, file or hub id; required unless --from-scores is given.")
    ] = None,
    criterion: Annotated[
        str, typer.Option(help="A name, or parts as hg/kmpc/hs; see `limbeck ls criteria`. By default entropy.")
    ] = "",
    representation: Representation = None,
    score: Score = None,
    allocation: Allocation = None,
    order: Order = None,
    space: Space = None,
    options: Options = None,
    teacher: TeacherName = None,
    precision: ComputesIn = "auto",
    from_scores: FromScores = None,
    dedupe: Annotated[bool, typer.Option("--dedupe", help="Of images with the same pixels, keep one.")] = False,
    split: Split = "train",
    seed: Annotated[int, typer.Option(help="Of random criteria, clusterings and trained networks.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the transfer set; by default runs/<data>-<criterion>.")
    ] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Choose the images worth teaching on, and save them as a transfer set."""
    from limbeck.cli.criterion_flags import criterion_of
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.selecting import default_folder, save_chosen_ids, save_selection

    parts = {"representation": representation, "score": score, "allocation": allocation, "order": order, "space": space}
    chosen_criterion = criterion_of(criterion, parts, options or [])
    if data is None:
        if from_scores is not None:
            of_images = {"--teacher": teacher, "--split": _unless("train", split)}
            of_images |= {"--precision": _unless("auto", precision), **typed(loading)}
            refuse_unused(of_images, "of images, and a table of scores has none; give DATA, or leave this out")
        summary = save_chosen_ids(from_scores, out, criterion=chosen_criterion, budget=budget, seed=seed, dedupe=dedupe)
        console.print(summary, markup=False, soft_wrap=True)
        return
    target = out or default_folder(data, chosen_criterion)
    with telling_how_to_resume(target, "the same command"), showing_progress() as progress:
        summary = save_selection(
            data,
            target,
            split=split,
            criterion=chosen_criterion,
            budget=budget,
            seed=seed,
            teacher=teacher,
            precision=precision,
            scores=from_scores,
            dedupe=dedupe,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)


def _unless(default: str, value: str) -> str | None:
    """What was typed, None for the default."""
    return None if value == default else value


@loads_images
def score(
    data: Annotated[str, typer.Argument(help="Data set, folder, file or hub id.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to make; a scoring that was stopped goes on.")],
    criteria: Annotated[
        list[str] | None,
        typer.Option("--criterion", help="Whose scores; repeatable, for more columns. By default entropy."),
    ] = None,
    options: Options = None,
    teacher: TeacherName = None,
    precision: ComputesIn = "auto",
    workers: Annotated[int, typer.Option(help="Processes, here or on the Ray cluster of RAY_ADDRESS.")] = 1,
    split: Split = "train",
    seed: Annotated[int, typer.Option(help="Of trained networks.")] = 0,
    *,
    loading: dict[str, Any],
) -> None:
    """Score images once into a table, from which `select --from-scores` chooses as often as you like."""
    from limbeck.cli.criterion_flags import criteria_of
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.selecting import save_scores

    chosen_criteria = criteria_of(criteria or ["entropy"], options or [])
    with telling_how_to_resume(out, "the same command"), showing_progress() as progress:
        summary = save_scores(
            data,
            out,
            split=split,
            criteria=chosen_criteria,
            seed=seed,
            teacher=teacher,
            precision=precision,
            workers=workers,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)
