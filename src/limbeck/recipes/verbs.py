"""What the verbs do with what lies on disk: transfer sets, saved networks, run folders."""

import json
import shutil
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from limbeck.data.class_names import printable
from limbeck.data.loading import load as load_images
from limbeck.data.transfer_set import CONFIG_NAME
from limbeck.errors import UserError
from limbeck.evaluation.energy import EnergyMeter
from limbeck.evaluation.evaluation import Evaluation, evaluate
from limbeck.files import atomic_write_text, check_path
from limbeck.models.weights.folder import load as load_model
from limbeck.progress import Progress, Silent
from limbeck.recipes.inputs import Inputs, network_folder
from limbeck.recipes.reading import parse_recipe, parse_transfer
from limbeck.recipes.results import collect
from limbeck.recipes.run import RunResult, run
from limbeck.recipes.schema import Recipe
from limbeck.recipes.yaml_files import load_mapping
from limbeck.report import (
    write_comparison_report,
    write_probe_report,
    write_run_report,
    write_selection_report,
    write_selections_report,
)
from limbeck.training.distributed import is_main_process
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.choice import select_from_scores
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.evidence import EVIDENCE
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.write import score_table
from limbeck.transfer.select.choose import select
from limbeck.transfer.select.evidence import evidence_of

_NO_DEDUPE = "a table of scores does not say which images are equal; leave out --dedupe or --from-scores."


def run_and_report(recipe: Recipe, folder: Path, *, resume: bool, progress: Progress) -> RunResult | None:
    """`run`, and its report beside it; None in all processes of a distributed run but the first, which alone tells."""
    result = run(recipe, folder, resume=resume, progress=progress)
    if not is_main_process():
        return None
    write_run_report(folder)
    return result


