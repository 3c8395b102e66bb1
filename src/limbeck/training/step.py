"""The computation of one step: the student's outputs for a batch, compared with labels and the teacher's outputs."""

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
        processes: number of processes that share every batch.
        graphs: whether the student is replayed as a CUDA graph, whose outputs the next pass overwrites.

    Attributes:
        student_outputs: of the last step, detached, float32; None where the student was not run.
    """

    def __init__(
        self,
        student: Classifier,
        objective: WeightedSum,
        *,
        device: torch.device,
        dtype: torch.dtype,
        processes: int = 1,
        graphs: bool = False,
    ) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        self.device = device
        self.dtype = dtype
        self.graphs = graphs
        self.gather = gather if processes > 1 else None
        self.student_outputs: Outputs | None = None

    def forward(
        self, batch: Batch, teacher_outputs: Outputs | None, *, preparing: bool = False, elapsed: float = 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its terms.

        Args:
            batch: images [B, C, H, W] uint8, their labels and ids.
            teacher_outputs: for the same images, None where the teacher was not run.
            preparing: the phase of the step; where it needs nothing of the student, the student is not run.
            elapsed: share of the run that is done.
        """
        signals: dict[str, object] = {"labels": batch.labels, "ids": batch.ids, "progress": elapsed}
        self.student_outputs = None
        want = self.objective.outputs_needed("student", preparing=preparing)
        if want:
            with autocast(self.device, self.dtype):
                outputs: Outputs = self.student(
                    batch.images, want=want | {"logits"}, input_transform=batch.input_transform
                )
            # logits [B, K], embedding [B, D], stages [B, C, H, W] each; copied where the next pass would overwrite them
            outputs = outputs.map(lambda tensor: tensor.to(torch.float32, copy=self.graphs))
            self.student_outputs = outputs.map(Tensor.detach)
            signals |= {f"student_{name}": value for name, value in outputs._asdict().items()}
        if teacher_outputs is not None:
            signals |= {f"teacher_{name}": value for name, value in teacher_outputs._asdict().items()}
        elif batch.teacher_logits is not None:
            signals["teacher_logits"] = batch.teacher_logits
        return self.objective(signals, preparing=preparing, gather=self.gather)
