"""`GeneratingSource`: a transfer set that is made out of a teacher, and grows while the student learns."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from limbeck.cost import Cost
from limbeck.data.known_logits import KnownLogits
from limbeck.data.transfer_set import TransferSet
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.interruption import StopRequest, listening_for_stop
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress
from limbeck.transfer.generate.collapse import fresh_signs
from limbeck.transfer.generate.counting import rounds_needed
from limbeck.transfer.generate.engine import Engine
from limbeck.transfer.generate.history import History, Round
from limbeck.transfer.generate.history_file import HistoryFile
from limbeck.transfer.generate.pace import Pace
from limbeck.transfer.generate.partial import CHAIN_BYTES, PartialState, follow, from_json_tensor, json_tensor

PARTIAL = "partial.safetensors"
"""In the maker's folder: the state in the middle of a refresh."""
_CHECKPOINT = "checkpoint"
_RECENT = 100  # rounds that are looked at for signs of a collapse
PATIENCE = 20
"""Rounds in a row that may add no image before filling a set is given up."""


class GeneratingSource:
    """The images of a repository, in the order in which they were made.

    Round r of the loop is taught on what rounds 0 to `warmup_rounds` + r of the engine made; the first refresh makes
    the warm-up rounds, too. Where a generator shows its images once (`fresh`), it is taught on those of the last of
    these rounds alone, and the others that are held are only kept. While images are made, the state is saved in
    `folder` now and then: a process that was killed in a refresh, and is given the state before it and the same
    student, resumes there and makes the same images.

    Args:
        engine: makes them.
        folder: of the maker.
        classes: names.
        about: facts about the set.
        progress: reports progress.
        teacher: must not be the student, too; None where that is known.

    Attributes:
        history: the rounds so far.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        classes: tuple[str, ...],
        about: Mapping[str, Any],
        progress: Progress,
        teacher: Classifier | None = None,
    ) -> None:
        self.engine = engine
        self._teacher = teacher
        self.steps_per_round = engine.settings.steps_per_round
        self._classes = classes
        self._about = about
        self._progress = progress
        self._history = HistoryFile(folder)
        self._partial = PartialState(folder / PARTIAL)
        self._chain = torch.zeros(CHAIN_BYTES, dtype=torch.uint8)
        self._set: TransferSet | None = None
        self._refreshed = False  # and no state was asked for since

    @property
    def history(self) -> History:
        return self._history.read()

    def images(self, round: int) -> TransferSet:
        if self._set is None:
            transfer_set = self.engine.repository.transfer_set(self._classes, about=self._about)
            self._set = replace(transfer_set, known_logits=self._known_logits(), taught=self._taught())
        return self._set

    def _taught(self) -> Tensor | None:
        """Positions of the last images of a generator that shows them once to a student, int64 [n]: those of the last
        round in which any differed from what was held."""
        settings = self.engine.settings
        if not settings.fresh or settings.steps_per_round is None:
            return None
        rounds = self.engine.repository.column("round")
        return (rounds == rounds[-1]).nonzero().flatten()

    def _known_logits(self) -> KnownLogits:
        """The teacher's logits of each image as it is kept, in 8 bits, in the view in which it saw the image."""
        repository = self.engine.repository
        rows = repository.rows
        return KnownLogits(
            augmentation(self.engine.settings.views),
            repository.column("view", rows),
            lambda positions: repository.column("logits", rows[positions]),
        )

    def refresh(self, round: int, student: nn.Module) -> Cost:
        if round == 0 and self._teacher is not None and isinstance(student, Classifier):
            check_other_network(self._teacher, student)
        self._refreshed = True
        return self._make(self.engine.settings.warmup + round + 1, student)

    def fill(self, student: nn.Module | None = None) -> Cost:
        """Makes rounds until all images are there, or as many rounds as settings say.

        Raises:
            UserError: round after round adds no image.
        """
        return self._make(self.engine.settings.rounds, student)

    def _make(self, until: int | None, student: nn.Module | None) -> Cost:
        """Makes the rounds before `until`, or all until the set is full, and resumes what was begun of them."""
        assert student is None or isinstance(student, Classifier)
        engine, patience = self.engine, PATIENCE
        if not self._goes_on(until):
            return Cost()
        seen = student if engine.settings.losses.adversarial else None
        begun = follow(self._chain, engine.round, seen)
        spent = Spent(self._take_up(begun))

        def keep() -> None:
            engine.repository.pin(PARTIAL)
            self._partial.save(begun, {**self._state(), "spent": json_tensor(spent().to_dict())})

        with listening_for_stop() as stop, closing(self._pace(keep, stop, until)) as pace:
            while self._goes_on(until):
                before = len(engine.repository)
                row = engine.make_round(student, pace)
                self._set = None
                self._history.append(row)
                self._tell_signs()
                spent.add(row, engine.settings.calls_per_round * engine.settings.inner_steps)
                patience = PATIENCE if row.held > before else patience - 1
                if until is None and not patience and not engine.full:
                    raise UserError(self._stuck(row))
        self._chain = begun
        if engine.settings.steps_per_round is None:
            keep()  # until labels are there, too, see `forget`
        else:
            self._partial.remove()
        return spent()

    def forget(self) -> None:
        """Removes the partial state of images that are all on disk by now."""
        self._partial.remove()

    def _goes_on(self, until: int | None) -> bool:
        return not self.engine.full and (until is None or self.engine.round < until)

    def _pace(self, keep: Callable[[], None], stop: StopRequest, until: int | None) -> Pace:
        engine, settings = self.engine, self.engine.settings
        missing = rounds_needed(settings, max(1, engine.count - len(engine.repository)))
        rounds = missing if until is None else until - engine.round
        total = rounds * settings.calls_per_round * settings.inner_steps
        return Pace(keep, stop, self._progress, total=total, note=self._note)

    def _tell_signs(self) -> None:
        """Reports the signs of a collapse that the last round brought."""
        for sign in fresh_signs(self.history[-_RECENT:], self._classes):
            self._progress.say(f"round {self.engine.round:,} of making images shows a sign of collapse: {sign}")

    def _note(self) -> str:
        return f"{len(self.engine.repository):,} of {self.engine.count:,} images"

    def _stuck(self, row: Round) -> str:
        why = "the generator makes the same ones again" if row.distinct < row.made else "as many leave as come"
        return (
            f"{PATIENCE} rounds brought no image more, as {why}: there are {row.held:,} of the budget of "
            f"{self.engine.count:,}, and {row.distinct:,} of the last {row.made:,} differ. Lower the `budget` or "
            "`homogenise.most`, or make images that differ more (`generator.renew`, `optimise: generator-and-latents`, "
            "other weights of `losses`)."
        )

    def state_dict(self) -> dict[str, Tensor]:
        # Of several processes, the first one's state after a refresh goes to the others, and not to the disk.
        if not self._refreshed or not _has_others():
            self.engine.repository.pin(_CHECKPOINT)
        self._refreshed = False
        return self._state()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._load(state)
        self.engine.repository.pin(_CHECKPOINT)

    def _state(self) -> dict[str, Tensor]:
        return {"chain": self._chain, **self.engine.state_dict()}

    def _load(self, state: Mapping[str, Tensor]) -> None:
        self._chain = state["chain"]
        self.engine.load_state_dict(state)
        self._history.go_back(self.engine.round)
        self._set = None

    def _take_up(self, begun: Tensor) -> Cost:
        """Resumes what is on disk, if it was begun from the same, and returns its cost."""
        state = self._partial.load(begun)
        if state is None:
            return Cost()
        self._load(state)
        self.engine.repository.pin(PARTIAL)
        return Cost.from_dict(from_json_tensor(state["spent"]))


def _has_others() -> bool:
    """Whether other processes take part in the run."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def check_other_network(teacher: Classifier, student: Classifier) -> None:
    """Raises a UserError for a student that is the teacher, or a network of the same kind with the same weights."""
    if student is not teacher:
        ours, theirs = teacher.state_dict(), student.state_dict()
        same = type(teacher.network) is type(student.network) and ours.keys() == theirs.keys()
        if not same or not all(torch.equal(ours[name].cpu(), theirs[name].cpu()) for name in ours):
            return
    raise UserError(
        f"`student` must be another network than the teacher, got {student.name} with the weights of the teacher "
        "itself: they never disagree, so that the adversarial and the distillation loss are constantly zero. Name a "
        "student with weights of its own."
    )


class Spent:
    """The cost so far, including that before an interruption.

    Args:
        before: the cost until the interruption.
    """

    def __init__(self, before: Cost) -> None:
        self._done = before
        self._began = time.perf_counter()

    def add(self, row: Round, steps: int) -> None:
        """Counts a round of `steps` steps of an optimiser."""
        self._done += Cost(images_read=row.made, teacher_passes=row.teacher_passes, steps=steps)

    def __call__(self) -> Cost:
        return self._done + Cost(seconds=time.perf_counter() - self._began)
