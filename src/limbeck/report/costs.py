"""What a run cost, of whichever version wrote it: making its transfer set, teaching on it, and the teacher itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.cost import Cost

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunCost:
    """The parts of what one run cost, or of the means over an arm's runs.

    Attributes:
        teaching: the student, on the transfer set.
        making: the transfer set; None where it was not counted, as in runs of before.
        teacher: its own training; None where it was there already.
        known: whether anything was counted.
    """

    teaching: Cost
    making: Cost | None = None
    teacher: Cost | None = None
    known: bool = True

    @property
    def total(self) -> Cost:
        """Of making and teaching."""
        return self.teaching if self.making is None else self.making + self.teaching

    def share(self, name: str) -> float | None:
        """The part of the total that making has; None where it was not counted or the total is 0.

        Example:
            >>> RunCost(Cost(seconds=30.0), Cost(seconds=10.0)).share("seconds")
            0.25
        """
        total = getattr(self.total, name)
        return getattr(self.making, name) / total if self.making is not None and total else None


def run_cost(content: Row | None) -> RunCost:
    """From the content of a cost.json, or a row of the table of a comparison, new or old.

    Example:
        >>> run_cost({"teacher_passes": 640, "seconds": 2.0}).total.teacher_passes
        640
        >>> run_cost({"making": {"seconds": 1.0}, "teaching": {"seconds": 2.0}}).total.seconds
        3.0
    """
    if not content:
        return RunCost(Cost(), known=False)
    if content.get("teaching"):
        making, teacher = content.get("making"), content.get("teacher")
        return RunCost(
            Cost.from_dict(content["teaching"]),
            Cost.from_dict(making) if making else None,
            Cost.from_dict(teacher) if teacher else None,
        )
    energy = content.get("energy") or {}
    kinds = (energy.get("kind"), content.get("energy_kind"))
    return RunCost(
        Cost(
            teacher_passes=content.get("teacher_passes") or 0,
            passes_saved=content.get("teacher_passes_saved") or 0,
            steps=content.get("student_steps") or 0,
            seconds=content.get("seconds") or 0.0,
            kwh=energy.get("kwh") or content.get("energy_kwh") or 0.0,
            measured="measured" in kinds,
        )
    )
