"""Scoring into a Parquet table, shard by shard: resumable, in constant memory, by one or several workers."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.errors import UserError, unknown_name
from limbeck.files import atomic_path, atomic_write_text, disk_errors
from limbeck.locks import only_one
from limbeck.models.fingerprint import identify
from limbeck.precision import Precision
from limbeck.progress import Progress, Silent
from limbeck.randomness import check_seed
from limbeck.training.distributed import process_token
from limbeck.transfer.clusters import clusters_of
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.own_code import own_code
from limbeck.transfer.score_table.identity import (
    CONTENT,
    IDENTITY,
    content_of,
    ids_and_labels,
    of_any_order,
    pixels_of,
    seen,
)
from limbeck.transfer.score_table.read import METADATA
from limbeck.transfer.score_table.shards import MakeShards
from limbeck.transfer.scoring.context import ScoringContext, check_criterion, make_context
from limbeck.transfer.scoring.features import batch_size_for, collect, representation
from limbeck.transfer.scoring.score import BESIDE, representation_options
from limbeck.workers import run_shards

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

MOST = 2**16
"""Largest number of images per shard by default."""
_SHARDS = 16


def score_table(
    images: "ImagesLike | Callable[[], ImageSet]",
    path: str | Path,
    *,
    criteria: Sequence[str | Mapping[str, Any] | Criterion] = ("entropy",),
    seed: int = 0,
    teacher: "Classifier | str | Path | None" = None,
    folder: str | Path | None = None,
    workers: int = 1,
    shard: int | None = None,
    trust_teacher: bool = False,
    precision: Precision = "auto",
    beside: Sequence[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Writes id, label and the scores of every image to `path`, for `select_from_scores`.

    Images are read once and the teacher runs once for all criteria together, except for what is trained or needs the
    whole set first. Finished shards are kept in `<path>.parts` until all are done. A scoring that was stopped or killed
    continues with them; neither that nor the number of workers changes the table.

    Args:
        images: what to score, or a data set's name, see `limbeck.load`; or a function that loads them, which every
            worker calls.
        path: the Parquet file to make; never overwritten.
        criteria: whose scores to compute, as for `select`; criteria with the same score share a column. Random scores
            need no column. Criteria that use clusters (k-means, manifold) also get a column of these, computed once in
            this process from the features of the whole set, which take 4 N D bytes of memory.
        seed: of training for scores.
        teacher: for criteria that need one; a classifier, or whatever `load_model` takes.
        folder: where networks that a criterion trains are kept.
        workers: number of processes, on this machine, or on the Ray cluster that RAY_ADDRESS names or this process is
            connected to. Its nodes must have limbeck, and share with this process, under the same paths, the files of
            the images, limbeck's cache and the folder of `path`.
        shard: images per shard, rounded to whole batches; at most so many are scored again after a kill. By default a
            sixteenth of the images, at most `MOST`.
        trust_teacher: continue with shards of another process even if the teacher has code or attributes that limbeck
            cannot verify, such as your own `forward`; by default only the process that began them does.
        precision: of the teacher, in every worker: "fp32", "bf16", or "auto" for the fastest on this machine. The table
            records it.
        beside: further columns, computed in the same pass: "digest", a 128-bit hash of the pixels, and "group", the
            number of the class that the teacher predicts, with the class names in the metadata.
        progress: reports progress.

    Raises:
        UserError: `path` exists, a criterion lacks what it needs, the named cluster cannot be joined, a worker does not
            see the same images and folders, or the finished shards are of other images.

    Example:
        >>> path = score_table(images, "two.parquet", criteria=["entropy", "variance"])
        >>> lb.transfer.select.ScoreTable(path).columns
        ('entropy:grayscale-histogram', 'variance:grayscale')
    """
    check_seed(seed)
    watching = progress if workers == 1 else None  # progress cannot move to a worker
    context = make_context(teacher, folder, seed, watching, precision=precision)
    options: dict[str, Any] = {"workers": workers, "shard": shard, "trust_teacher": trust_teacher, "progress": progress}
    loads = callable(images)
    image_set = cast("Callable[[], ImageSet]", images) if loads else as_image_set(images, "train", "images")
    return write_table(image_set, Path(path), list(map(find_criterion, criteria)), context, beside=beside, **options)


