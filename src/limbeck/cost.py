"""Costs: one type for making a transfer set, for teaching on it, and for a teacher's own training."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of some work; the costs of two pieces of work add up.

    Attributes:
        images_read: images that were read, each counted as often as it was.
        teacher_passes: teacher outputs needed, one per image shown; those read from the cache count too.
        passes_saved: how many of these were read from the cache.
        steps: of an optimiser, whatever it changes: a student, a network trained on the way, a generator, pixels.
        seconds: wall-clock time.
        kwh: electric energy.
        measured: whether all of `kwh` was read from counters; else some is an estimate.

    Example:
        >>> Cost(teacher_passes=200, seconds=1.5) + Cost(teacher_passes=640, steps=10, seconds=2.0)
        Cost(images_read=0, teacher_passes=840, passes_saved=0, steps=10, seconds=3.5, kwh=0.0, measured=True)
    """

    images_read: int = 0
    teacher_passes: int = 0
    passes_saved: int = 0
    steps: int = 0
    seconds: float = 0.0
    kwh: float = 0.0
    measured: bool = True

    def __add__(self, other: "Cost") -> "Cost":
        pairs = zip(asdict(self).items(), asdict(other).values(), strict=True)
        sums = {name: left + right for (name, left), right in pairs if name != "measured"}
        return Cost(**sums, measured=self.measured and other.measured)

    def to_dict(self) -> dict[str, Any]:
        """Json-able; seconds rounded to hundredths."""
        return asdict(self) | {"seconds": round(self.seconds, 2)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Cost":
        """What `to_dict` wrote; what is missing, as in files of earlier versions, is 0."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in names})


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """The cost of a run, as `cost.json` has it, or the means over some runs.

    Attributes:
        images: distinct images in the transfer set; of one that grew, at its end. Where a stored image holds several
            (`per_image`), all that it is cut into when it is used.
        real_images: training images of the task that had to be at hand: learned from, or looked at while the set was
            made; what the teacher learned from is not among them. None where it is not known, as in runs of earlier
            versions.
        teaching: the student on it.
        making: the transfer set; None where it was not counted, as in runs of earlier versions.
        teacher: the training that made the teacher, where it is known; it serves every run, so no total holds it.
        known: whether anything was counted.
    """

    images: int = 0
    real_images: int | None = None
    teaching: Cost = Cost()
    making: Cost | None = None
    teacher: Cost | None = None
    known: bool = True

    @property
    def total(self) -> Cost:
        """Making and teaching."""
        return self.teaching if self.making is None else self.making + self.teaching

    def share(self, name: str) -> float | None:
        """The part of the total that making has; None where it was not counted or the total is 0.

        Example:
            >>> RunCost(teaching=Cost(seconds=30.0), making=Cost(seconds=10.0)).share("seconds")
            0.25
        """
        total = getattr(self.total, name)
        return getattr(self.making, name) / total if self.making is not None and total else None

    def to_dict(self) -> dict[str, Any]:
        """Json-able, with the totals under the names that earlier versions gave them."""
        total = self.total
        return {
            "images": self.images,
            "real_images": self.real_images,
            "teacher_passes": total.teacher_passes,
            "teacher_passes_saved": total.passes_saved,
            "student_steps": self.teaching.steps,
            "seconds": round(total.seconds, 2),
            "energy": {"kwh": total.kwh, "kind": "measured" if total.measured else "estimated"},
            "making": None if self.making is None else self.making.to_dict(),
            "teaching": self.teaching.to_dict(),
            "teacher": None if self.teacher is None else self.teacher.to_dict(),
            "total": total.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any] | None) -> "RunCost":
        """From a cost.json or a row of a comparison's table, also of earlier versions, which knew of teaching alone.

        Example:
            >>> RunCost.from_dict({"teacher_passes": 640, "seconds": 2.0}).total.teacher_passes
            640
            >>> RunCost.from_dict({"making": {"seconds": 1.0}, "teaching": {"seconds": 2.0}}).total.seconds
            3.0
        """
        if not content:
            return cls(known=False)
        images, real = content.get("images") or 0, content.get("real_images")
        if content.get("teaching"):
            parts = {name: content.get(name) for name in ("teaching", "making", "teacher")}
            teaching, making, teacher = (Cost.from_dict(part) if part else None for part in parts.values())
            return cls(images=images, real_images=real, teaching=teaching or Cost(), making=making, teacher=teacher)
        energy = content.get("energy") or {}
        kinds = (energy.get("kind"), content.get("energy_kind"))
        teaching = Cost(
            teacher_passes=content.get("teacher_passes") or 0,
            passes_saved=content.get("teacher_passes_saved") or 0,
            steps=content.get("student_steps") or 0,
            seconds=content.get("seconds") or 0.0,
            kwh=energy.get("kwh") or content.get("energy_kwh") or 0.0,
            measured="measured" in kinds,
        )
        return cls(images=images, real_images=real, teaching=teaching)


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """The mean of several costs; counts are rounded."""
    total = sum(costs[1:], costs[0])
    numbers = {name: value / len(costs) for name, value in asdict(total).items() if name != "measured"}
    rounded = {name: value if name in ("seconds", "kwh") else round(value) for name, value in numbers.items()}
    return Cost(**rounded, measured=total.measured)
