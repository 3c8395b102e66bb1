"""What something took: one type for making a transfer set, for teaching on it, and for a teacher's own training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What some work took; the costs of two pieces of work add up.

    Attributes:
        images_read: images that were looked at, each as often as it was.
        teacher_passes: answers of the teacher to an image that were needed.
        passes_saved: how many of these it had given before, so that they were read instead.
        steps: of an optimiser, whatever it moves: a student, a network trained on the way, a generator, pixels.
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
        both = zip(asdict(self).items(), asdict(other).values(), strict=True)
        sums = {name: one + another for (name, one), another in both if name != "measured"}
        return Cost(**sums, measured=self.measured and other.measured)

    def to_dict(self) -> dict[str, Any]:
        """Json-able; seconds rounded to hundredths."""
        return asdict(self) | {"seconds": round(self.seconds, 2)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Cost":
        """What `to_dict` wrote; what is missing, as in files of earlier versions, is 0."""
        names = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in names})