def write_table(
    images: "ImageSet | Callable[[], ImageSet]",
    path: Path,
    criteria: Sequence[Criterion],
    context: ScoringContext,
    *,
    beside: Sequence[str] = (),
    workers: int = 1,
    shard: int | None = None,
    trust_teacher: bool = False,
    progress: Progress | None = None,
) -> Path:
    """`score_table` for callers with a context: teacher, folder, seed, and how the teacher computes.

    Example:
        >>> path = write_table(images, Path("v.parquet"), [Criterion(score="variance")], ScoringContext(), shard=64)
        >>> len(pq.read_table(path))
        200
    """
    _check_new(path)
    for name, value in (("workers", workers), ("shard", shard)):
        if value is not None and value < 1:
            raise UserError(f"`{name}` must be at least 1, got {value}.")
    watch = progress or Silent()
    loaded = images() if callable(images) else images
    _check_beside(beside, context.teacher)
    columns = {criterion.column: criterion for criterion in criteria if criterion.score != "random"}
    clusters = {criterion.clusters_column: criterion for criterion in criteria if criterion.clusters_column is not None}
    for criterion in criteria:
        _check(criterion, loaded, context)

    batch = batch_size_for(loaded)
    size = min(MOST, -(-len(loaded) // _SHARDS)) if shard is None else shard
    size = min(-(-size // batch) * batch, len(loaded))
    count = -(-len(loaded) // size)
    parts = path.with_name(f"{path.name}.parts")
    about = _about(loaded, [*columns, *clusters], criteria, context, beside)
    plan = _plan(about, loaded, size, criteria, context, trust_teacher=trust_teacher, watch=watch)
    with disk_errors(parts):
        parts.mkdir(parents=True, exist_ok=True)
    with only_one(parts, lambda: watch.say(f"another process is scoring into {str(path)!r}; waiting for it")):
        _check_new(path)  # another process may have made it meanwhile
        _claim(parts, plan)
        make = MakeShards(images, columns, context, parts, size, beside, begun=seen(loaded))
        _score_shards(make, columns, parts, count, context.folder, workers, watch)
        for number, criterion in enumerate(clusters.values()):
            watch.say(f"clusters of {criterion.name}")
            _keep_clusters(_clusters_file(parts, number), loaded, criterion, context)
        about |= {IDENTITY: of_any_order(loaded), CONTENT: content_of(loaded), "skipped": loaded.skipped}
        _join(parts, count, path, about, list(clusters))
        shutil.rmtree(parts)
    return path


def _check_new(path: Path) -> None:
    if path.exists():
        raise UserError(f"{str(path)!r} exists already and is never overwritten; choose another path.")


def _check(criterion: Criterion, images: "ImageSet", context: ScoringContext) -> None:
    """Raises a UserError if `criterion` lacks what it needs to be scored."""
    if "function" in criterion.represented:
        raise UserError("a `function` has no name to resume by; select from the images themselves with it.")
    check_criterion(criterion, images, context)
    if criterion.clusters_column is not None and criterion.per_class and images.labels is None:
        raise UserError(
            f"criterion {criterion.name!r} finds clusters within every class, and {images.name!r} has no labels; "
            "choose one that does so in the whole set."
        )


def _check_beside(beside: Sequence[str], teacher: "Classifier | None") -> None:
    for name in beside:
        if name not in BESIDE:
            raise unknown_name("column `beside` the scores:", name, BESIDE)
    if "group" in beside and teacher is None:
        raise UserError("`beside` asks for the class that a teacher gives, and none is given; give a `teacher`.")


def _about(
    images: "ImageSet",
    columns: Sequence[str],
    criteria: Sequence[Criterion],
    context: ScoringContext,
    beside: Sequence[str],
) -> dict[str, Any]:
    """The metadata of the table."""
    teacher, grouped = context.teacher, "group" in beside
    about: dict[str, Any] = {
        "name": images.name,
        "shape": list(images.shape),
        "classes": list(images.classes),
        "columns": list(columns),
        "seed": context.seed,
    }
    if grouped or any(criterion.needs_teacher for criterion in criteria):
        about["precision"] = context.precision
    if beside:
        about["beside"] = list(beside)
    if grouped and teacher is not None:
        about["groups"] = list(groups_of(teacher))
    return about


def _plan(
    about: Mapping[str, Any],
    images: "ImageSet",
    size: int,
    criteria: Sequence[Criterion],
    context: ScoringContext,
    *,
    trust_teacher: bool,
    watch: Progress,
) -> dict[str, Any]:
    """Everything that shards depend on: a scoring continues only with finished shards of the same plan."""
    plan = {**about, "images": ids_and_labels(images), "pixels": pixels_of(images), "shard": size}
    if context.block is not None:
        plan["block"] = context.block
    plan |= _whose(context.teacher, trust_teacher, watch)
    for criterion in criteria:
        plan |= own_code(criterion.score, criterion.representation) | own_code(representation=criterion.space)
    return plan


def _score_shards(
    make: MakeShards,
    columns: Mapping[str, Criterion],
    parts: Path,
    count: int,
    folder: Path,
    workers: int,
    watch: Progress,
) -> None:
    """Computes the missing ones of `count` shards in `parts`; workers must see `parts` and `folder`, if that exists."""
    shared = [parts / "plan.json", *([folder] if folder.exists() else [])]
    if any(criterion.representation == "average-adjusted-histogram" for criterion in columns.values()):
        run_shards(make, "add_up", _missing(parts, count, "npy"), workers, watch, "average histogram", shared)
    run_shards(make, "score", _missing(parts, count, "parquet"), workers, watch, "scoring", shared)


def groups_of(teacher: "Classifier") -> tuple[str, ...]:
    """Names of the classes that a teacher predicts.

    Example:
        >>> groups_of(teacher)[0]
        '0'
    """
    return teacher.classes or tuple(map(str, range(teacher.num_classes)))


def _clusters_file(parts: Path, number: int) -> Path:
    return parts / f"clusters-{number}.npy"


def _keep_clusters(path: Path, images: "ImageSet", criterion: Criterion, context: ScoringContext) -> None:
    if not path.exists():
        name = criterion.space
        represent = representation(name, images, context, representation_options(criterion, name))
        features = collect(images, represent)
        with atomic_path(path) as temporary:
            np.save(temporary, clusters_of(features, images.ids, images.labels, criterion, context.seed).numpy())


def _whose(teacher: "Classifier | None", trusted: bool, watch: Progress) -> dict[str, Any]:
    """The teacher's fingerprint, and the only process that can recognise the teacher, or None if any can."""
    if teacher is None:
        return {"teacher": None, "process": None}
    identity = identify(teacher)
    if trusted or not identity.unseen:
        return {"teacher": identity.fingerprint, "process": None}
    watch.say(
        f"only this process can go on with what it scores by {teacher.name}, because {identity.reason} cannot be "
        "vouched for; `trust_teacher=True` lets others."
    )
    return {"teacher": identity.fingerprint, "process": process_token()}


def _claim(parts: Path, plan: dict[str, Any]) -> None:
    """Writes the plan to the folder of parts, or checks that the same plan is there."""
    written = parts / "plan.json"
    if not written.exists():
        atomic_write_text(written, json.dumps(plan, indent=1) + "\n")
        return
    begun = json.loads(written.read_text())
    if {**begun, "process": plan["process"]} == plan and begun.get("process") != plan["process"]:
        raise UserError(
            f"{str(parts)!r} holds parts that another process asked of a teacher that cannot be recognised; remove it, "
            "choose another path, or give `trust_teacher=True` to both if the teacher is the same."
        )
    if begun != plan:
        raise UserError(
            f"{str(parts)!r} holds parts of another scoring (other images, criteria or code, seed, teacher, precision "
            "or shards); remove it, or choose another path."
        )


def _missing(parts: Path, count: int, suffix: str) -> list[int]:
    return [index for index in range(count) if not (parts / f"{index:06d}.{suffix}").exists()]


def _join(parts: Path, count: int, path: Path, about: dict[str, Any], clusters: Sequence[str]) -> None:
    """Joins all parts into one file, in the order of the set, one row group each."""
    columns = {name: np.load(_clusters_file(parts, number), mmap_mode="r") for number, name in enumerate(clusters)}
    schema = pq.read_schema(parts / "000000.parquet")
    for name in clusters:
        schema = schema.append(pa.field(name, pa.int64()))
    schema = schema.with_metadata({METADATA: json.dumps(about)})
    start = 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for index in range(count):
            part = pq.read_table(parts / f"{index:06d}.parquet")
            for name, numbers in columns.items():
                part = part.append_column(name, pa.array(numbers[start : start + len(part)]))
            writer.write_table(part.replace_schema_metadata(schema.metadata))
            start += len(part)
