"""Which stage of the student learns from which stage of the teacher.

The benchmarks compare lists of stages of equal length. Families differ, so after a range such as "1:" (all but the
stem) is taken of each, stages are paired from the deepest on: the deepest with the deepest, and shallow ones that one
network has more of are left out.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import UserError
from limbeck.objectives.setup import Setup

Stages = Sequence[Tensor]


def parse_stages(text: str) -> slice:
    """A range of stages, written as Python's slices: "1:" leaves the first out, "-1:" keeps the last.

    Raises:
        UserError: any other text.
    """
    try:
        first, last = (int(part) if part.strip() else None for part in str(text).split(":"))
    except ValueError:
        raise UserError(f"`stages` must be a range such as '1:' or '-1:' or '0:3', got {text!r}.") from None
    return slice(first, last)


def positions(students: int, teachers: int, which: slice) -> list[tuple[int, int]]:
    """Pairs of positions, shallow to deep, in networks of so many stages."""
    chosen = [range(count)[which] for count in (students, teachers)]
    count = min(len(indices) for indices in chosen)
    return list(zip(*(indices[len(indices) - count :] for indices in chosen), strict=True))


def pair(student: Stages, teacher: Stages, which: slice) -> tuple[list[Tensor], list[Tensor]]:
    """The stages that are compared, of the student and of the teacher."""
    pairs = positions(len(student), len(teacher), which)
    return [student[s] for s, _ in pairs], [teacher[t] for _, t in pairs]


def check_stages(name: str, setup: Setup, which: slice, *, part: str = "stages", least: int = 1) -> None:
    """Raises UserError if fewer than `least` stages are left to compare."""
    counts = len(getattr(setup.student, part)), len(getattr(setup.teacher, part))
    left = len(positions(*counts, which))
    if left < least:
        raise UserError(
            f"`{name}` compares at least {least} pair(s) of stages, but {left} are left of the student's {counts[0]} "
            f"and the teacher's {counts[1]}; change `objective.{name}.stages`."
        )


def check_equal_channels(name: str, setup: Setup, which: slice) -> None:
    """Raises UserError that names all pairs of stages of different channels."""
    students, teachers = setup.student.stages, setup.teacher.stages
    different = [
        f"stage {s} of the student [{_text(students[s])}] and stage {t} of the teacher [{_text(teachers[t])}]"
        for s, t in positions(len(students), len(teachers), which)
        if students[s].shape[1] != teachers[t].shape[1]
    ]
    if different:
        raise UserError(
            f"`{name}` compares stages of equal channels, but these differ: {'; '.join(different)}; choose networks of "
            "one width, other `stages`, or an objective with a projector such as fitnet or vid."
        )


def one_stage(name: str, stages: Stages, position: int, who: str) -> Tensor:
    """Stage `position`, counted from the deepest if negative.

    Raises:
        UserError: the network has no such stage.
    """
    if not -len(stages) <= position < len(stages):
        raise UserError(
            f"`objective.{name}.stage` must be between {-len(stages)} and {len(stages) - 1}, as the {who} has "
            f"{len(stages)} stages, got {position}."
        )
    return stages[position]


def same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps [B, C, H, W], the larger one average-pooled to the height and width of the smaller."""
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return _pooled(student, size), _pooled(teacher, size)


def attention(stage: Tensor, power: int = 2) -> Tensor:
    """Sum of the channels' powers at every position of a map [B, C, H, W], scaled to length 1, [B, HW]."""
    total = torch.linalg.vecdot(stage, stage, dim=1) if power == 2 else stage.pow(power).sum(1)
    return F.normalize(total.flatten(1))


def _pooled(stage: Tensor, size: tuple[int, int]) -> Tensor:
    return stage if tuple(stage.shape[2:]) == size else F.adaptive_avg_pool2d(stage, size)


def _text(stage: Tensor) -> str:
    return "x".join(str(side) for side in stage.shape[1:])
