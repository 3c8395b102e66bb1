"""The state of a run between two steps, and its conversion to a checkpoint and back."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import load_tensors
from limbeck.objectives.sums import WeightedSum
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.observers import Observer
from limbeck.training.random_state import random_state, set_random_state
from limbeck.training.rounds import Rounds
from limbeck.training.validation import Measure, measure_of

_COUNTERS = ("seconds", "teacher_passes", "teacher_passes_saved")


@dataclass(frozen=True)
class Best:
    """The evaluated network at its best validation so far.

    Attributes:
        step: number of steps done.
        score: its score, a share.
        weights: on the CPU.
        measure: what the score measures.
    """

    step: int
    score: float
    weights: dict[str, Tensor] = field(repr=False)
    measure: Measure = "top1"

    @property
    def top1(self) -> float | None:
        """The score, if it is accuracy."""
        return self.score if self.measure == "top1" else None


@dataclass
class LoopState:
    """Student, objective, optimiser, source, observers and counters after `step` steps.

    Attributes:
        evaluated: the network that is validated and saved, which shares the student's weights or is the student itself.
        batch_size: images per step.
        epochs: epochs done; an epoch shows as many images as the set holds.
        shown: images shown since the last epoch ended.
        seconds: in the loop, without making the images of rounds.
    """

    student: Classifier
    evaluated: Classifier
    objective: WeightedSum
    optimizer: torch.optim.Optimizer
    rounds: Rounds
    batch_size: int
    observers: Sequence[Observer] = ()
    step: int = 0
    epochs: int = 0
    shown: int = 0
    seconds: float = 0.0
    teacher_passes: int = 0
    teacher_passes_saved: int = 0
    best: Best | None = None
    saved_step: int | None = None

    def __post_init__(self) -> None:
        # Some optimisers, such as Adagrad, begin with a state.
        self._first_state = {parameter: copy.deepcopy(content) for parameter, content in self.optimizer.state.items()}

    def forget_momenta(self) -> None:
        """Resets the optimiser to its first state."""
        self.optimizer.state.clear()
        self.optimizer.state.update(
            {parameter: copy.deepcopy(content) for parameter, content in self._first_state.items()}
        )

    @property
    def cost(self) -> Cost:
        """Cost of the loop itself, without the rounds."""
        return Cost(
            images_read=self.step * self.batch_size,
            teacher_passes=self.teacher_passes,
            passes_saved=self.teacher_passes_saved,
            steps=self.step,
            seconds=self.seconds,
        )

    def count_step(self) -> range:
        """Counts a step, and returns the numbers of the epochs that it ends, from 1 on."""
        self.step += 1
        before = self.epochs
        ended, self.shown = divmod(self.shown + self.batch_size, len(self.rounds.transfer_set))
        self.epochs += ended
        return range(before + 1, self.epochs + 1)

    def keep_if_best(self, score: float, measure: Measure) -> None:
        """Keeps the weights of the evaluated network if it is better than all before; on ties the earliest is kept."""
        if self.best is None or score > self.best.score:
            weights = {name: value.detach().cpu().clone() for name, value in self.evaluated.state_dict().items()}
            self.best = Best(self.step, score, weights, measure)

    def checkpoint(self) -> Checkpoint:
        saved = Checkpoint(self.step)
        for prefix, module in self._modules().items():
            saved.put(prefix, module.state_dict())
        saved.put_optimizer("optimizer", self.optimizer)
        saved.put("random", random_state())
        saved.notes |= {name: getattr(self, name) for name in (*_COUNTERS, "epochs", "shown")}
        saved.notes["images"] = len(self.rounds.transfer_set)
        self.rounds.save(saved)
        saved.notes["observers"] = len(self.observers)
        for number, observer in enumerate(self.observers):
            saved.put(f"observers.{number}", observer.state_dict())
        if self.best is not None:
            saved.put("chosen", self.best.weights)  # the key that all versions use
            saved.notes["chosen"] = {"step": self.best.step, self.best.measure: self.best.score}
        return saved

    def restore(self, saved: Checkpoint) -> None:
        """Restores everything except the rounds, which are restored before, as the rest is built for their images.

        Raises:
            UserError: the run was begun with another number of observers.
        """
        for prefix, module in self._modules().items():
            load_tensors(module, saved.take(prefix))
        saved.restore_optimizer("optimizer", self.optimizer)
        set_random_state(saved.take("random"))
        self.step = self.saved_step = saved.step
        for name in _COUNTERS:
            setattr(self, name, saved.notes.get(name, 0))
        # Checkpoints from before epochs were counted: all images shown so far count towards them.
        self.epochs = saved.notes.get("epochs", 0)
        self.shown = saved.notes.get("shown", saved.step * self.batch_size)
        if "chosen" in saved.notes:
            notes = saved.notes["chosen"]
            measure = measure_of(notes)
            self.best = Best(notes["step"], notes[measure], saved.take("chosen"), measure)
        begun = saved.notes.get("observers", 0)
        if begun != len(self.observers):
            raise UserError(
                f"`observers` must be those that the run was begun with, {begun} of them, got {len(self.observers)}; "
                "what others would have seen up to "
                f"step {saved.step} is lost. Give the same ones, or begin the run in another folder."
            )
        for number, observer in enumerate(self.observers):
            observer.load_state_dict(saved.take(f"observers.{number}"))

    def _modules(self) -> dict[str, nn.Module]:
        return {"student": self.student, "objective": self.objective}