def save_selection(
    data: str,
    target: Path,
    *,
    split: str,
    criterion: str | Criterion,
    budget: str,
    seed: int,
    teacher: str | None = None,
    scores: Path | None = None,
    dedupe: bool = False,
    precision: Any = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Chooses images and saves them as a transfer set in `target`, with a report; returns what happened, for people.

    Args:
        data, split, options: see `limbeck.load`.
        target: a new folder.
        criterion, budget, seed, dedupe, precision: see `limbeck.select`.
        teacher: a network's name or folder, for criteria that ask one.
        scores: a table that `save_scores` made, in place of scoring.
        progress: who watches.

    Raises:
        UserError: see `limbeck.load` and `limbeck.select`; the target exists.
    """
    criterion = find_criterion(criterion)
    check_path(target)
    if target.exists():
        raise UserError(f"{str(target)!r} exists already and is never overwritten; choose another --out.")
    if scores is not None and dedupe:
        raise UserError(_NO_DEDUPE)
    if scores is None and criterion.needs_teacher and teacher is None:
        raise UserError(f"criterion {criterion.name!r} asks a teacher, and none is given; give --teacher.")
    images = load_images(data, split, **options)
    if scores is not None:
        selection = select_from_scores(scores, criterion=criterion, budget=budget, seed=seed)
        choice = len(images)
    else:
        asked = None if teacher is None else load_model(network_folder(teacher))
        chosen_by = {"criterion": criterion, "budget": budget, "seed": seed, "dedupe": dedupe}
        selection = select(images, teacher=asked, precision=precision, progress=progress, **chosen_by)
        choice = selection.considered
    transfer_set = selection.transfer_set(images)
    transfer_set.save(target)
    evidence_of(selection, images).save(target / EVIDENCE)
    report = write_selection_report(target)
    lines = [f"chose {len(transfer_set):,} of {choice:,} images by {criterion.name} -> {target}"]
    if choice < len(images):
        lines.append(f"left out {len(images) - choice:,} images that another equals")
    if images.skipped:
        lines.append(f"left out {images.skipped:,} unreadable image{'s' if images.skipped > 1 else ''}")
    if transfer_set.images.labels is not None:
        counts = zip(images.classes, transfer_set.images.class_counts().tolist(), strict=True)
        lines.append(", ".join(f"{name} {count}" for name, count in counts))
    lines.append(f"report: {report}")
    return "\n".join(lines)


def save_made(
    settings: Mapping[str, Any],
    target: Path,
    *,
    overrides: Sequence[str] = (),
    data: str | None = None,
    split: str = "train",
    teacher: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Makes a transfer set and saves it in `target`, with evidence, cost and a report; returns what happened, in words.

    What a maker keeps to go on with lies in `<target>.making` until all is made.

    Args:
        settings: those that a recipe has under `transfer`.
        target: a new folder.
        overrides: more of them, "key=value" each.
        data, split, options: see `limbeck.load`; for makers that need images.
        teacher: a network's name or folder, for makers that ask one.
        seed: of all that is drawn.
        progress: who watches.

    Raises:
        UserError: unknown settings, images or a teacher that are missing; the target exists; a maker whose images grow
            with the student.
    """
    check_path(target)
    if target.exists():
        raise UserError(f"{str(target)!r} exists already and is never overwritten; choose another --out.")
    found = parse_transfer(settings, overrides)
    if found.needs_pool and data is None:
        raise UserError(f"{found.title} takes its images from DATA, and none is given; name a data set.")
    if found.needs_teacher and teacher is None:
        raise UserError(f"{found.title} asks a teacher, and none is given; give --teacher.")
    network = None if teacher is None else load_model(network_folder(teacher))
    inputs = Inputs(None if data is None else load_images(data, split, **options), None, None, teacher=network)
    if inputs.train is None and network is None:
        raise UserError(f"{found.title} needs DATA or --teacher to tell classes and size of the images; give one.")
    folder = target.with_name(f"{target.name}.making")
    context = MakerContext(
        folder=folder,
        pool=inputs.train,
        classes=inputs.classes.names,
        shape=inputs.shape,
        teacher=network,
        seed=seed,
        device=PartialState().device or torch.device("cpu"),
        progress=progress or Silent(),
    )
    maker = find_maker(found.maker)
    maker.count(found, context)
    meter, started = EnergyMeter(), time.perf_counter()
    with meter:
        made = maker.make(found, context)
    if made.source.steps_per_round is not None:
        raise UserError(f"{found.title} makes images while a student learns; name it in a recipe, under `transfer`.")
    seconds, energy = time.perf_counter() - started, meter.energy
    here = {"kwh": max(made.cost.kwh, energy["kwh"]), "measured": energy["kind"] == "measured"}
    cost = replace(made.cost, seconds=max(made.cost.seconds, seconds), **here)
    transfer_set = made.source.images(0)
    transfer_set.save(target)
    made.evidence.save(target / EVIDENCE)
    atomic_write_text(target / "cost.json", json.dumps(cost.to_dict(), indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    report = write_selection_report(target)
    return f"{made.evidence.headline}\n{len(transfer_set):,} images -> {target}\nreport: {report}"


def save_chosen_ids(
    scores: Path | None,
    target: Path | None,
    *,
    criterion: str | Criterion,
    budget: str,
    seed: int,
    dedupe: bool = False,
) -> str:
    """Chooses by a table of scores alone and saves ids and scores; returns what happened, for people.

    Args:
        scores: a table that `save_scores` made.
        target: a new Parquet file; by default in runs/.
        criterion, budget, seed: see `select_from_scores`.
        dedupe: refused.

    Raises:
        UserError: see `select_from_scores`; there is no table, or the target exists.
    """
    if scores is None:
        raise UserError("give DATA to choose from, or a table of scores as --from-scores; got neither.")
    if dedupe:
        raise UserError(_NO_DEDUPE)
    criterion = find_criterion(criterion)
    target = target or Path(f"{default_folder(scores.stem, criterion)}.parquet")
    check_path(target)
    if target.exists():
        raise UserError(f"{str(target)!r} exists already and is never overwritten; choose another --out.")
    chosen = select_from_scores(scores, criterion=criterion, budget=budget, seed=seed)
    chosen.to_parquet(target)
    return f"chose {chosen.count:,} of {chosen.considered:,} images by {chosen.criterion.name} -> {target}"


def default_folder(source: str, criterion: Criterion) -> Path:
    """Where a selection goes that is not told where: runs/<source>-<criterion>."""
    name = f"{printable(Path(source).name)}-{criterion.name}"
    return Path("runs") / name.replace(":", "-").replace("/", "-")


def save_scores(
    data: str,
    target: Path,
    *,
    split: str,
    criteria: Sequence[str | Criterion],
    seed: int,
    teacher: str | None = None,
    workers: int = 1,
    precision: Any = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Scores images into the table `target`; returns what happened, for people.

    Raises:
        UserError: see `limbeck.load` and `score_table`.
    """
    check_path(target)
    for name in criteria:
        find_criterion(name)
    asked = None if teacher is None else load_model(network_folder(teacher))
    load = partial(load_images, data, split, **options)
    how = {"seed": seed, "workers": workers, "precision": precision, "progress": progress}
    score_table(load, target, criteria=criteria, teacher=asked, **how)
    table = ScoreTable(target)
    return f"scored {len(table):,} images by {', '.join(table.columns) or 'nothing but ids'} -> {target}"


def evaluate_saved(
    student: str,
    data: str,
    *,
    split: str,
    model: str | None = None,
    teacher: str | None = None,
    precision: Any = "fp32",
    json_file: Path | None = None,
    **options: Any,
) -> Evaluation:
    """Judges a saved network on a data set, which is loaded with the `options` of `limbeck.load`."""
    if json_file is not None and json_file.is_dir():
        raise UserError(f"`--json` must be a file, got the folder {str(json_file)!r}.")
    network = load_model(network_folder(student), model=model)
    asked = None if teacher is None else load_model(network_folder(teacher))
    images = load_images(data, split, **options)
    if images.skipped:
        warnings.warn(f"left out {images.skipped:,} unreadable images of {images.name!r}.", stacklevel=2)
    metrics = evaluate(network, images, teacher=asked, precision=precision)
    if json_file is not None:
        atomic_write_text(json_file, json.dumps(metrics.to_dict(), indent=1) + "\n")
    return metrics


def write_reports(folders: Sequence[Path], path: Path | None = None) -> Path:
    """The report of one folder in it, or of several selections in the new file `path`.

    Raises:
        UserError: see `write_report` and `write_selections_report`; no `path` for several, one for a single folder, or
            it exists.
    """
    if len(folders) == 1:
        if path is not None:
            raise UserError("`--out` is where a page of several selections goes; that of one folder goes into it.")
        return write_report(folders[0])
    if path is None:
        raise UserError("several folders make one page, of the selections in them; say where as --out FILE.html.")
    if path.exists():
        raise UserError(f"{str(path)!r} exists already and is never overwritten; choose another --out.")
    return write_selections_report(folders, path)


def write_report(folder: Path) -> Path:
    """The report of whatever `folder` holds; of a comparison, its results as far as they are there.

    Raises:
        UserError: it holds none of a run, a comparison, a probe and a selection.
    """
    if (folder / CONFIG_NAME).exists():
        return write_selection_report(folder)
    if (folder / "probe.json").exists():
        return write_probe_report(folder)
    run_folder = RunFolder(folder)
    if run_folder.state == "missing" or not (folder / "recipe.yaml").exists():
        raise UserError(
            f"{str(folder)!r} holds neither a run nor a comparison; `limbeck ls runs` lists those in runs/."
        )
    content = load_mapping(folder / "recipe.yaml")
    if "compare" not in content:
        return write_run_report(folder)
    if not (folder / "networks.json").exists():
        raise UserError(f"the comparison in {str(folder)!r} has not begun its first run yet; go on with --resume.")
    recipe = parse_recipe(content, f"{folder / 'recipe.yaml'}")
    run_folder.write("results.json", collect(folder, recipe))
    return write_comparison_report(folder)
