"""The verbs `select` and `score`: save images selected from a data set, or from a table of scores."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from limbeck.data.class_names import printable
from limbeck.data.encoded.build import SizesDiffer
from limbeck.data.image_set import ImageSet, unreadable
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.files import check_path, disk_errors, place_new
from limbeck.progress import Progress
from limbeck.recipes.evaluation_images import Say, load_sized
from limbeck.recipes.image_sizes import size_of_saved
from limbeck.recipes.loading import load as load_images
from limbeck.recipes.making_alone import whole_folder, write_whole
from limbeck.recipes.networks import load_network
from limbeck.transfer.choice import select_from_scores
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.write import score_table
from limbeck.transfer.select.choose import select
from limbeck.transfer.select.evidence import evidence_of

_NO_DEDUPE = "a table of scores does not say which images are equal; leave out --dedupe or --from-scores."


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
    """Selects images and saves them as a transfer set in `target`, with a report; returns a summary.

    Args:
        data, split, options: see `limbeck.load`.
        target: a new folder.
        criterion, budget, seed, dedupe, precision: see `limbeck.select`.
        teacher: a network's name or folder, for criteria that need one.
        scores: a table that `save_scores` made, in place of scoring; images are loaded as they were scored.
        progress: reports progress.

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
    say = None if progress is None else progress.say
    if scores is not None:
        images = _load_scored(data, split, ScoreTable(scores), say, **options)
        selection = select_from_scores(scores, criterion=criterion, budget=budget, seed=seed)
        choice = len(images)
    else:
        images = load_sized(data, split, None if teacher is None else size_of_saved(teacher), say, **options)
        teacher_network = None if teacher is None else load_network(teacher)
        chosen_by = {"criterion": criterion, "budget": budget, "seed": seed, "dedupe": dedupe}
        selection = select(images, teacher=teacher_network, precision=precision, progress=progress, **chosen_by)
        choice = selection.considered
    transfer_set = selection.transfer_set(images)
    report = _save(transfer_set, evidence_of(selection, images), target)
    lines = [f"chose {len(transfer_set):,} of {choice:,} images by {criterion.name} -> {target}"]
    if choice < len(images):
        lines.append(f"left out {len(images) - choice:,} images that another equals")
    lines += _left_out(images.skipped)
    if transfer_set.images.labels is not None:
        counts = zip(images.classes, transfer_set.images.class_counts().tolist(), strict=True)
        lines.append(", ".join(f"{name} {count}" for name, count in counts))
    lines.append(f"report: {report}")
    return "\n".join(lines)


def _load_scored(data: str, split: str, table: ScoreTable, say: Say | None, **options: Any) -> ImageSet:
    """The images of a table of scores, in the size and colours in which they were scored unless options say others."""
    shape = table.about.get("shape")  # handmade tables lack it
    if shape is None:
        return load_images(data, split, **options)
    scored_as = {"size": tuple(shape[1:])} | ({"channels": shape[0]} if shape[0] in (1, 3) else {})
    as_scored = {**options, **{key: value for key, value in scored_as.items() if options.get(key) is None}}
    try:
        images = load_images(data, split, **options)
        if as_scored == options or list(images.shape) == list(shape):
            return images
    except SizesDiffer:
        pass
    if say is not None:
        say(f"images of {data!r} are brought to {'x'.join(map(str, shape))}, as they were scored in {table.title}")
    return load_images(data, split, **as_scored)


def _save(transfer_set: TransferSet, evidence: Evidence, target: Path) -> Path:
    """Writes the folder of a transfer set completely or not at all; returns the report's path."""
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            whole = whole_folder(Path(folder), target)
            report = write_whole(transfer_set, evidence, whole)
            place_new(whole, target)
    return target / report.name


def save_chosen_ids(
    scores: Path | None,
    target: Path | None,
    *,
    criterion: str | Criterion,
    budget: str,
    seed: int,
    dedupe: bool = False,
) -> str:
    """Selects by a table of scores alone and saves ids and scores; returns a summary.

    Args:
        scores: a table that `save_scores` made.
        target: a new Parquet file; by default in runs/.
        criterion, budget, seed: see `select_from_scores`.
        dedupe: must be false, as a table does not say which images are equal.

    Raises:
        UserError: see `select_from_scores`; the table is missing, or the target exists.
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
    """The default folder of a selection: runs/<source>-<criterion>."""
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
    """Scores images into the table `target`; returns a summary.

    Raises:
        UserError: see `limbeck.load` and `score_table`.
    """
    check_path(target)
    for name in criteria:
        find_criterion(name)
    teacher_network = None if teacher is None else load_network(teacher)
    load = partial(load_sized, data, split, None if teacher is None else size_of_saved(teacher), **options)
    arguments = {"seed": seed, "workers": workers, "precision": precision, "progress": progress}
    score_table(load, target, criteria=criteria, teacher=teacher_network, **arguments)
    table = ScoreTable(target)
    scored = f"scored {len(table):,} images by {', '.join(table.columns) or 'nothing but ids'} -> {target}"
    return "\n".join([scored, *_left_out(int(table.about.get("skipped", 0)))])


def _left_out(skipped: int) -> list[str]:
    return [f"left out {unreadable(skipped)}"] if skipped else []
