"""The teacher's scores of all images of several pools, in one table of distinct pictures."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from limbeck.caching import cache_key
from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet, fingerprint_begun
from limbeck.data.storage import DIGEST_BYTES
from limbeck.errors import UserError
from limbeck.evaluation.energy import EnergyMeter
from limbeck.files import atomic_path, atomic_write_text, disk_errors
from limbeck.models import Classifier
from limbeck.models.fingerprint import identify
from limbeck.precision import Precision
from limbeck.progress import Progress, Silent
from limbeck.training.distributed import process_token
from limbeck.transfer.borrow.distinct import batches_of, digests_of, repeated
from limbeck.transfer.borrow.overlap import HeldOutDigests, Overlap, added, refuse
from limbeck.transfer.borrow.pools import Pool
from limbeck.transfer.borrow.reopened import for_workers
from limbeck.transfer.borrow.sureness import criteria_for
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.score_table.identity import ids_and_labels, pixels_of
from limbeck.transfer.score_table.read import DIGEST, METADATA, ScoreTable
from limbeck.transfer.score_table.write import groups_of, write_table
from limbeck.transfer.scoring.context import ScoringContext, make_context
from limbeck.transfer.words import few, image_count
from limbeck.workers.shares import check_workers

BLOCK = 32
"""Images at a time: fixed, so that equal pictures get equal scores, and small, so activations stay in the cache."""


@dataclass(frozen=True)
class PoolTable:
    """The teacher's scores of all images of some pools.

    Attributes:
        table: a row for every distinct picture, by pool and then in the order of the pool: `id`, `source` (the pool),
            `group` (the class that the teacher predicts), `native` (the pool's own class, -1 for none), `digest`, and a
            column for each criterion of `settings.SURENESS`. Its `about` has under "pools" the fingerprint of each pool
            and the numbers of images left out, and under "lacks" the criteria that this teacher does not support, and
            why.
        cost: of scoring the pools, even if another run did it.
    """

    table: ScoreTable
    cost: Cost


def pool_table(
    pools: Sequence[Pool],
    teacher: Classifier,
    folder: Path,
    *,
    held_out: Sequence[ImageSet] = (),
    overlap: Literal["refuse", "leave-out"] = "refuse",
    seed: int = 0,
    workers: int = 1,
    precision: Precision = "auto",
    compile: bool = False,
    own: bool = False,
    progress: Progress | None = None,
) -> PoolTable:
    """Scores one pool after another and joins their tables; tables that are in `folder` already are used as they are.

    Of equal pictures, the one of lowest pool name and id stays, so that the order of the pools does not matter. Every
    pool is scored by itself, so its scores do not depend on the others; after a stop or kill, scoring continues with
    the finished shards. Images of excluded classes are scored, too, but left out when the tables are joined.

    Args:
        pools: of distinct names and one shape.
        teacher: in evaluation mode, with its class names.
        folder: where the tables are kept for other processes, which may make them at the same time.
        held_out: what the student is judged on; see `HeldOutDigests` for images of another shape.
        overlap: what to do if a pool holds some of these pictures: "refuse", or "leave-out" of the table.
        seed: of criteria that draw or train; none of these does, so tables serve every seed.
        workers: number of processes, see `limbeck.score_table`; each opens pools that are large or stay encoded.
        precision: of the teacher; the table records what "auto" was.
        compile: whether torch compiles the teacher, see `BorrowSettings`.
        own: whether nobody else uses the folder. Tables found there then come from an earlier, interrupted part of the
            same run, so they do not count as saved cost.
        progress: reports progress.

    Raises:
        UserError: pools of the same name or of several shapes, a teacher of a single class, logits that are NaN, or
            held-out pictures in a pool; these are searched for before scoring, of encoded pools in a sample at first.

    Example:
        >>> from limbeck.transfer.borrow.pools import open_pools
        >>> from limbeck.transfer.borrow.settings import PoolSettings
        >>> pools = open_pools([PoolSettings(name="digits", images=200)], (1, 8, 8))
        >>> found = pool_table(pools, teacher, Path("tables"))
        >>> len(found.table), found.table.sources, found.cost.teacher_passes
        (200, ('digits',), 200)
    """
    pools, watch = sorted(pools, key=lambda pool: pool.name), progress or Silent()
    _check(pools, workers)
    criteria, lacks = criteria_for(teacher)
    context = make_context(teacher, None, seed, precision=precision, block=BLOCK, compile=compile)
    held_out_digests = HeldOutDigests(held_out, pools[0].images.shape)
    if overlap == "refuse":
        looks = {pool.name: held_out_digests.look(pool.images) for pool in pools}
        refuse({name: look for name, look in looks.items() if look is not None})
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    works = [_Scoring(pool, context, list(criteria.values()), folder) for pool in pools]
    costs = []
    for work in works:
        watch.say(f"pool {work.pool.name}: {image_count(len(work.images))}")
        costs.append(work.do(workers, watch, own=own))
    parts = [
        (pool.name, work.key, dict(pool.excluded), pool.unreadable) for pool, work in zip(pools, works, strict=True)
    ]
    key = cache_key("pools", parts, lacks, overlap, held_out_digests.key)
    path = folder / f"pools-{key}.parquet"
    with FileLock(folder / f".{path.stem}.lock"):
        if not path.exists():
            about = _about(works, context, lacks)
            _join(works, path, about, held_out_digests, leave_out=overlap == "leave-out")
    return PoolTable(ScoreTable(path), sum(costs, Cost()))


def _check(pools: Sequence[Pool], workers: int) -> None:
    if not pools:
        raise UserError("`pools` must hold at least one, got none.")
    check_workers(workers)
    name, count = Counter(pool.name for pool in pools).most_common(1)[0]
    if count > 1:
        raise UserError(f"`pools` must have distinct names, got {name!r} {count} times; name a pool once.")
    shapes = {pool.images.shape: pool.name for pool in pools}
    if len(shapes) > 1:
        listed = ", ".join(f"{list(shape)} of {name!r}" for shape, name in shapes.items())
        raise UserError(f"`pools` must be of one shape, the student's, got {listed}; bring them to it.")


class _Scoring:
    """The table of one pool, in a file that several runs may share.

    Args:
        pool: its images.
        context: the teacher, and how it computes.
        criteria: one column for each.
        folder: of the file.
    """

    def __init__(self, pool: Pool, context: ScoringContext, criteria: Sequence[Criterion], folder: Path) -> None:
        self.pool, self.images, self.context, self.criteria = pool, pool.scored, context, criteria
        assert context.teacher is not None
        images, identity = self.images, identify(context.teacher)
        self.key = cache_key(
            "pool",
            [ids_and_labels(images), pixels_of(images), images.classes],
            [criterion.column for criterion in criteria],
            # A teacher with unverifiable code is recognised in this process only.
            [identity.fingerprint, process_token() if identity.unseen else "", groups_of(context.teacher)],
            f"{context.precision}, channels last: {context.channels_last}, block: {context.block}"
            + (", compiled" if context.compile else ""),
        )
        self.path = folder / f"pool-{self.key}.parquet"

    def do(self, workers: int, progress: Progress, *, own: bool) -> Cost:
        """Makes the file unless it exists; returns the cost of making it, even if another run did."""
        count, took = len(self.images), self.path.with_suffix(".json")
        with FileLock(self.path.with_name(f".{self.path.stem}.lock")):
            existed = self.path.exists()
            if not existed:
                began = time.perf_counter()
                with EnergyMeter() as meter:
                    self._score(workers, progress)
                energy = {"kwh": meter.energy["kwh"], "measured": meter.energy["kind"] == "measured"}
                atomic_write_text(took, json.dumps(Cost(seconds=time.perf_counter() - began, **energy).to_dict()))
        return replace(
            Cost.from_dict(json.loads(took.read_text()) if took.exists() else {}),
            images_read=count,
            teacher_passes=count,
            passes_saved=count if existed and not own else 0,
        )

    def _score(self, workers: int, progress: Progress) -> None:
        how: dict[str, Any] = {"beside": ("group", "digest"), "workers": workers, "progress": progress}
        images = self.images if workers == 1 else for_workers(self.pool)
        write_table(images, self.path, self.criteria, self.context, **how)

    def excluded(self) -> np.ndarray:
        """Which rows of the table are of excluded classes, bool `[N]`."""
        if self.pool.whole is None:
            return np.zeros(pq.read_metadata(self.path).num_rows, dtype=bool)
        left = np.sort(self.pool.images.ids.numpy())
        return np.concatenate([~_among(batch["id"].to_numpy(), left) for batch in batches_of(self.path, ["id"])])


def _fingerprint(work: _Scoring, left_out: np.ndarray) -> str:
    """Fingerprint of the pool's images, from the digests in its table, so that no image is read again."""
    images = work.pool.images
    digest = fingerprint_begun(images.shape, len(images), labelled=images.labels is not None)
    for column in (DIGEST, "id", *(["label"] if images.labels is not None else [])):
        row = 0
        for batch in batches_of(work.path, [column]):
            values = digests_of(batch) if column == DIGEST else batch[column].to_numpy()
            digest.update(np.ascontiguousarray(values[~left_out[row : row + len(batch)]]).data)
            row += len(batch)
    return digest.hexdigest()


def _among(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which `ids`, int64 `[B]`, are among `known`, which is sorted, int64 `[M]` with M >= 1; bool `[B]`."""
    return known[np.searchsorted(known, ids).clip(max=len(known) - 1)] == ids


def _about(works: Sequence[_Scoring], context: ScoringContext, lacks: dict[str, str]) -> dict[str, Any]:
    """The metadata of the joined table, except for the numbers of images left out."""
    assert context.teacher is not None
    pools = {
        work.pool.name: {
            "images": len(work.pool.images),
            "unreadable": work.pool.unreadable,
            "excluded": dict(work.pool.excluded),
            "classes": list(work.pool.images.classes),
        }
        for work in works
    }
    return {
        "name": ", ".join(pools),
        "shape": list(works[0].pool.images.shape),
        "groups": list(groups_of(context.teacher)),
        "precision": context.precision,
        "lacks": lacks,
        "pools": pools,
    }


def _join(
    works: Sequence[_Scoring], path: Path, about: dict[str, Any], held_out_digests: HeldOutDigests, *, leave_out: bool
) -> None:
    """Writes the rows that stay, pool after pool, and adds the numbers of those left out to `about`."""
    masks = [work.excluded() for work in works]
    for work, excluded in zip(works, masks, strict=True):
        about["pools"][work.pool.name]["fingerprint"] = _fingerprint(work, excluded)
    compared = [_compared(work.path, held_out_digests, excluded) for work, excluded in zip(works, masks, strict=True)]
    if not leave_out:
        pairs = zip(works, compared, strict=True)
        refuse({work.pool.name: overlap for work, (_, overlap) in pairs if overlap is not None})
    duplicates = repeated([work.path for work in works], path.with_name(f".{path.stem}.digests"), masks)
    keep = []  # bool [N] of each table
    for work, excluded, duplicate, (unfair, _) in zip(works, masks, duplicates, compared, strict=True):
        keep.append(~(excluded | duplicate | unfair))
        about["pools"][work.pool.name] |= {"equal": int((duplicate & ~unfair).sum()), "judged": int(unfair.sum())}
    if not any(rows.any() for rows in keep):
        count = image_count(sum(len(work.pool.images) for work in works))
        raise UserError(
            f"none of the {count} of {few(list(about['pools']))} is left: the student is judged on pictures that equal "
            "them; name other images."
        )
    schema = _schema(works[0].criteria).with_metadata({METADATA: json.dumps(about)})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for work, rows in zip(works, keep, strict=True):
            for part in _kept(work, rows):
                writer.write_table(pa.table(part, schema=schema))


def _schema(criteria: Sequence[Criterion]) -> pa.Schema:
    numbers = [(name, pa.int64()) for name in ("id", "group", "native")]
    scores = [(criterion.column, pa.float64()) for criterion in criteria]
    return pa.schema([numbers[0], ("source", pa.string()), *numbers[1:], ("digest", pa.binary(DIGEST_BYTES)), *scores])


def _compared(path: Path, held_out_digests: HeldOutDigests, excluded: np.ndarray) -> tuple[np.ndarray, Overlap | None]:
    """Which rows hold held-out pictures, bool `[N]`, and their overlap; excluded rows do not count."""
    rows, overlap, row = np.zeros_like(excluded), None, 0
    for batch in batches_of(path, ["id", "digest"]):
        span = slice(row, row + len(batch))
        row += len(batch)
        included = ~excluded[span]
        digests = digests_of(batch)
        rows[span] = held_out_digests.among(digests) & included
        overlap = added(overlap, held_out_digests.overlap(batch["id"].to_numpy()[included], digests[included]))
    return rows, overlap


def _kept(work: _Scoring, keep: np.ndarray) -> Iterator[dict[str, Any]]:
    """Columns of the rows that stay, in batches."""
    row = 0
    for batch in batches_of(work.path):
        kept = batch.filter(pa.array(keep[row : row + len(batch)]))
        row += len(batch)
        if not len(kept):
            continue
        columns = {name: kept[name] for name in kept.schema.names if name != "label"}
        native = kept["label"] if "label" in kept.schema.names else pa.array(np.full(len(kept), -1))
        yield {**columns, "source": pa.array([work.pool.name] * len(kept)), "native": native}
