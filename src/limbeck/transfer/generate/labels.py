"""The labels that the next images are to have."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.errors import UserError, unknown_name
from limbeck.randomness import generator

LabelRule = Literal["uniform", "sorted", "even", "balanced"]


def wanted_labels(
    rule: LabelRule,
    count: int,
    num_classes: int,
    *,
    seed: int,
    call: int,
    held: Tensor | Sequence[int] | None = None,
) -> Tensor:
    """Labels of one call, a function of the arguments alone: int64 [count] in 0..K-1.

    Args:
        rule: "uniform" draws each for itself; "sorted" as well, in ascending order (CMI, DeepInversion); "even" takes
            every class equally often, and of the rest no class twice, in random order; "balanced" prefers rarer
            classes, see `biased_labels`.
        count: of the images of a call.
        num_classes: K.
        seed: of the run.
        call: its number.
        held: images of each class that there are, by the teacher's label, int64 [K]; "balanced" needs them.

    Raises:
        UserError: another rule, no images, no classes, or counts that are missing or not K.

    Example:
        >>> wanted_labels("even", 6, 3, seed=0, call=0).sort().values
        tensor([0, 0, 1, 1, 2, 2])
    """
    for name, value in (("count", count), ("num_classes", num_classes)):
        if value < 1:
            raise UserError(f"`{name}` must be at least 1, got {value}.")
    random = generator(seed, "generate", "labels", call)
    if rule == "balanced":
        if held is None:
            raise UserError("`held` must be the images of each class that there are, for balanced labels; got None.")
        counts = torch.as_tensor(held)
        if counts.shape != (num_classes,):
            raise UserError(f"`held` must be [{num_classes}], one for each class, got {list(counts.shape)}.")
        return biased_labels(counts, torch.rand(count, generator=random, dtype=torch.float64))
    if rule == "even":
        repeated = torch.arange(count // num_classes * num_classes) % num_classes
        rest = torch.randperm(num_classes, generator=random)[: count % num_classes]
        return torch.cat([repeated, rest])[torch.randperm(count, generator=random)]
    if rule not in get_args(LabelRule):
        raise unknown_name("rule of labels", rule, get_args(LabelRule))
    labels = torch.randint(num_classes, (count,), generator=random)
    return labels.sort().values if rule == "sorted" else labels


def biased_labels(held: Tensor | Sequence[int], uniforms: Tensor) -> Tensor:
    """Labels that favour rarer classes, by BSR's biased label generator.

    p_k = (max_j n_j - n_k) / sum_i (max_j n_j - n_i) for n_k images held of class k, so that the largest class gets
    none. Where all classes are equal p is uniform; BSR's code divides by zero there.

    Args:
        held: n, not negative, [K].
        uniforms: in [0, 1], [B]: label k is taken where the uniform lies in the k-th of the intervals of lengths p.

    Returns:
        int64 [B] in 0..K-1.

    Raises:
        UserError: counts that are negative or not finite, or none at all; uniforms outside [0, 1].

    Example:
        >>> biased_labels([10, 8, 4], torch.tensor([0.0, 0.2, 0.3, 1.0]))
        tensor([1, 1, 2, 2])
    """
    counts = torch.as_tensor(held).double()
    if counts.ndim != 1 or not len(counts) or not bool((counts.isfinite() & (counts >= 0)).all()):
        raise UserError(f"`held` must be [K] counts of at least 0, K at least 1, got {counts.tolist()}.")
    drawn = uniforms.double()
    if not bool(((drawn >= 0) & (drawn <= 1)).all()):
        raise UserError(f"`uniforms` must lie in 0..1, got {uniforms.tolist()}.")
    missing = counts.max() - counts  # whole numbers, so that sums and ends of the intervals are exact
    if not bool(missing.any()):
        missing = torch.ones_like(missing)
    ends = missing.cumsum(0)
    labels = torch.searchsorted(ends, drawn * ends[-1], right=True)
    return labels.clamp(max=int(missing.nonzero()[-1]))  # a uniform of 1, or rounded to it, has the last class
