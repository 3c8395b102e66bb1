"""The verbs of `limbeck`. Whatever imports torch is imported inside a verb, so that help answers at once."""

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck import __version__
from limbeck.cli.display import (
    console,
    errors,
    show_comparison,
    show_evaluation,
    show_probes,
    show_run,
    show_warning,
    showing_progress,
)
from limbeck.cli.listing import show_list
from limbeck.cli.loading import loads_images
from limbeck.errors import UserError

app = typer.Typer(
    help="Teach a small image classifier from a big one with as little data as you have.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A packaged recipe (`limbeck ls recipes`) or a YAML file.")
]
PythonObjects = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Change the recipe, e.g. training.epochs=5."),
]
Out = Annotated[Path | None, typer.Option("--out", help="The run folder; by default runs/<recipe's name>.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")]


def main() -> None:
    """The entry point of the command `limbeck`."""
    # Threads that wait by spinning take the processor from those they wait for; where other programs run beside us,
    # that made small networks ten times slower. Must be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal cannot show must not end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    warnings.showwarning = show_warning
    app(prog_name="limbeck")


def verb(function: Callable[..., None], *, of: typer.Typer = app) -> Callable[..., None]:
    """Registers a command whose user errors are one message and exit status 2."""

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except UserError as error:
            errors.print(f"error: {error}", style="red", markup=False)
            raise typer.Exit(2) from None

    name = function.__name__.rstrip("_").removeprefix("cache_")
    return of.command(name)(command)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        console.print(f"limbeck {__version__}")
        raise typer.Exit


@verb
def demo(out: Annotated[Path, typer.Option("--out", help="Where to.")] = Path("demo")) -> None:
    """A minute or two on two cores: the whole idea on handwritten digits, from a teacher to a report."""
    _run("digits-demo", [], out, resume=True, verbs=("compare",), again="limbeck demo")


