"""The verbs that take a recipe, and `demo`, which brings its own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.options import NETWORK, Out, Overrides, RecipeName, Resume, Workers
from limbeck.errors import UserError

_DEMO_WORKERS = 4
"""Most workers by default: its runs take seconds, as long as each worker takes to import torch."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where to.")] = Path("demo"),
    workers: Annotated[
        int | None,
        typer.Option(help="Runs that go on side by side; by default as many as there are cores, at most 4."),
    ] = None,
) -> None:
    """A few minutes on two cores: the whole idea on handwritten digits, from a teacher to a report."""
    from limbeck.workers.shares import cores

    workers = min(cores(), _DEMO_WORKERS) if workers is None else workers
    _run("digits-demo", [], out, resume=True, verbs=("compare",), again="limbeck demo", workers=workers)


def cp(
    recipe: RecipeName,
    destination: Annotated[Path | None, typer.Argument(help="File or folder; by default <recipe>.yaml here.")] = None,
) -> None:
    """Copy a packaged recipe to make it your own."""
    from limbeck.recipes.inheritance import copy_recipe

    target = copy_recipe(recipe, destination)
    console.print(f"wrote {target}; edit it, then `limbeck run {target}`", markup=False)


def validate(
    recipe: RecipeName,
    overrides: Overrides = None,
    out: Out = None,
    opened: Annotated[
        bool,
        typer.Option(
            "--open/--no-open",
            help="Open data, weights and teachers, too, or only read the recipe.",
        ),
    ] = True,
) -> None:
    """Check a recipe and what it names, show it resolved, and say what running it would do; downloads nothing."""
    from limbeck.recipes.describe import describe, describe_choices
    from limbeck.recipes.reading import read_recipe

    read = read_recipe(recipe, overrides or [])
    parts = describe(read), describe_choices(recipe, overrides or [])
    console.print("\n".join(part for part in parts if part), markup=False, soft_wrap=True)
    if not opened:
        return
    from limbeck.recipes.opening import open_recipe

    check = open_recipe(read, out or Path("runs") / read.name)
    for remark in check.remarks:
        console.print(remark, markup=False, soft_wrap=True)
    if check.problems:
        count = f"{len(check.problems)} problem{'s' if len(check.problems) > 1 else ''}"
        raise UserError(f"{count} would stop this recipe:\n  " + "\n  ".join(check.problems))


def run(
    recipe: RecipeName, overrides: Overrides = None, out: Out = None, resume: Resume = False, workers: Workers = 1
) -> None:
    """Run a recipe, whatever it is: train, distill or compare."""
    _run(recipe, overrides, out, resume=resume, verbs=("train", "distill", "compare"), workers=workers)


def train(recipe: RecipeName, overrides: Overrides = None, out: Out = None, resume: Resume = False) -> None:
    """Train a network from labels, for instance a teacher."""
    _run(recipe, overrides, out, resume=resume, verbs=("train",))


def distill(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|FOLDER",
            help="A packaged recipe (`limbeck ls recipes`), a YAML file, or the folder of a transfer set.",
        ),
    ],
    overrides: Overrides = None,
    test: Annotated[
        str | None, typer.Option(help="With a FOLDER: labelled data set to judge on at the end; by default none.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help=f"With a FOLDER, who is asked: {NETWORK}. By default none is.")
    ] = None,
    student: Annotated[
        str | None, typer.Option(help="With a FOLDER: a model, in place of the one that the transfer set is for.")
    ] = None,
    out: Out = None,
    resume: Resume = False,
) -> None:
    """Teach a student by a teacher; or on a transfer set, as that says itself."""
    if not _is_transfer_set(source):
        flags = [f"--{name}" for name, value in (("test", test), ("teacher", teacher), ("student", student)) if value]
        if flags:
            raise UserError(
                f"{', '.join(flags)} must go with the folder of a transfer set, got {source!r}{_what_it_is(source)}; "
                "change a recipe by -s, as -s data.test=NAME, -s teacher=WEIGHTS or -s student=MODEL."
            )
        _run(source, overrides, out, resume=resume, verbs=("distill",))
        return
    from limbeck.recipes.verbs import recipe_for_folder

    recipe = recipe_for_folder(Path(source), overrides or [], test=test, teacher=teacher, student=student)
    _run_one(recipe, out, resume=resume, again="the same command with --resume")


def compare(
    recipe: RecipeName, overrides: Overrides = None, out: Out = None, resume: Resume = False, workers: Workers = 1
) -> None:
    """Compare arms, budgets and seeds with honest controls; finished runs are not repeated."""
    _run(recipe, overrides, out, resume=resume, verbs=("compare",), workers=workers)


_BECAUSE = {"train": "it has no `teacher`", "distill": "it has a `teacher`", "compare": "it has `compare`"}


def _run(
    name: str,
    overrides: list[str] | None,
    out: Path | None,
    *,
    resume: bool,
    verbs: tuple[str, ...],
    again: str = "the same command with --resume",
    workers: int = 1,
) -> None:
    from limbeck.recipes.plugged import telling_lost_plugins
    from limbeck.recipes.reading import read_recipe

    with telling_lost_plugins(out or Path("runs") / name):
        recipe = read_recipe(name, overrides or [])
    if recipe.verb not in verbs:
        raise UserError(
            f"{name!r} is a recipe to {recipe.verb} ({_BECAUSE[recipe.verb]}), not to {verbs[0]}; "
            f"use `limbeck {recipe.verb} {name}`."
        )
    if workers != 1 and recipe.verb != "compare":
        raise UserError(f"`--workers` is for comparisons, whose runs go on side by side, and {name!r} is one run.")
    if workers > 1:
        from limbeck.workers.local import LocalPlace

        LocalPlace().prepare()  # imports what workers need while this process does
    if recipe.verb != "compare":
        _run_one(recipe, out, resume=resume, again=again)
        return
    from limbeck.cli.progress import showing_progress
    from limbeck.cli.summary import show_summary
    from limbeck.recipes.compare import compare as compare_runs

    folder = out or Path("runs") / recipe.name
    with telling_how_to_resume(folder, again), showing_progress() as progress:
        results = compare_runs(recipe, folder, resume=resume, progress=progress, workers=workers)
    failed = any(row["state"] not in ("finished", "dropped") for row in results["runs"])
    show_summary(results, folder)
    if failed:
        raise typer.Exit(1)


def _run_one(recipe: Any, out: Path | None, *, resume: bool, again: str) -> None:
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.verbs import run_and_report

    folder = out or Path("runs") / recipe.name
    with telling_how_to_resume(folder, again), showing_progress() as progress:
        result = run_and_report(recipe, folder, resume=resume, progress=progress)
    if result is not None:
        _show_run(result, folder)


def _is_transfer_set(source: str) -> bool:
    """Whether it is the folder of a transfer set; the name of a packaged recipe is not, even where a folder has it."""
    if not Path(source).is_dir():
        return False
    from limbeck.data.transfer_set_folder import CONFIG_NAME
    from limbeck.recipes.packaged import packaged_recipes

    return source not in packaged_recipes() and (Path(source) / CONFIG_NAME).is_file()


def _what_it_is(source: str) -> str:
    if Path(source).is_dir():
        return ", a folder without transfer_set.json"
    return "" if Path(source).exists() else ", where there is no folder"


def _show_run(result: Any, folder: Path) -> None:
    from limbeck.cli.results import show_run

    show_run(result)
    console.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)
