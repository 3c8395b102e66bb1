"""How closely a student follows its teacher: pure functions of both networks' logits, each `[N, K]`.

Fidelity is not accuracy: a student may agree with a wrong teacher. Source: Stanton, Izmailov, Kirichenko, Alemi and
Wilson, "Does knowledge distillation really work?", NeurIPS 2021.
"""

import torch
from torch import Tensor


def agreement(student: Tensor, teacher: Tensor) -> float:
    """Share of the N images for which both networks name the same class."""
    return (student.argmax(1) == teacher.argmax(1)).double().mean().item()


def divergence(student: Tensor, teacher: Tensor) -> float:
    """Mean Kullback-Leibler divergence KL(teacher || student) per image, in nats, at temperature 1.

    sum_k p_k (log p_k - log q_k), p the teacher's probabilities and q the student's; 0 where they are equal.
    """
    return _divergences(student, teacher).mean().item()


def per_class_agreement(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """float64 `[K]`: agreement over the images of each true class, NaN for a class without images."""
    return _class_means((student.argmax(1) == teacher.argmax(1)).double(), labels, student.shape[1])


def per_class_divergence(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """float64 `[K]`: mean divergence in nats over the images of each true class, NaN for a class without images."""
    return _class_means(_divergences(student, teacher), labels, student.shape[1])


def _divergences(student: Tensor, teacher: Tensor) -> Tensor:
    log_q, log_p = student.double().log_softmax(1), teacher.double().log_softmax(1)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def _class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    totals = torch.zeros(classes, dtype=torch.float64, device=values.device).index_add_(0, labels, values)
    return totals / torch.bincount(labels, minlength=classes)
