"""Observer of the training loop that takes an expert's snapshots."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from limbeck.data.tensor_files import write_tensors
from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.models.classifier import Classifier, Outputs
from limbeck.training.batches import Batch
from limbeck.transfer.condense.experts.formats import Precision, encode, measure

PARAMETERS = "parameters"
"""Name of the one tensor in the file of a snapshot."""
_VERSION = 1
_LEAST = torch.finfo(torch.float32).tiny
"""Squared distance below which two snapshots count as equal: a loss in float32 could not divide by it."""
_MUCH = 0.01
"""Relative loss of an expert's movement from which on a warning is due."""


def snapshot_path(folder: Path, number: int) -> Path:
    """The file of a snapshot in an expert's folder."""
    return folder / "snapshots" / f"{number:04d}.safetensors"


def save_parameters(network: Classifier, path: Path) -> None:
    """Writes all of a network's parameters, float32 `[P]`."""
    with atomic_path(path) as temporary:
        theta = parameters_to_vector(network.network.parameters()).detach().float()
        write_tensors(temporary, {PARAMETERS: theta.cpu()})


class _Waiting(NamedTuple):
    """A snapshot that is not written yet."""

    number: int
    step: int
    before: int | None
    kept: Tensor
    measured: Tensor


class Snapshots:
    """Takes snapshots of all parameters, in the order in which the network lists them, after some steps of training.

    Snapshots stay encoded on the network's device until a checkpoint is due; they are written before it is.

    Args:
        student: the network before its first step.
        numbers: steps done -> number of the snapshot.
        folder: of the expert.
        form: see `formats`.

    Raises:
        UserError: when snapshots are written: two are equal, or one is not finite.

    Example:
        >>> snapshots = Snapshots(student, {0: 0, 2: 1}, Path("expert"), "float16")
        >>> snapshots.write()
        >>> snapshot_path(Path("expert"), 0).name
        '0000.safetensors'
    """

    def __init__(self, student: Classifier, numbers: Mapping[int, int], folder: Path, form: str) -> None:
        self.student = student
        self.numbers = numbers
        self.folder = folder
        self.form = form
        self._before: tuple[int, Tensor] | None = None
        self._waiting: list[_Waiting] = []
        self._take(0)

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        self._take(step)

    def after_epoch(self, epoch: int, student: Classifier) -> None:
        """Does nothing."""

    def state_dict(self) -> dict[str, Tensor]:
        """The last snapshot, which the next one may be a difference to; writes all that wait."""
        self.write()
        if self._before is None:
            return {}
        number, theta = self._before
        return {"number": torch.tensor(number), "theta": theta}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._waiting.clear()
        self._before = (int(state["number"]), state["theta"]) if state else None

    @torch.no_grad()
    def _take(self, step: int) -> None:
        number = self.numbers.get(step)
        if number is None:
            return
        theta = parameters_to_vector(self.student.network.parameters()).float()  # [P]
        last, before = (None, None) if self._before is None else self._before
        before = None if before is None else before.to(theta.device)
        encoded = encode(theta, before, self.form)
        self._waiting.append(_Waiting(number, step, last, encoded.kept, measure(theta, encoded, before)))
        self._before = number, encoded.theta

    def write(self) -> None:
        """Writes the snapshots that are not on disk yet."""
        for snapshot in self._waiting:
            precision = Precision(*snapshot.measured.tolist())
            self._check(snapshot.number, precision)
            fields = {
                "version": _VERSION,
                "snapshot": snapshot.number,
                "step": snapshot.step,
                "before": snapshot.before,
            }
            metadata = {key: str(value) for key, value in {**fields, **precision._asdict()}.items()}
            with atomic_path(snapshot_path(self.folder, snapshot.number)) as temporary:
                write_tensors(temporary, {PARAMETERS: snapshot.kept.cpu()}, metadata)
        self._waiting.clear()

    def _check(self, number: int, precision: Precision) -> None:
        where = f"snapshot {number} of {self.folder.name!r}"
        if not torch.tensor(precision.error).isfinite():
            raise UserError(
                f"{where} is not finite in {self.form}; take a lower `experts.learning_rate`, or `experts.format: "
                "float32` where weights are above 65,504."
            )
        if precision.moved < _LEAST:
            raise UserError(
                f"{where} equals the one before, and nothing can be learned from a way of no length; take a higher "
                "`experts.learning_rate`, more `experts.steps_per_snapshot`"
                + (", or `experts.format: differences`, which keeps small steps." if self.form == "float16" else ".")
            )
        if precision.lost > _MUCH:
            warnings.warn(  # the same text for all snapshots and experts, so that it is shown once
                f"`experts.format: {self.form}` loses more than {_MUCH:.0%} of the squared distance between some "
                "snapshots, which are close together; `differences` or `float32` keeps more.",
                stacklevel=2,
            )
