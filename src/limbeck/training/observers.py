"""`Observer`: who watches a run of the loop and keeps what it saw; and one that keeps the weights of each epoch."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from limbeck.models.classifier import Classifier, Outputs
from limbeck.training.batches import Batch


class Observer(Protocol):
    """Interface of what may look at a run and changes nothing of it.

    It must not make the device wait: no `.item()`, `.cpu()` or `bool()` of a tensor but in `state_dict`. In a run of
    several processes each has its own, which is shown that process's share of each batch; `gather_all` of
    `limbeck.training.distributed` puts shares together. The checkpoint keeps the first process's state, and a run that
    is resumed gives it to all.
    """

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        """A step has moved the student; left out in a preparing phase that leaves the student alone.

        Args:
            step: steps done, 1 after the first.
            batch: what was shown.
            outputs: of the student before it moved, detached float32 tensors on the device: `logits` [B, K] and what
                else the objective reads.
        """
        ...

    def after_epoch(self, epoch: int, student: Classifier) -> None:
        """As many images were shown as the set holds, since the last time or the beginning.

        Args:
            epoch: epochs done, 1 after the first.
            student: as it is now, in training mode; to be left so.
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All that a resumed run needs to go on as if it had not stopped."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class WeightTrajectory:
    """The student's weights at the beginning and after each epoch, as those of an expert that others are matched with.

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
