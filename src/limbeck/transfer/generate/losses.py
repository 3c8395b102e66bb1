"""What images are optimised for, as functions of tensors: [B] where every image has a loss of its own, else [].

All are minimised, so that what is sought (disagreement, activation, balance) is negative. Gradients flow into every
argument, the teacher's and the student's logits alike; whoever optimises images freezes both networks. They compute in
float32 at least, whatever networks computed in.
"""

from collections.abc import Sequence
from math import log
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from limbeck.errors import UserError
from limbeck.objectives.checks import check_choice, check_positive

Adversary = Literal["kl-where-equal", "kl", "l1", "js", "js-clamped"]
ADVERSARIES: tuple[Adversary, ...] = ("kl-where-equal", "kl", "l1", "js", "js-clamped")
_ROWS = 256  # of a matrix of similarities at a time, so that they stay in the cache


class Moments(NamedTuple):
    """Mean and biased variance of a layer's features over batch and positions, each [C]."""

    mean: Tensor
    var: Tensor


def batch_norm_distance(found: Sequence[Moments], wanted: Sequence[Moments]) -> Tensor:
    """||var - var'|| + ||mean - mean'|| of every layer, [L]; the loss is their sum. Norms are not squared.

    Args:
        found: of the images, see `statistics.BatchNormMoments`.
        wanted: of the data that the teacher was trained on.

    Source: Yin et al., "Dreaming to distill: data-free knowledge transfer via DeepInversion", CVPR 2020.

    Example:
        >>> found, wanted = Moments(torch.tensor([3.0, 0.0]), torch.ones(2)), Moments(torch.zeros(2), torch.ones(2))
        >>> batch_norm_distance([found], [wanted])
        tensor([3.])
    """
    return torch.stack(
        [
            torch.linalg.vector_norm(moments.var - reference.var)
            + torch.linalg.vector_norm(moments.mean - reference.mean)
            for moments, reference in zip(found, wanted, strict=True)
        ]
    )


