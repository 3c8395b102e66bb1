"""Runs an engine's iterations with checkpoints, so that a stopped run resumes to the same images."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.interruption import Interrupted, listening_for_stop
from limbeck.memory import keeping_freed_memory
from limbeck.progress import Progress
from limbeck.training.checkpoint import Checkpoint
from limbeck.transfer.condense.engine import Engine
from limbeck.transfer.condense.history import HistoryFile
from limbeck.transfer.condense.learning_inputs import BEGUN, CHECKPOINT
from limbeck.transfer.condense.synthetic import SyntheticSet

CHECKPOINT_SECONDS, SHARE = 30.0, 0.05
"""Least time between two checkpoints, and the largest share of all time that writing them may take."""
_ENGINE, _BEST = "engine", "best"


Judge = Callable[[SyntheticSet], float]
"""Images -> accuracy on validation images of a fresh network taught on them."""
Look = Callable[[SyntheticSet, int, float | None], None]
"""(images, iterations done, accuracy): keeps a picture of the images."""


class Learning:
    """A run of an engine: iterations done, the engine's state, and the best images so far.

    Args:
        engine: learns the images.
        folder: of the maker.
        every: iterations between two looks.
        look: is shown the images every so many iterations, and at both ends.
        judge: rates images; None where nothing is judged.
        keeps_best: whether the images that the judge rates best are kept, and not the last.
        memory: returns the peak bytes so far.
        progress: reports progress.
        begun: what learning began with, see `Begun`; kept in the checkpoint for a resumed run.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        every: int,
        look: Look,
        judge: Judge | None,
        keeps_best: bool,
        memory: Callable[[], int],
        progress: Progress,
        begun: Mapping[str, Any] | None = None,
    ) -> None:
        self.engine = engine
        self.history = HistoryFile(folder)
        self.done = 0
        self.seconds = 0.0
        self._path = folder / CHECKPOINT
        self._every, self._look, self._judge = every, look, judge
        self._keeps_best = keeps_best
        self._memory, self._progress = memory, progress
        self._begun = dict(begun or {})
        self._best: dict[str, Tensor] = {}
        self._best_score: float | None = None
        self._unjudged = False
        self._restore()

    @property
    def kept(self) -> SyntheticSet:
        """The images to keep: the last, or the best on validation images."""
        if not self._keeps_best or not self._best:
            return self.engine.synthetic
        return SyntheticSet(**self._best)

    def run(self) -> None:
        """Runs all iterations that are left.

        Raises:
            Interrupted: stopped by Ctrl-C or SIGTERM; what was done is kept.
        """
        engine, progress, saved_at = self.engine, self._progress, time.perf_counter()
        began, before, saving = saved_at, self.seconds, 0.0
        if self.done == engine.iterations and self._path.exists() and not self._unjudged:
            return
        if self.done == 0 or self._unjudged:
            self._watch()
            if self.done:
                self._save()
        progress.begin("condensing", engine.iterations, self.done)
        with keeping_freed_memory(), listening_for_stop() as stop:
            while self.done < engine.iterations:
                started = time.perf_counter()
                numbers = engine.step(self.done)
                self.done += 1
                took = time.perf_counter() - started
                self.history.append({**numbers, "seconds": took, "memory": self._memory()})
                if self.done % self._every == 0 or self.done == engine.iterations:
                    if self._judge is not None:  # judging teaches networks, and may be interrupted
                        self.seconds, self._unjudged = before + time.perf_counter() - began, True
                        self._save()
                    self._watch()
                now = time.perf_counter()
                self.seconds = before + now - began
                progress.update(self.done, _note(numbers))
                due = now - saved_at >= max(CHECKPOINT_SECONDS, saving / SHARE)
                if due or stop or self.done == engine.iterations:
                    self._save()
                    saved_at = time.perf_counter()
                    saving = saved_at - now
                if stop and self.done < engine.iterations:
                    raise Interrupted
        if not engine.iterations:
            self._save()
        progress.end()

    def _watch(self) -> None:
        """Judges and shows the images, and keeps them if they are the best so far; of equally good ones the first."""
        images = self.engine.synthetic
        score = None if self._judge is None else self._judge(images)
        self._look(images, self.done, score)
        if score is not None and (self._best_score is None or score > self._best_score):
            self._best_score = score
            self._best = {name: tensor.detach().clone() for name, tensor in images.state_dict().items()}
        self._unjudged = False

    def _save(self) -> None:
        self.history.flush()
        notes: dict[str, Any] = {
            "seconds": self.seconds,
            "best_score": self._best_score,
            "unjudged": self._unjudged,  # whether these images are still to be judged
            BEGUN: self._begun,
        }
        checkpoint = Checkpoint(self.done, notes=notes)
        checkpoint.put(_ENGINE, _on_cpu(self.engine.state_dict()))
        checkpoint.put(_BEST, _on_cpu(self._best))
        checkpoint.save(self._path)

    def _restore(self) -> None:
        if not self._path.exists():
            self.history.go_back(0)
            return
        saved = Checkpoint.load(self._path)
        if saved.step > self.engine.iterations:
            raise UserError(
                f"{str(self._path)!r} is of a run of more than {self.engine.iterations:,} iterations; remove its "
                "folder to begin anew."
            )
        self.history.go_back(saved.step)
        self.engine.load_state_dict(saved.take(_ENGINE))
        self.done, self._best = saved.step, saved.take(_BEST)
        self.seconds = float(saved.notes["seconds"])
        self._best_score = saved.notes["best_score"]
        self._unjudged = bool(saved.notes.get("unjudged"))


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.as_tensor(tensor).detach().cpu() for name, tensor in tensors.items()}


def _note(numbers: Mapping[str, float]) -> str:
    return f"loss {numbers['loss']:.3g}" if "loss" in numbers else ""
