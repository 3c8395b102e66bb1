"""The verbs `evaluate`, `probe` and `report`, on existing networks, sets and runs."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.display import console
from limbeck.cli.evaluate_options import (
    Data,
    Full,
    JsonFile,
    JudgedSplit,
    Networks,
    ProtocolName,
    Ranks,
    Rate,
    Seeds,
    SetsOut,
    SideBySide,
    Targets,
    Teacher,
    Test,
    Train,
    Training,
    Validation,
    What,
)
from limbeck.cli.evaluate_sets import SetOptions, are_sets, evaluate_sets, refuse_network_options, refuse_set_options
from limbeck.cli.loading import loads_images
from limbeck.cli.options import NETWORK, BareModel, ComputesIn
from limbeck.errors import UserError


@loads_images
def evaluate(
    what: What,
    data: Data = None,
    split: JudgedSplit = None,
    model: BareModel = None,
    teacher: Teacher = None,
    precision: ComputesIn = "fp32",
    json_file: JsonFile = None,
    test: Test = None,
    networks: Networks = None,
    seeds: Seeds = 3,
    targets: Targets = "kept",
    protocol: ProtocolName = "kept",
    rate: Rate = None,
    validation: Validation = None,
    training: Training = None,
    workers: SideBySide = 1,
    ranking: Ranks = False,
    train: Train = None,
    full: Full = None,
    out: SetsOut = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Judge a network on labelled images, or transfer sets by what fresh networks learn from them."""
    of_sets = SetOptions(
        test=test,
        networks=networks or (),
        seeds=seeds,
        labels=targets,
        protocol=protocol,
        rate=rate,
        validation=validation,
        training=training or (),
        workers=workers,
        train=train,
        full=full,
        out=out,
        ranking=ranking,
    )
    if are_sets(what, test):
        of_networks = {"--data": data, "--model": model, "--precision": None if precision == "fp32" else precision}
        refuse_network_options(of_networks)
        evaluate_sets(what, split, teacher, json_file, of_sets, loading=loading)
        return
    refuse_set_options(of_sets)
    if len(what) > 1:
        raise UserError(f"one network is judged at a time, got {len(what)}; several folders are transfer sets.")
    if data is None:
        absent = f"there is no folder or file {what[0]!r} here; " if _is_missing_path(what[0]) else ""
        raise UserError(
            f"{absent}a network is judged on `--data`, a transfer set on `--test`; name a data set, folder, file or "
            "hub id."
        )
    from limbeck.cli.results import show_evaluation
    from limbeck.recipes.verbs import evaluate_saved

    options = {"split": split, "model": model, "teacher": teacher, "precision": precision, "json_file": json_file}
    say = partial(console.print, markup=False, soft_wrap=True)
    show_evaluation(evaluate_saved(what[0], data, say=say, **options, **loading))


def _is_missing_path(what: str) -> bool:
    """Whether it looks like a path, and does not exist."""
    return "/" in what and not Path(what).expanduser().exists()


@partial(loads_images, but=["size"])
def probe(
    network: Annotated[str, typer.Argument(help=f"A network: {NETWORK}.")],
    data: Annotated[list[str], typer.Argument(help="Labelled data sets, folders, files or hub ids.")],
    against: Annotated[
        list[str] | None, typer.Option(help="Another network beside it, what NETWORK may be; repeatable.")
    ] = None,
    test_split: Annotated[str, typer.Option(help="Split to judge on.")] = "test",
    hold_out: Annotated[
        float | None,
        typer.Option(help="Judge on a share (or count) of the training images; by default on --test-split."),
    ] = None,
    schedule: Annotated[str, typer.Option(help="l2, or published for the published SGD schedule.")] = "l2",
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0.")] = 1,
    size: Annotated[
        int | None,
        typer.Option(
            help="Resize images to this many pixels a side; by default what NETWORK takes, at most 32 where that is "
            "any."
        ),
    ] = None,
    model: BareModel = None,
    precision: ComputesIn = "fp32",
    untrained: Annotated[bool, typer.Option(help="Probe the same architecture untrained, too.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="New folder; by default runs/probe-<network>.")] = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Fit a linear head on a frozen network, on other data: what do its features tell?"""
    from limbeck.cli.progress import showing_progress
    from limbeck.cli.results import show_probes
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


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folder of a run, a comparison, a probe or a selection; or several comparisons or selections."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the report of several goes: of selections a new file FILE.html; of comparisons a folder, by "
            "default one beside the first."
        ),
    ] = None,
    tables: Annotated[bool, typer.Option("--tables", help="Of a comparison: show all its tables here, too.")] = False,
) -> None:
    """Write the report of a run, a comparison, a probe or a selection anew, or one of several of them.

    Several comparisons on the same test images are merged into one report and one table; of several selections it is
    which images they share. Beside the report of comparisons lie results.csv, summary.csv and results.tex.
    """
    from limbeck.recipes.verbs import write_reports

    path = write_reports(folders, out)
    console.print(f"wrote {path}", markup=False, soft_wrap=True)
    if tables:
        from limbeck.cli.results import show_tables
        from limbeck.report.reading import results

        if not (path.parent / "results.json").exists():
            raise UserError("`--tables` shows those of a comparison, and there is none here; leave it out.")
        show_tables(results(path.parent))
