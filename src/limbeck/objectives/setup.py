"""What an objective is built from, and what stands in for its parts until then."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.taps import Outputs


@dataclass(frozen=True)
class Setup:
    """Teacher, student and images of a run, as far as an objective may depend on them.

    Attributes:
        student: outputs for any one image; only shapes count.
        teacher: likewise.
        ids: int64 [N] of all images, distinct, in any order.
        labels: int64 [N] aligned with `ids`, or None.
        batch_size: images a step, over all processes.
        teacher_head: a frozen copy of the teacher's classifier head, embedding to logits; None where not read.
    """

    student: Outputs
    teacher: Outputs
    ids: Tensor
    labels: Tensor | None = None
    batch_size: int = 64
    teacher_head: nn.Module | None = None

    def embedding_sizes(self) -> tuple[int, int]:
        """Numbers in one embedding of the student and of the teacher."""
        assert self.student.embedding is not None
        assert self.teacher.embedding is not None
        return self.student.embedding.shape[1], self.teacher.embedding.shape[1]

    def frozen_head(self, name: str, inputs: int | None = None) -> nn.Module:
        """A copy of the teacher's head that never learns.

        Args:
            name: of the objective.
            inputs: numbers that it will be given; by default as many as the teacher's embedding has.

        Raises:
            UserError: there is no head, or it takes another number of inputs.
        """
        head = copy.deepcopy(self.teacher_head)
        inputs = self.embedding_sizes()[1] if inputs is None else inputs
        if not isinstance(head, nn.Linear) or head.in_features != inputs:
            got = f"one of {head.in_features}" if isinstance(head, nn.Linear) else type(head).__name__
            raise UserError(
                f"`{name}` reuses the teacher's classifier head, which must be a linear layer of {inputs} inputs (the "
                f"channels of what it is given), got {got}; choose a teacher that pools before its head, or another "
                "objective."
            )
        return head.float().requires_grad_(False)


class Unbuilt(nn.Module):
    """Holds the place of a part that depends on shapes."""

    def forward(self, *args: Any) -> Any:
        raise UserError("the objective has parts that depend on the networks; call its `build` with a `Setup` first.")
