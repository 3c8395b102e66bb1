"""The verbs that take a recipe, and `demo`, which brings its own."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console
from limbeck.cli.options import Out, Overrides, RecipeName, Resume, Workers
from limbeck.errors import UserError


def demo(out: Annotated[Path, typer.Option("--out", help="Where to.")] = Path("demo"), workers: Workers = 1) -> None:
    """A minute or two on two cores: the whole idea on handwritten digits, from a teacher to a report."""
    _run("digits-demo", [], out, resume=True, verbs=("compare",), again="limbeck demo", workers=workers)


def cp(
    recipe: RecipeName,
    destination: Annotated[Path | None, typer.Argument(help="File or folder; by default <recipe>.yaml here.")] = None,
) -> None:
    """Copy a packaged recipe to make it your own."""
    from limbeck.recipes.inheritance import copy_recipe

    target = copy_recipe(recipe, destination)
    console.print(f"wrote {target}; edit it, then `limbeck run {target}`", markup=False)


def validate(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Check a recipe, show it resolved, and say what running it would do."""
    from limbeck.recipes.describe import describe, describe_choices
    from limbeck.recipes.reading import read_recipe

    parts = describe(read_recipe(recipe, overrides or [])), describe_choices(recipe, overrides or [])
    console.print("\n".join(part for part in parts if part), markup=False, soft_wrap=True)


def run(
    recipe: RecipeName, overrides: Overrides = None, out: Out = None, resume: Resume = False, workers: Workers = 1
) -> None:
    """Run a recipe, whatever it is: train, distill or compare."""
    _run(recipe, overrides, out, resume=resume, verbs=("train", "distill", "compare"), workers=workers)


def train(recipe: RecipeName, overrides: Overrides = None, out: Out = None, resume: Resume = False) -> None:
    """Train a network from labels, for instance a teacher."""
    _run(recipe, overrides, out, resume=resume, verbs=("train",))


def distill(recipe: RecipeName, overrides: Overrides = None, out: Out = None, resume: Resume = False) -> None:
    """Teach a student by a teacher."""
    _run(recipe, overrides, out, resume=resume, verbs=("distill",))


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
    from limbeck.cli.progress import showing_progress
    from limbeck.cli.summary import show_summary

    folder = out or Path("runs") / recipe.name
    with telling_how_to_resume(folder, again), showing_progress() as progress:
        if recipe.verb == "compare":
            from limbeck.recipes.compare import compare as compare_runs

            results = compare_runs(recipe, folder, resume=resume, progress=progress, workers=workers)
            failed = any(row["state"] not in ("finished", "dropped") for row in results["runs"])
            show = partial(show_summary, results, folder)
        else:
            from limbeck.recipes.verbs import run_and_report

            result = run_and_report(recipe, folder, resume=resume, progress=progress)
            if result is None:
                return
            show, failed = partial(_show_run, result, folder), False
    show()
    if failed:
        raise typer.Exit(1)


def _show_run(result: Any, folder: Path) -> None:
    from limbeck.cli.results import show_run

    show_run(result)
    console.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)
