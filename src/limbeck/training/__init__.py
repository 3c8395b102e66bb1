"""The loop, the frozen teacher, and the run folder."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.interruption import Interrupted
    from limbeck.models.forward import FrozenTeacher
    from limbeck.progress import Progress, Silent
    from limbeck.training.loop import TrainingResult, fit
    from limbeck.training.observers import Observer, WeightTrajectory
    from limbeck.training.run_folder import RunFolder
    from limbeck.training.settings import TrainingSettings

__all__ = [
    "FrozenTeacher",
    "Interrupted",
    "Observer",
    "Progress",
    "RunFolder",
    "Silent",
    "TrainingResult",
    "TrainingSettings",
    "WeightTrajectory",
    "fit",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "FrozenTeacher": "limbeck.models.forward",
        "Interrupted": "limbeck.interruption",
        "Observer": "limbeck.training.observers",
        "Progress": "limbeck.progress",
        "RunFolder": "limbeck.training.run_folder",
        "Silent": "limbeck.progress",
        "TrainingResult": "limbeck.training.loop",
        "TrainingSettings": "limbeck.training.settings",
        "WeightTrajectory": "limbeck.training.observers",
        "fit": "limbeck.training.loop",
    },
)
