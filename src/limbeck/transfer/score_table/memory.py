"""Tables of scores in memory: what several selections of one set need is computed once, and may be kept in files."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from limbeck.caching import cache_key
from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.evaluation.energy import EnergyMeter
from limbeck.files import atomic_path, atomic_write_text, disk_errors
from limbeck.models.fingerprint import identify
from limbeck.progress import Progress, Silent
from limbeck.training.distributed import process_token
from limbeck.transfer.clusters import clusters_of
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.own_code import own_code
from limbeck.transfer.parts import REPRESENTATIONS, SCORES
from limbeck.transfer.score_table.read import ROWS, ScoreTable
from limbeck.transfer.score_table.write import score_table
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import collect, representation
from limbeck.transfer.scoring.score import representation_name, representation_options, score_images

if TYPE_CHECKING:
    from limbeck.data import ImageSet

KEPT = 2**30
"""Features of a whole set are kept if they take at most so many bytes."""


class PoolScores:
    """Scores, clusters and features of all images of a set, each computed once.

    Args:
        images: the set.
        context: teacher, folder, seed.
        folder: where results are kept for other processes, which may run at the same time; None to keep them in memory
            only.
        progress: reports progress.
        own: whether nobody else uses the folder. Results found there then come from an earlier, interrupted run of the
            same selection, so they do not count as saved cost.

    Attributes:
        costs: the cost of each piece of work that the tables made so far needed, even if another process did it.

    Example:
        >>> scores = PoolScores(images, ScoringContext())
        >>> scores.table(lb.Criterion(score="variance")).columns, sum(scores.costs.values(), Cost()).images_read
        (('variance:grayscale',), 200)
    """

    def __init__(
        self,
        images: "ImageSet",
        context: ScoringContext,
        folder: Path | None = None,
        progress: Progress | None = None,
        *,
        own: bool = False,
    ) -> None:
        self.images = images
        self.context = context
        self.folder = folder
        self.progress = progress or Silent()
        self.own = own
        self.costs: dict[str, Cost] = {}
        self._features: dict[str, tuple[Tensor, dict[str, Cost]]] = {}
        self._counted: dict[str, Any] = dict.fromkeys(("images_read", "teacher_passes", "steps", "seconds", "kwh"), 0)

    def table(self, criterion: Criterion) -> ScoreTable:
        """The table that `allocate` needs for `criterion`; features for greedy allocations are separate.

        For more than `ROWS` images it is a file in the folder, if images can be scored one by one; an interrupted
        scoring then continues.
        """
        if self.folder is not None and len(self.images) > ROWS and _one_by_one(criterion):
            return self._file(criterion, self.folder)
        columns: dict[str, Any] = {"id": self.images.ids.numpy()}
        if self.images.labels is not None:
            columns["label"] = self.images.labels.numpy()
        if criterion.clusters_column is not None:
            columns[criterion.clusters_column] = self._clusters(criterion, criterion.clusters_column).numpy()
        elif criterion.space:
            self.features(criterion)  # computed first, since the score may read the same
        if criterion.score != "random":
            columns[criterion.column] = self._scores(criterion).numpy()
        about = {"name": self.images.name, "shape": list(self.images.shape), "classes": list(self.images.classes)}
        about |= {"precision": self.context.precision} if criterion.needs_teacher else {}
        return ScoreTable(pa.table(columns), {**about, "seed": self.context.seed})

    def _file(self, criterion: Criterion, folder: Path) -> ScoreTable:
        entry, count = REPRESENTATIONS[criterion.representation], len(self.images)
        depends = self._depends(criterion, criterion.representation) | own_code(criterion.score)
        path = folder / f"table-{self._key('table', criterion.column, depends)}.parquet"
        took = path.with_suffix(".json")
        with disk_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{path.stem}.lock"):
            existed = path.exists()
            if not existed:
                began, context = time.perf_counter(), self.context
                options = {"seed": context.seed, "teacher": context.teacher, "folder": context.folder}
                options |= {"precision": context.precision}
                with EnergyMeter() as meter:
                    score_table(self.images, path, criteria=[criterion], progress=self.progress, **options)
                measured = {"kwh": meter.energy["kwh"], "measured": meter.energy["kind"] == "measured"}
                seconds = time.perf_counter() - began
                atomic_write_text(took, json.dumps(Cost(seconds=seconds, **measured).to_dict()))
        passes = count if entry.reads == "teacher" else 0
        self.costs[f"table:{criterion.column}"] = replace(
            Cost.from_dict(json.loads(took.read_text()) if took.exists() else {}),
            images_read=count * (2 if entry.reads == "set" else 1),
            teacher_passes=passes,
            passes_saved=passes if existed and not self.own else 0,
        )
        return ScoreTable(path)

    def features(self, criterion: Criterion) -> Tensor:
        """Features `[N, D]` in which the criterion's allocation measures distances."""
        return self._represented(criterion, criterion.space)

    def _scores(self, criterion: Criterion) -> Tensor:
        name = criterion.representation

        def score() -> Tensor:
            whole = representation_name(criterion, name) in self._features or self._worth_keeping(name)
            features = self._represented(criterion, name) if whole else None
            options = {"seed": self.context.seed, "context": self.context, "progress": self.progress}
            return score_images(self.images, criterion, features=features, **options)

        depends = self._depends(criterion, name) | own_code(criterion.score)
        scores, work = self._once("scores", criterion.column, depends, score), f"scores:{criterion.column}"
        if representation_name(criterion, name) in self._features:
            # Scores found may have been made of the images; alone, they would have been made of the features at hand.
            counted = dict.fromkeys(("images_read", "teacher_passes", "passes_saved", "steps"), 0)
            self.costs[work] = replace(self.costs[work], **counted)
        return scores

    def _clusters(self, criterion: Criterion, column: str) -> Tensor:
        def cluster() -> Tensor:
            features = self.features(criterion)
            return clusters_of(features, self.images.ids, self.images.labels, criterion, self.context.seed)

        depends = {**self._depends(criterion, criterion.space), "seed": self.context.seed}
        return self._once("clusters", column, depends, cluster)

    def _represented(self, criterion: Criterion, name: str) -> Tensor:
        """Features of the whole set, kept if they are not too large."""
        full_name = representation_name(criterion, name)

        def represent() -> Tensor:
            options = representation_options(criterion, name)
            return collect(self.images, representation(name, self.images, self.context, options))

        if full_name not in self._features:
            before, self.costs = self.costs, {}
            try:
                features = self._once("features", full_name, self._depends(criterion, name), represent, most=KEPT)
                self._features[full_name] = features, self.costs
            finally:
                self.costs = self.costs | before
        features, costs = self._features[full_name]
        self.costs = costs | self.costs
        return features

    def _worth_keeping(self, name: str) -> bool:
        """Whether to keep the teacher's logits of the whole set, of which a score needs only one batch at a time."""
        if self.folder is None or name != "teacher-logits" or self.context.teacher is None:
            return False
        return len(self.images) * self.context.teacher.num_classes * torch.float32.itemsize <= KEPT

    def _depends(self, criterion: Criterion, name: str) -> dict[str, Any]:
        """What scores or features of a representation depend on besides their name and the images."""
        trains = SCORES[criterion.score].trains or REPRESENTATIONS[name].trains
        asks = REPRESENTATIONS[name].reads == "teacher"
        teacher = self._teacher() if asks else None
        depends = {"seed": self.context.seed if trains else None, "teacher": teacher, "classes": self.images.classes}
        return depends | own_code(representation=name)

    def _teacher(self) -> list[str]:
        """Identifies the teacher and how it computes; one with unverifiable code is recognised in this process only."""
        assert self.context.teacher is not None, "criteria that ask a teacher are refused without one before"
        identity = identify(self.context.teacher)
        computing = f"{self.context.precision}, channels last: {self.context.channels_last}"
        return [identity.fingerprint, process_token() if identity.unseen else "", computing]

    def _once(
        self, kind: str, name: str, depends: dict[str, Any], make: Callable[[], Tensor], most: float = math.inf
    ) -> Tensor:
        """The result of `make`, or an earlier one from the folder; results of more than `most` bytes are not kept."""
        if self.folder is None:
            return self._made(f"{kind}:{name}", make)[0]
        key = self._key(kind, name, depends)
        path = self.folder / f"{kind}-{key}.safetensors"
        with disk_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{kind}-{key}.lock"):
            if path.exists():
                return self._found(path, key)
            values, costs = self._made(f"{kind}:{name}", make)
            if values.nbytes <= most:
                metadata = {"key": key, "costs": json.dumps({work: cost.to_dict() for work, cost in costs.items()})}
                with atomic_path(path) as temporary:
                    save_file({"values": values.contiguous()}, temporary, metadata=metadata)
        return values

    def _key(self, kind: str, name: str, depends: dict[str, Any]) -> str:
        return cache_key(kind, name, self.images.fingerprint, sorted(depends.items()))

    def _made(self, work: str, make: Callable[[], Tensor]) -> tuple[Tensor, dict[str, Cost]]:
        """The result of `make`, and the cost of each piece of work for it.

        The cost of `work` itself is what was measured, without the nested pieces of work, which count for themselves.
        """
        before, self.costs = self.costs, {}
        metered, counted = self._metered(), self._counted
        try:
            with EnergyMeter() as meter:
                values = make()
            now, others = self._metered() | {"kwh": meter.energy["kwh"]}, self._counted
            counts: dict[str, Any] = {name: now[name] - metered[name] - (others[name] - counted[name]) for name in now}
            self._counted = {name: others[name] + counts[name] for name in counts}
            self.costs[work] = Cost(**counts, measured=meter.energy["kind"] == "measured")
            return values, dict(self.costs)
        finally:
            self.costs = self.costs | before

    def _metered(self) -> dict[str, Any]:
        """What this process has spent so far, including the earlier time of results it found.

        Energy is measured per piece of work, so it is 0 here.
        """
        cost, seconds = self.context.meter.cost, time.perf_counter() + self.context.meter.earlier
        counts: dict[str, Any] = {
            "images_read": cost.images_read,
            "teacher_passes": cost.teacher_passes,
            "steps": cost.steps,
        }
        return {**counts, "seconds": seconds, "kwh": 0.0}

    def _found(self, path: Path, key: str) -> Tensor:
        try:
            with safe_open(path, framework="pt") as file:
                about, values = file.metadata() or {}, file.get_tensor("values")
            if about["key"] != key or len(values) != len(self.images):
                raise ValueError("it is of other images or of something else")
            costs = {work: Cost.from_dict(content) for work, content in json.loads(about["costs"]).items()}
        except (SafetensorError, OSError, KeyError, ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{str(path)!r} is damaged ({error}); remove it, so that it is made again.") from error
        for work, cost in costs.items():
            saved = 0 if self.own else cost.teacher_passes
            self.costs.setdefault(work, replace(cost, passes_saved=saved))
        return values


def _one_by_one(criterion: Criterion) -> bool:
    """Whether every image is scored independently, and the criterion needs nothing else of the whole set."""
    trains = SCORES[criterion.score].trains or REPRESENTATIONS[criterion.representation].trains
    own = "function" in criterion.represented
    return criterion.score != "random" and not criterion.space and not trains and not own
