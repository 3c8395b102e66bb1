"""What one step computes: the student's answer to a batch, compared with labels and teacher."""

import torch
from torch import Tensor, nn

from limbeck.models.classifier import Classifier, Outputs
from limbeck.objectives.sums import WeightedSum
from limbeck.precision import autocast
from limbeck.training.batches import Batch
from limbeck.training.distributed import gather


class DistillationStep(nn.Module):
    """Student and objective as one module, so that distributed training averages the gradients of both.

    Args:
        student: computes in `dtype` by autocast.
        objective: computes in float32.
        device: where both are.
        processes: that share every batch.
    """

    def __init__(
        self,
        student: Classifier,
        objective: WeightedSum,
        *,
        device: torch.device,
        dtype: torch.dtype,
        processes: int = 1,
    ) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        self.device = device
        self.dtype = dtype
        self.gather = gather if processes > 1 else None

    def forward(
        self, batch: Batch, asked: Outputs | None, *, preparing: bool = False, progress: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its terms.

        Args:
            batch: images and what is known of them.
            asked: the teacher's outputs, None where it was not asked.
            preparing: the phase of the step; where it needs nothing of the student, the student is not asked.
            progress: share of the run that is done.
        """
        signals: dict[str, object] = {"labels": batch.labels, "ids": batch.ids, "progress": progress}
        want = self.objective.outputs_needed("student", preparing=preparing)
        if want:
            with autocast(self.device, self.dtype):
                answered: Outputs = self.student(batch.images, want=want | {"logits"})
            answered = answered.map(Tensor.float)
            signals |= {f"student_{name}": value for name, value in answered._asdict().items()}
        if asked is not None:
            signals |= {f"teacher_{name}": value for name, value in asked._asdict().items()}
        elif batch.teacher_logits is not None:
            signals["teacher_logits"] = batch.teacher_logits
        return self.objective(signals, preparing=preparing, gather=self.gather)
