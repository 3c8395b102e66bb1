"""Relational representation distillation: the student relates an image to many others as the teacher does."""

import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.checks import check_choice, check_positive
from limbeck.objectives.memory_objective import MemoryObjective, MemoryOptions


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
        student_temperature, teacher_temperature: T_s and T_t, > 0. The paper has the student's sharper (0.04 and 0.1 in
            the authors' release of 2024); the defaults are those of their release of February 2025, with the teacher's
            sharper.

    Source: Giakoumoglou and Stathaki, "Relational representation distillation", arXiv 2407.12073 (2024).

    Example:
        >>> rrd(torch.eye(2), torch.eye(2))
        tensor(4.5418e-05)
    """
    return relations(student_similarities / student_temperature, teacher_similarities / teacher_temperature)


def relations(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """`rrd` of similarities that are divided by the temperatures already, which is cheaper on embeddings."""
    return F.cross_entropy(student_logits, teacher_logits.softmax(1))


class RRD(MemoryObjective):
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
        positives, draws: of the momentum memory, as for `CRD`.
        teacher_projection: "random" leaves the teacher's projection as it was made, which is what the reference
            implementation does, as no gradient reaches it; "learned" lets one through.
        enqueue: teacher embeddings join the queue "before" the comparison, so that it holds the image itself, as in
            the authors' release of February 2025; or "after" it, as in that of 2024.
        queue_start: the queue begins with random numbers of length 1 by "rows", or by "columns", as in both releases;
            see `Queue`.

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
        positives: str = "own",
        draws: str = "distinct",
        teacher_projection: str = "random",
        enqueue: str = "before",
        queue_start: str = "rows",
    ) -> None:
        check_positive("student_temperature", student_temperature)
        check_positive("teacher_temperature", teacher_temperature)
        check_choice("teacher_projection", teacher_projection, ("random", "learned"))
        options = MemoryOptions(
            memory, negatives_count, momentum, temperature, negatives, enqueue, queue_start, positives, draws
        )
        super().__init__(features, options, learns_teacher=teacher_projection == "learned")
        self.temperatures = student_temperature, teacher_temperature

    def against_queue(self, student: Tensor, teacher: Tensor, keys: Tensor) -> Tensor:
        of_student, of_teacher = self.temperatures
        return relations(student / of_student @ keys.t(), teacher / of_teacher @ keys.t())

    def against_images(self, student_scores: Tensor, teacher_scores: Tensor, images: int) -> Tensor:
        of_student, of_teacher = self.temperatures
        student, teacher = student_scores.exp(), teacher_scores.exp()
        return rrd(student, teacher, student_temperature=of_student, teacher_temperature=of_teacher)
