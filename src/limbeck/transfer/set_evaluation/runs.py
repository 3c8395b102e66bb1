"""The runs of an evaluation, each one network with one seed, taught and judged; a run's folder lets it be resumed."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.evaluation.evaluation import evaluate
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.objectives.sums import weighted_sum
from limbeck.training.loop import fit
from limbeck.training.run_folder import FINISHED, RunFolder
from limbeck.transfer.set_evaluation.teaching import Network, Teaching, fresh

RESULT = "accuracy.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training and its evaluation.

    Attributes:
        network: taught from fresh weights.
        seed: of weights, order and views.
        teaching: how it is taught.
        evaluated_on: which images it is judged on.
        folder: of the run.
    """

    network: Network
    seed: int
    teaching: Teaching
    evaluated_on: Literal["test", "validation"]
    folder: Path = field(default_factory=Path)

    @property
    def slug(self) -> str:
        """Name of its folder."""
        words = [self.network.name, f"seed {self.seed}"]
        if self.evaluated_on == "validation":
            words.append(f"rate {self.teaching.training['learning_rate']:g}")
        return re.sub(r"[^a-zA-Z0-9.]+", "-", " ".join(words)).strip("-")


@dataclass(frozen=True)
class Runs:
    """Teaches and judges networks; can be sent to worker processes.

    Args:
        transfer_set: networks are taught on it.
        teacher: asked about every view, or None.
        images: networks are judged on them.
        runs: each is done once.
        classes: names, for a set that has none.
    """

    transfer_set: TransferSet
    teacher: Classifier | None
    images: ImageSet
    runs: Sequence[Run]
    classes: Sequence[str] = ()

    def run(self, index: int) -> None:
        """Does a run and writes `accuracy.json` to its folder, unless it is there already."""
        run = self.runs[index]
        student = fresh(run.network, self.transfer_set, run.seed, self.classes)
        with RunFolder.open(run.folder, self._recipe(run, student), resume=True) as run_folder:
            if run_folder.read(RESULT) is not None:
                run_folder.set_state(FINISHED)
                return
            start, teaching = time.perf_counter(), run.teaching
            result = fit(
                student,
                self.transfer_set,
                weighted_sum(teaching.objective),
                settings=teaching.settings,
                run_folder=run_folder,
                seed=run.seed,
                teacher=self.teacher,
            )
            top1 = evaluate(result.student, self.images).top1
            rate, seconds = teaching.settings.learning_rate, time.perf_counter() - start
            run_folder.write(RESULT, {"top1": top1, "steps": result.steps, "seconds": seconds, "learning_rate": rate})
            run_folder.set_state(FINISHED)
            run_folder.checkpoint.unlink(missing_ok=True)

    def _recipe(self, one: Run, student: Classifier) -> dict[str, Any]:
        """All that the result depends on, so that a run is never resumed on other images or with another network."""
        return {
            "network": one.network.described,
            "seed": one.seed,
            "training": dict(one.teaching.training),
            "objective": one.teaching.objective,
            "transfer_set": self.transfer_set.images.fingerprint,
            "soft_labels": _hash(self.transfer_set.soft_labels),
            "per_image": self.transfer_set.per_image,
            "student": fingerprint(student),
            "teacher": None if self.teacher is None else fingerprint(self.teacher),
            one.evaluated_on: self.images.fingerprint,
        }


def read_result(run: Run) -> dict[str, Any]:
    """The result that `Runs.run` wrote."""
    result: Mapping[str, Any] | None = RunFolder(run.folder).read(RESULT)
    assert result is not None, f"{run.folder} has no {RESULT}"
    return dict(result)


def _hash(values: Tensor | None) -> str | None:
    if values is None:
        return None
    return hashlib.blake2b(values.detach().float().cpu().contiguous().numpy().tobytes(), digest_size=16).hexdigest()