def one_hot(logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Cross entropy of every image to the label that it is to have, [B].

    Args:
        logits: of the teacher, [B, K].
        labels: int64 [B]; None for the teacher's own argmax, whose sureness is then sought (DAFL, DFQ).

    Source: Chen et al., "Data-free learning of student networks", ICCV 2019.

    Example:
        >>> one_hot(torch.tensor([[1.0, 1.0]]), torch.tensor([0]))
        tensor([0.6931])
    """
    labels = logits.detach().argmax(dim=1) if labels is None else labels
    return F.cross_entropy(_exact(logits), labels, reduction="none")


def adversarial(
    teacher_logits: Tensor, student_logits: Tensor, *, form: str = "kl-where-equal", temperature: float = 1.0
) -> Tensor:
    """Minus the disagreement of teacher and student on every image, [B], <= 0.

    Args:
        teacher_logits, student_logits: [B, K].
        form: "kl" is KL(teacher || student) x T²; "kl-where-equal" the same where both give one class, and 0 elsewhere
            (CMI, Fast, BSR: images are to stay what they are); "l1" the mean distance of logits (DFAD); "js" the
            Jensen-Shannon divergence; "js-clamped" as DeepInversion and CMI compute it, with probabilities clamped to
            [0.01, 0.99] and the divergences of the mixture from either network and not the other way round.
        temperature: T > 0 of the probabilities; of no use to "l1".

    Raises:
        UserError: an unknown form, or `temperature` out of range.

    Source: Fang et al., "Contrastive model inversion for data-free knowledge distillation", IJCAI 2021 (where equal);
        Micaelli and Storkey, NeurIPS 2019 (KL); Fang et al., arXiv 1912.11006 (L1); Yin et al., CVPR 2020 (JS).

    Example:
        >>> adversarial(torch.tensor([[0.0, 2.0], [2.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
        tensor([-0.0671,  0.0000])
    """
    check_choice("form", form, ADVERSARIES)
    check_positive("temperature", temperature)
    teacher_logits, student_logits = _exact(teacher_logits), _exact(student_logits)
    if form == "l1":
        return -(teacher_logits - student_logits).abs().mean(dim=1)
    teacher, student = (F.log_softmax(logits / temperature, dim=1) for logits in (teacher_logits, student_logits))
    if form == "js":
        return -_jensen_shannon(teacher, student)
    if form == "js-clamped":
        return -_jensen_shannon_clamped(teacher.exp(), student.exp())
    divergence = _divergence(teacher, student) * temperature**2
    if form == "kl":
        return -divergence
    equal = teacher_logits.argmax(dim=1) == student_logits.argmax(dim=1)
    return torch.where(equal, -divergence, 0.0)


def activation(embedding: Tensor) -> Tensor:
    """Minus the mean size of every image's features, [B]: real images excite the teacher.

    Args:
        embedding: of the teacher, [B, D].

    Source: Chen et al., "Data-free learning of student networks", ICCV 2019.

    Example:
        >>> activation(torch.tensor([[1.0, -3.0]]))
        tensor([-2.])
    """
    return -_exact(embedding).abs().mean(dim=1)


def balance(logits: Tensor) -> Tensor:
    """Minus the entropy of the mean prediction over a batch, [], in nats: least where all classes occur alike.

    Args:
        logits: of the teacher, [B, K].

    Source: Chen et al., "Data-free learning of student networks", ICCV 2019 (there with decadic logarithms).

    Example:
        >>> balance(torch.tensor([[9.0, -9.0], [-9.0, 9.0]]))
        tensor(-0.6931)
    """
    # Through logarithms: classes of probability 0 have a finite gradient.
    mean = torch.logsumexp(F.log_softmax(_exact(logits), dim=1), dim=0) - log(len(logits))
    return (mean.exp() * mean).sum()


def total_variation(images: Tensor, *, norm: str = "l1") -> Tensor:
    """How much neighbouring pixels differ: to the right, below, and along both diagonals.

    Args:
        images: [B, C, H, W]. The methods that use it optimise normalised pixels: theirs are `(images - mean) / std`.
        norm: "l1" is the sum of the four mean absolute differences of every image, [B] (CMI); "l2" the sum of the four
            norms over the whole batch, [], which grows with the root of its size (DeepInversion).

    Raises:
        UserError: an unknown norm.

    Source: Yin et al., "Dreaming to distill: data-free knowledge transfer via DeepInversion", CVPR 2020.

    Example:
        >>> total_variation(torch.eye(2).view(1, 1, 2, 2))
        tensor([2.])
    """
    check_choice("norm", norm, ("l1", "l2"))
    images = _exact(images)
    below, right = images[:, :, 1:], images[:, :, :, 1:]
    differences = (
        right - images[:, :, :, :-1],
        below - images[:, :, :-1],
        below[:, :, :, 1:] - images[:, :, :-1, :-1],
        below[:, :, :, :-1] - images[:, :, :-1, 1:],
    )
    # Images of one row have no neighbours below.
    present = [difference for difference in differences if difference.numel()]
    if norm == "l2":
        return sum((torch.linalg.vector_norm(difference) for difference in present), images.new_zeros(()))
    return sum((difference.abs().mean(dim=(1, 2, 3)) for difference in present), images.new_zeros(len(images)))


def l2(images: Tensor) -> Tensor:
    """The norm of every image, [B].

    Args:
        images: [B, C, H, W]. The methods that use it optimise normalised pixels: theirs are `(images - mean) / std`.

    Source: Yin et al., "Dreaming to distill: data-free knowledge transfer via DeepInversion", CVPR 2020.

    Example:
        >>> l2(torch.full((1, 1, 2, 2), 0.5))
        tensor([1.])
    """
    return torch.linalg.vector_norm(_exact(images).flatten(1), dim=1)


def contrast(local: Tensor, whole: Tensor, *, new: int, temperature: float = 0.1) -> Tensor:
    """Cross entropy with which a local view finds its own image among all, of every new image, [B].

    The mean over images of before is added to each, and not taken together with theirs: a few new ones would hardly
    count among many. So the mean is mean(new) + mean(before).

    Args:
        local: codes of local views, [N, D], of length 1; first those of the new images.
        whole: codes of the same images as a whole, [N, D]; without gradient.
        new: how many are new, 1 <= B <= N.
        temperature: > 0 that similarities are divided by.

    Raises:
        UserError: `new` or `temperature` out of range.

    Source: Fang et al., "Contrastive model inversion for data-free knowledge distillation", IJCAI 2021.

    Example:
        >>> codes = torch.eye(3)
        >>> contrast(codes, codes, new=2, temperature=1.0)
        tensor([1.1029, 1.1029])
    """
    if not 1 <= new <= len(local):
        raise UserError(f"`new` must be between 1 and {len(local)}, the rows of `local`, got {new}.")
    check_positive("temperature", temperature)
    losses = _OwnRow.apply(_exact(local), _exact(whole).detach(), temperature)
    return losses[:new] + losses[new:].mean() if len(losses) > new else losses


class _OwnRow(torch.autograd.Function):
    """Cross entropy of each row of `local @ whole.T / temperature` with its own number, [N]; no second derivatives.

    Some rows at a time, each with its gradient: of thousands of rows, the N x N numbers are never in memory at once.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, whole: Tensor, temperature: float) -> Tensor:
        losses, gradients = local.new_empty(len(local)), torch.empty_like(local)
        for start in range(0, len(local), _ROWS):
            rows = slice(start, start + _ROWS)
            logits = (local[rows] @ whole.T).div_(temperature)
            total = logits.logsumexp(1)
            losses[rows] = total - logits.diagonal(start)
            probabilities = logits.sub_(total[:, None]).exp_()
            gradients[rows] = (probabilities @ whole - whole[rows]) / temperature
        ctx.save_for_backward(gradients)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return outputs[0][:, None] * ctx.saved_tensors[0], None, None


def _exact(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _divergence(first: Tensor, other: Tensor) -> Tensor:
    """KL(first || other) of logarithms of probabilities [B, K], [B]."""
    return F.kl_div(other, first, reduction="none", log_target=True).sum(dim=1)


def _jensen_shannon(first: Tensor, other: Tensor) -> Tensor:
    mixture = torch.logaddexp(first, other) - log(2)
    return (_divergence(first, mixture) + _divergence(other, mixture)) / 2


def _jensen_shannon_clamped(first: Tensor, other: Tensor) -> Tensor:
    first, other, mixture = (part.clamp(0.01, 0.99).log() for part in (first, other, (first + other) / 2))
    return (_divergence(mixture, first) + _divergence(mixture, other)) / 2
