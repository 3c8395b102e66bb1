"""Contrastive representation distillation: tell an image's teacher embedding from those of many others."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.memory_objective import MemoryObjective, MemoryOptions


def info_nce(
    student_embedding: Tensor, teacher_embedding: Tensor, queue: Tensor, *, temperature: float = 0.07
) -> Tensor:
    """The mean of -log(exp(s_i . t_i / T) / (exp(s_i . t_i / T) + sum_k exp(s_i . q_k / T))).

    Args:
        student_embedding: s, unit vectors [B, D].
        teacher_embedding: t, unit vectors [B, D]; receives a gradient, as its projection learns.
        queue: q, teacher embeddings of other images, [K, D].
        temperature: T > 0.

    Source: van den Oord, Li and Vinyals, arXiv 1807.03748 (2018).

    Example:
        >>> info_nce(torch.eye(2), torch.eye(2), torch.eye(2), temperature=1.0)
        tensor(0.8620)
    """
    scaled = student_embedding / temperature
    own = (scaled * teacher_embedding).sum(1, keepdim=True)
    logits = torch.cat([own, scaled @ queue.t()], dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def nce(scores: Tensor, images: int) -> Tensor:
    """The mean of -log(p_0 / (p_0 + c)) - sum_k log((m / n) / (p_k + c)) with p = exp(scores), c = m / n + 1e-7.

    Args:
        scores: logarithms [B, 1 + m], first the image's own, then m negatives.
        images: n, how many the negatives are drawn from.

    Source: Tian, Krishnan and Isola, "Contrastive representation distillation", ICLR 2020, equation 18.

    Example:
        >>> nce(torch.zeros(2, 5), images=8)
        tensor(4.7999)
    """
    share = (scores.shape[1] - 1) / images
    constant = math.log(share + 1e-7)
    own = F.softplus(constant - scores[:, 0])
    others = F.softplus(scores[:, 1:] - constant).sum(1) + (scores.shape[1] - 1) * (constant - math.log(share))
    return (own + others).mean()


class CRD(MemoryObjective):
    """Contrastive distillation after a learned linear projection of either embedding.

    With the momentum memory the loss is `nce` of the student against the teacher's memories plus the reverse; with the
    queue it is `info_nce` against the teacher's last embeddings.

    Args:
        features: size of the projections.
        memory: "momentum", of every image by its id, as published; or "queue".
        negatives_count: images that each is told apart from, or the queue's length.
        temperature: T > 0.
        momentum: of the memory, 0 <= momentum < 1.
        negatives: of the momentum memory, drawn from "other-classes" as the authors do, which needs labels; or from
            "any", an image's own among them, as their memory does where it is given no negatives.
        positives: what an image is matched with: its "own" memory, the authors' mode "exact" and their default; or
            that of any image of the "same-class", their mode "relax".
        draws: an image's negatives are "distinct", as the authors draw them where there are as many; or
            "independent", with repetition, which is cheaper for a million images.
        enqueue: teacher embeddings join the queue "before" the comparison, as in the reference implementation, where
            an image's own counts among its negatives, or "after" it.
        queue_start: the queue begins with random numbers of length 1 by "rows", or by "columns", see `Queue`.

    Source: Tian, Krishnan and Isola, "Contrastive representation distillation", ICLR 2020, and their
    https://github.com/HobbitLong/RepDistiller; the queue is that of https://github.com/giakoumoglou/distillers
    """

    of_momentum = ("momentum", "negatives", "draws")

    def __init__(
        self,
        *,
        features: int = 128,
        memory: str = "momentum",
        negatives_count: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        negatives: str = "other-classes",
        positives: str = "own",
        draws: str = "distinct",
        enqueue: str = "before",
        queue_start: str = "rows",
    ) -> None:
        options = MemoryOptions(
            memory, negatives_count, momentum, temperature, negatives, enqueue, queue_start, positives, draws
        )
        super().__init__(features, options)

    def against_queue(self, student: Tensor, teacher: Tensor, keys: Tensor) -> Tensor:
        return info_nce(student, teacher, keys, temperature=self.options.temperature)

    def against_images(self, student_scores: Tensor, teacher_scores: Tensor, images: int) -> Tensor:
        return nce(student_scores, images) + nce(teacher_scores, images)
