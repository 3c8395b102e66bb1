"""`Observer`: watches a run of the loop and records what it sees; and an observer that keeps each epoch's weights."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from limbeck.models.classifier import Classifier, Outputs
from limbeck.training.batches import Batch


class Observer(Protocol):
    """Interface: watches a run without changing it.

    It must not make the host wait for the device: no `.item()`, `.cpu()` or `bool()` of a tensor except in
    `state_dict`. In a run of several processes each has its own observer, which sees that process's share of each
    batch; `gather_all` of `limbeck.training.distributed` joins the shares. The checkpoint holds the first process's
    state, and a resumed run gives it to all.
    """

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        """Called after a step has updated the student; not in a preparing phase that does not change the student.

        Args:
            step: steps done, 1 after the first.
            batch: what was shown.
            outputs: of the student before the update, detached float32 tensors on the device: `logits` [B, K] and
                whatever else the objective reads.
        """
        ...

    def after_epoch(self, epoch: int, student: Classifier) -> None:
        """Called when as many images as the set holds were shown since the last call or the beginning.

        Args:
            epoch: epochs done, 1 after the first.
            student: the present student, in training mode, which it must not change.
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All that a resumed run needs to continue as if it had not stopped."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class WeightTrajectory:
    """The student's weights at the beginning and after each epoch, e.g. as the trajectory of an expert.

    They stay on the device of the student until they are read or saved.

    Args:
        student: as it is at the beginning.

    Attributes:
        weights: after 0, 1, ... epochs, name of a parameter -> tensor; without buffers.

    Example:
        >>> trajectory = WeightTrajectory(student)
        >>> trajectory.after_epoch(1, student)
        >>> len(trajectory.weights)
        2
    """

    def __init__(self, student: Classifier) -> None:
        self.weights = [_parameters(student)]

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        """Nothing."""

    def after_epoch(self, epoch: int, student: Classifier) -> None:
        self.weights.append(_parameters(student))

    def state_dict(self) -> dict[str, Tensor]:
        return {f"{epoch}.{name}": tensor for epoch, each in enumerate(self.weights) for name, tensor in each.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        count = 1 + max(int(key.partition(".")[0]) for key in state)
        self.weights = [{} for _ in range(count)]
        for key, value in state.items():
            epoch, _, name = key.partition(".")
            self.weights[int(epoch)][name] = value


def _parameters(student: Classifier) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