@verb
def ls(
    family: Annotated[
        str | None, typer.Argument(help="datasets, models, objectives, views, criteria, recipes or runs.")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One of the objectives, to tell more of it.")] = None,
) -> None:
    """List what there is."""
    show_list(family, name)


@verb
def cp(
    recipe: RecipeName,
    destination: Annotated[Path | None, typer.Argument(help="File or folder; by default <recipe>.yaml here.")] = None,
) -> None:
    """Copy a packaged recipe to make it your own."""
    from limbeck.recipes.inheritance import copy_recipe

    target = copy_recipe(recipe, destination)
    console.print(f"wrote {target}; edit it, then `limbeck run {target}`", markup=False)


@verb
def validate(recipe: RecipeName, overrides: PythonObjects = None) -> None:
    """Check a recipe, show it resolved, and say what running it would do."""
    from limbeck.recipes.describe import describe, describe_choices
    from limbeck.recipes.reading import read_recipe

    parts = describe(read_recipe(recipe, overrides or [])), describe_choices(recipe, overrides or [])
    console.print("\n".join(part for part in parts if part), markup=False, soft_wrap=True)


@verb
def run(recipe: RecipeName, overrides: PythonObjects = None, out: Out = None, resume: Resume = False) -> None:
    """Run a recipe, whatever it is: train, distill or compare."""
    _run(recipe, overrides, out, resume=resume, verbs=("train", "distill", "compare"))


@verb
def train(recipe: RecipeName, overrides: PythonObjects = None, out: Out = None, resume: Resume = False) -> None:
    """Train a network from labels, for instance a teacher."""
    _run(recipe, overrides, out, resume=resume, verbs=("train",))


@verb
def distill(recipe: RecipeName, overrides: PythonObjects = None, out: Out = None, resume: Resume = False) -> None:
    """Teach a student by a teacher."""
    _run(recipe, overrides, out, resume=resume, verbs=("distill",))


@verb
def compare(recipe: RecipeName, overrides: PythonObjects = None, out: Out = None, resume: Resume = False) -> None:
    """Compare arms, budgets and seeds with honest controls; finished runs are not repeated."""
    _run(recipe, overrides, out, resume=resume, verbs=("compare",))


Split = Annotated[str, typer.Option(help="Split to choose from.")]
TeacherName = Annotated[
    str | None, typer.Option(help="For criteria that ask one: run folder, weights folder or file, or named weights.")
]
Part = Annotated[str | None, typer.Option(help="Put a criterion together: `limbeck ls criteria` lists the parts.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="Of the criterion's parts, e.g. clusters=20.")
]


@verb
@loads_images
def select(
    budget: Annotated[str, typer.Option(help="A count (500), a share (10%) or as many for every class (50/class).")],
    data: Annotated[str | None, typer.Argument(help="Data set, folder, file or hub id.")] = None,
    criterion: Annotated[str, typer.Option(help="A name, or parts as hg/kmpc/hs; see `limbeck ls criteria`.")] = "",
    representation: Part = None,
    score: Part = None,
    allocation: Part = None,
    order: Part = None,
    space: Part = None,
    options: Options = None,
    teacher: TeacherName = None,
    from_scores: Annotated[
        Path | None, typer.Option(help="Choose by a table that `limbeck score` made; without DATA, only the ids.")
    ] = None,
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
    from limbeck.recipes.verbs import default_folder, save_chosen_ids, save_selection

    parts = {
        "representation": representation,
        "score": score,
        "allocation": allocation,
        "order": order,
        "space": space,
    }
    wanted = criterion_of(criterion, parts, options or [])
    if data is None:
        summary = save_chosen_ids(from_scores, out, criterion=wanted, budget=budget, seed=seed, dedupe=dedupe)
        console.print(summary, markup=False, soft_wrap=True)
        return
    target = out or default_folder(data, wanted)
    with _telling_how_to_resume(target, "the same command"), showing_progress() as progress:
        summary = save_selection(
            data,
            target,
            split=split,
            criterion=wanted,
            budget=budget,
            seed=seed,
            teacher=teacher,
            scores=from_scores,
            dedupe=dedupe,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)


@verb
@loads_images
def score(
    data: Annotated[str, typer.Argument(help="Data set, folder, file or hub id.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to make; a scoring that was stopped goes on.")],
    criteria: Annotated[
        list[str] | None, typer.Option("--criterion", help="Whose scores; give it again for more columns.")
    ] = None,
    options: Options = None,
    teacher: TeacherName = None,
    workers: Annotated[int, typer.Option(help="Processes; more than one need Ray.")] = 1,
    split: Split = "train",
    seed: Annotated[int, typer.Option(help="Of trained networks.")] = 0,
    *,
    loading: dict[str, Any],
) -> None:
    """Score images once into a table, from which `select --from-scores` chooses as often as you like."""
    from limbeck.cli.criterion_flags import criteria_of
    from limbeck.recipes.verbs import save_scores

    wanted = criteria_of(criteria or ["entropy"], options or [])
    with _telling_how_to_resume(out, "the same command"), showing_progress() as progress:
        summary = save_scores(
            data,
            out,
            split=split,
            criteria=wanted,
            seed=seed,
            teacher=teacher,
            workers=workers,
            progress=progress,
            **loading,
        )
    console.print(summary, markup=False, soft_wrap=True)


@verb
@loads_images
def evaluate(
    student: Annotated[str, typer.Argument(help="Run folder, weights folder or file, or named weights.")],
    data: Annotated[str, typer.Option(help="Data set, folder, file or hub id.")],
    split: Annotated[str, typer.Option(help="Split to judge on.")] = "test",
    model: Annotated[str | None, typer.Option(help="Network of a bare weights file.")] = None,
    teacher: Annotated[str | None, typer.Option(help="To measure agreement with; as STUDENT.")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers there, too.")] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Judge a network on labelled images."""
    from limbeck.recipes.verbs import evaluate_saved

    show_evaluation(
        evaluate_saved(
            student,
            data,
            split=split,
            model=model,
            teacher=teacher,
            precision=precision,
            json_file=json_file,
            **loading,
        )
    )


@verb
@partial(loads_images, but=["size"])
def probe(
    network: Annotated[str, typer.Argument(help="Run folder, weights folder or file, or named weights.")],
    data: Annotated[list[str], typer.Argument(help="Labelled data sets, folders, files or hub ids.")],
    against: Annotated[
        list[str] | None, typer.Option(help="Another network beside it, as NETWORK; repeatable.")
    ] = None,
    test_split: Annotated[str, typer.Option(help="Split to judge on.")] = "test",
    hold_out: Annotated[
        float | None, typer.Option(help="Judge on a share (or count) of the training images instead.")
    ] = None,
    schedule: Annotated[str, typer.Option(help="l2, or published for the published SGD schedule.")] = "l2",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.")] = 1,
    size: Annotated[
        int | None,
        typer.Option(help="Resize images to this many pixels a side; else what NETWORK takes, at most 32 if any."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Network of a bare weights file.")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    untrained: Annotated[bool, typer.Option(help="Probe the same architecture untrained, too.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="New folder; by default runs/probe-<network>.")] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Fit a linear head on a frozen network, on other data: what do its features tell?"""
    from limbeck.recipes.probes import probe_saved

    target = out or Path("runs") / f"probe-{Path(network).name}"
    with showing_progress() as progress:
        rows = probe_saved(
            network,
            data,
            out=target,
            against=against or (),
            test_split=test_split,
            hold_out=hold_out,
            schedule=schedule,
            seeds=seeds,
            size=size,
            model=model,
            precision=precision,
            control=untrained,
            progress=progress,
            **loading,
        )
    show_probes(rows)
    console.print(f"report: {target / 'report.html'}", markup=False, soft_wrap=True)


@verb
def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Folder of a run, a comparison, a probe or a selection; or several selections.")
    ],
    out: Annotated[Path | None, typer.Option(help="Where the page of several selections goes, a new file.")] = None,
) -> None:
    """Write the report of a run, a comparison, a probe or a selection anew; or one of what several selections share."""
    from limbeck.recipes.verbs import write_reports

    console.print(f"wrote {write_reports(folders, out)}", markup=False, soft_wrap=True)


cache = typer.Typer(help="What is kept between runs: teachers' answers, decoded images.", no_args_is_help=True)
app.add_typer(cache, name="cache")
Kind = Annotated[str | None, typer.Option(help="views, features, decoded, arrow or digests.")]


@partial(verb, of=cache)
def cache_ls(kind: Kind = None) -> None:
    """List what the cache holds, where it is and how much room it takes."""
    from limbeck.cli.listing import show_cache

    show_cache(kind)


@partial(verb, of=cache)
def cache_rm(
    keys: Annotated[list[str] | None, typer.Argument(help="Keys as `limbeck cache ls` shows them.")] = None,
    kind: Kind = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything, or everything of --kind.")] = False,
) -> None:
    """Delete parts of the cache; limbeck makes again what it needs."""
    from limbeck.caching import cache_entries, matching_entries, remove_entries

    if bool(keys) == everything:
        raise UserError("give the KEYS to delete, or --all; `limbeck cache ls` lists them.")
    entries = cache_entries(kind) if everything else matching_entries(keys or [], kind)
    freed = remove_entries(entries)
    console.print(f"deleted {len(entries)} of the cache's entries, {freed / 1e6:,.1f} MB", markup=False)


_BECAUSE = {"train": "it has no `teacher`", "distill": "it has a `teacher`", "compare": "it has `compare`"}


def _run(
    name: str,
    overrides: list[str] | None,
    out: Path | None,
    *,
    resume: bool,
    verbs: tuple[str, ...],
    again: str = "the same command with --resume",
) -> None:
    from limbeck.recipes.reading import read_recipe

    recipe = read_recipe(name, overrides or [])
    if recipe.verb not in verbs:
        raise UserError(
            f"{name!r} is a recipe to {recipe.verb} ({_BECAUSE[recipe.verb]}), not to {verbs[0]}; "
            f"use `limbeck {recipe.verb} {name}`."
        )
    folder = out or Path("runs") / recipe.name
    with _telling_how_to_resume(folder, again), showing_progress() as progress:
        if recipe.verb == "compare":
            from limbeck.recipes.compare import compare as compare_runs

            results = compare_runs(recipe, folder, resume=resume, progress=progress)
            failed = any(row["state"] != "finished" for row in results["runs"])
            show = partial(show_comparison, results)
        else:
            from limbeck.recipes.verbs import run_and_report

            result = run_and_report(recipe, folder, resume=resume, progress=progress)
            if result is None:
                return
            show, failed = partial(show_run, result), False
    show()
    console.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _telling_how_to_resume(folder: Path, again: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        errors.print(f"{str(stop) or 'stopped'}; {again} goes on with {folder}", markup=False)
        raise typer.Exit(130) from None
