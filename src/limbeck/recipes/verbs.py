"""What the verbs do with files on disk: transfer sets, saved networks, run folders."""

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.image_set import unreadable
from limbeck.data.place import path_text
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_set_folder import CONFIG_NAME
from limbeck.errors import UserError
from limbeck.evaluation.evaluation import Evaluation, evaluate
from limbeck.files import atomic_write_text
from limbeck.models.catalogue import TIMM_PREFIX
from limbeck.models.timm_evaluation import evaluation_remark
from limbeck.progress import Progress
from limbeck.recipes.evaluation_images import load_evaluation_images
from limbeck.recipes.image_sizes import size_for_network
from limbeck.recipes.merging import merged_folders, no_folder, write_report_of_several
from limbeck.recipes.networks import load_network
from limbeck.recipes.results import current_results
from limbeck.recipes.run import run
from limbeck.recipes.run_result import RunResult
from limbeck.recipes.schema import Recipe
from limbeck.recipes.use import name_for, recipe_of_set
from limbeck.recipes.yaml_files import load_mapping
from limbeck.report import (
    write_comparison_report,
    write_probe_report,
    write_run_report,
    write_selection_report,
    write_set_report,
)
from limbeck.report.model_card import write_model_card, write_model_cards
from limbeck.report.set_accuracy import ACCURACIES
from limbeck.training.distributed import is_main_process
from limbeck.training.run_folder import RunFolder


def run_and_report(recipe: Recipe, folder: Path, *, resume: bool, progress: Progress) -> RunResult | None:
    """`run`, and writes its report; None in all processes of a distributed run but the first."""
    result = run(recipe, folder, resume=resume, progress=progress)
    if not is_main_process():
        return None
    write_run_report(folder)
    return result


def recipe_for_folder(
    folder: Path,
    overrides: Sequence[str],
    *,
    test: str | None = None,
    teacher: str | None = None,
    student: str | None = None,
) -> Recipe:
    """The recipe that trains on the transfer set in a folder according to its `use`; see `recipe_of_set`.

    Args:
        folder: of the set.
        overrides: changes to the recipe, `training.epochs=5` each.
        test: labelled images for the final evaluation, by name.
        teacher: weights by name, or a folder.
        student: a model's name, in place of the one that the set is for.
    """
    transfer_set = TransferSet.load(folder)
    recipe = recipe_of_set(
        transfer_set,
        {"train": path_text(folder), "test": test},
        owner=f"the transfer set {str(folder)!r}",
        name=name_for(folder, student),
        student=student,
        teacher=teacher,
        overrides=overrides,
    )
    if transfer_set.use is None:
        warnings.warn(
            f"the transfer set {str(folder)!r} carries no `use`, and so does not say how students are to be taught on "
            "it: normalisation, learning rate and augmentation are limbeck's for any images, unless -s sets them.",
            stacklevel=2,
        )
    return recipe


def evaluate_saved(
    student: str,
    data: str,
    *,
    split: str | None,
    model: str | None = None,
    teacher: str | None = None,
    precision: Any = "fp32",
    json_file: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Evaluation:
    """Evaluates a saved network on a data set, loaded with the `options` of `limbeck.load`; see
    `load_evaluation_images`."""
    if json_file is not None and json_file.is_dir():
        raise UserError(f"`--json` must be a file, got the folder {str(json_file)!r}.")
    network = load_network(student, model=model)
    teacher_network = None if teacher is None else load_network(teacher)
    images = load_evaluation_images(student, data, split, size_for_network(network, student), say, **options)
    if images.skipped:
        warnings.warn(f"left out {unreadable(images.skipped)} of {images.name!r}.", stacklevel=2)
    if student.casefold().startswith(TIMM_PREFIX) and (remark := evaluation_remark(network)):
        say(remark)
    metrics = evaluate(network, images, teacher=teacher_network, precision=precision)
    if json_file is not None:
        atomic_write_text(json_file, json.dumps(metrics.to_dict(), indent=1) + "\n")
    return metrics


def write_reports(folders: Sequence[Path], path: Path | None = None) -> Path:
    """Writes the report of one folder into it, or one of several; see `write_report` and `write_report_of_several`.

    Raises:
        UserError: see there; `path` is given for a single folder.
    """
    if len(folders) == 1:
        if path is not None:
            raise UserError("`--out` is where the report of several folders goes; that of one folder goes into it.")
        return write_report(folders[0])
    return write_report_of_several(folders, path)


def write_report(folder: Path) -> Path:
    """Writes the report of whatever `folder` holds; for a comparison, of the results so far.

    Raises:
        UserError: the folder is missing, or holds none of a run, a comparison, the report of several, a probe,
            evaluated sets and a selection.
    """
    if not folder.is_dir():
        raise no_folder(folder)
    if not (folder / "recipe.yaml").exists() and (merged := merged_folders(folder)):
        return write_report_of_several(merged, folder)
    if (folder / CONFIG_NAME).exists():
        return write_selection_report(folder)
    if (folder / "probe.json").exists():
        return write_probe_report(folder)
    if (folder / ACCURACIES).exists():
        return write_set_report(folder)
    run_folder = RunFolder(folder)
    if run_folder.state == "missing" or not (folder / "recipe.yaml").exists():
        raise UserError(
            f"{str(folder)!r} holds neither a run nor a comparison; `limbeck ls runs` lists those in runs/."
        )
    content = load_mapping(folder / "recipe.yaml")
    if "compare" not in content:
        if run_folder.finished:
            write_model_card(folder)
        return write_run_report(folder)
    if not (folder / "networks.json").exists():
        raise UserError(f"the comparison in {str(folder)!r} has not begun its first run yet; go on with --resume.")
    results = current_results(folder)
    run_folder.write("results.json", results)
    write_model_cards(folder, results)
    return write_comparison_report(folder)
