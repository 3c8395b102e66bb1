"""Relational representation distillation: the student relates an image to many others as the teacher does."""

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.objectives.checks import check_choice, check_count, check_temperature
from limbeck.objectives.memories import MemoryOptions
from limbeck.objectives.momentum_memory import MomentumMemory
from limbeck.objectives.objective import Objective
from limbeck.objectives.queue import Queue
from limbeck.objectives.setup import Setup, Unbuilt


def rrd(
    student_similarities: Tensor,
    teacher_similarities: Tensor,
    *,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.02,
) -> Tensor:
    """The mean over images of the cross-entropy of softmax(t / T_t) and softmax(s / T_s), over the memory's images.

    Args:
        student_similarities: s, of the batch's images with the memory's, [B, K].
        teacher_similarities: t, of the same pairs, [B, K].
        student_temperature, teacher_temperature: T_s and T_t, > 0; the teacher's is the sharper.

    Source: Giakoumoglou and Stathaki, "Relational representation distillation", arXiv 2407.12073 (2024).

    Example:
        >>> rrd(torch.eye(2), torch.eye(2))
        tensor(4.5418e-05)
    """
    return relations(student_similarities / student_temperature, teacher_similarities / teacher_temperature)


def relations(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """`rrd` of similarities that are divided by the temperatures already, which is cheaper on embeddings."""
    return F.cross_entropy(student_logits, teacher_logits.softmax(1))


class RRD(Objective):
    """`rrd` after a linear projection of either embedding, against a memory of other images.

    Args:
        features: size of the projections.
        memory: "queue", the teacher's last embeddings, as published; or "momentum", of every image by its id, where
            the similarities are exp(cosine / temperature), divided by their mean in the first batch and by N.
        negatives_count: the queue's length, or how many of the memory's images each is compared with.
        student_temperature, teacher_temperature: as for `rrd`.
        temperature: of the momentum memory, > 0.
        momentum: of the momentum memory, 0 <= momentum < 1.
        negatives: of the momentum memory, drawn from "other-classes", which needs labels, or from "any".
        teacher_projection: "random" leaves the teacher's projection as it was made, which is what the reference
            implementation does, as no gradient reaches it; "learned" lets one through.
        enqueue: teacher embeddings join the queue "before" the comparison, so that it holds the image itself, as in
            the reference implementation; or "after" it.
        queue_start: "rows" or, as in the reference implementation, "columns"; see `Queue`.

    Source: https://github.com/giakoumoglou/distillers
    """

    def __init__(
        self,
        *,
        features: int = 128,
        memory: str = "queue",
        negatives_count: int = 16384,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.02,
        temperature: float = 0.07,
        momentum: float = 0.5,
        negatives: str = "other-classes",
        teacher_projection: str = "random",
        enqueue: str = "before",
        queue_start: str = "rows",
    ) -> None:
        super().__init__()
        check_count("features", features)
        check_temperature(student_temperature, "student_temperature")
        check_temperature(teacher_temperature, "teacher_temperature")
        check_choice("teacher_projection", teacher_projection, ("random", "learned"))
        self.options = MemoryOptions(memory, negatives_count, momentum, temperature, negatives, enqueue, queue_start)
        self.features = features
        self.temperatures = student_temperature, teacher_temperature
        self.learns_teacher = teacher_projection == "learned"
        self.student_linear: nn.Module = Unbuilt()
        self.teacher_linear: nn.Module = Unbuilt()
        self.memory: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student, teacher = setup.embedding_sizes()
        self.student_linear = nn.Linear(student, self.features)
        self.teacher_linear = nn.Linear(teacher, self.features).requires_grad_(self.learns_teacher)
        self.memory = self.options.make(setup, self.features)

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor, ids: Tensor) -> Tensor:
        student = F.normalize(self.student_linear(student_embedding))
        teacher = F.normalize(self.teacher_linear(teacher_embedding.detach()))
        if isinstance(self.memory, Queue):
            return self._against_queue(student, teacher, self.memory)
        assert isinstance(self.memory, MomentumMemory)
        rows = self.memory.rows(ids)
        scores = self.memory.scores(student, teacher, self.memory.draw(rows, self.options.negatives_count))
        self.memory.update(student, teacher, rows)
        of_student, of_teacher = self.temperatures
        return rrd(scores[0].exp(), scores[1].exp(), student_temperature=of_student, teacher_temperature=of_teacher)

    def _against_queue(self, student: Tensor, teacher: Tensor, queue: Queue) -> Tensor:
        of_student, of_teacher = self.temperatures
        if self.options.enqueue == "before":
            queue.push(teacher)
        keys = queue.keys.t()
        loss = relations(student / of_student @ keys, teacher / of_teacher @ keys)
        if self.options.enqueue == "after":
            queue.push(teacher)
        return loss
