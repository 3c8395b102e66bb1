"""The loop, the frozen teacher, and the run folder."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.training.interruption import Interrupted
    from limbeck.training.loop import TrainingResult, fit
    from limbeck.training.progress import Progress, Silent
    from limbeck.training.record import RunRecord
    from limbeck.training.settings import TrainingSettings
    from limbeck.training.teacher import FrozenTeacher

__all__ = [
    "FrozenTeacher",
    "Interrupted",
    "Progress",
    "RunRecord",
    "Silent",
    "TrainingResult",
    "TrainingSettings",
    "fit",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "FrozenTeacher": "limbeck.training.teacher",
        "Interrupted": "limbeck.training.interruption",
        "Progress": "limbeck.training.progress",
        "RunRecord": "limbeck.training.record",
        "Silent": "limbeck.training.progress",
        "TrainingResult": "limbeck.training.loop",
        "TrainingSettings": "limbeck.training.settings",
        "fit": "limbeck.training.loop",
    },
)
