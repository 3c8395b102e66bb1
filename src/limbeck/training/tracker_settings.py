"""The settings under `tracker` in a recipe, and whether their package is installed; without importing torch."""

from importlib.util import find_spec
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from limbeck.errors import UserError

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]
PROJECT = "limbeck"
_INSTALL = {"tensorboard": "'limbeck[trackers]'", "trackio": "trackio 'accelerate>=1.9'"}


class TrackerSettings(BaseModel):
    """Where the metrics of a run are shown while it goes on, beside `metrics.jsonl`; it shapes nothing of the run.

    Attributes:
        name: which tracker. TensorBoard's files lie in `tensorboard/` of the run folder; the others keep theirs
            themselves.
        project: at Weights & Biases and Trackio the project, at MLflow the experiment; "limbeck" by default.
        options: of the tracker itself: of `wandb.init`, `trackio.init`, accelerate's `MLflowTracker`, or torch's
            `SummaryWriter`.

    Example:
        >>> TrackerSettings(name="wandb", project="students", options={"mode": "offline"}).project
        'students'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: TrackerName
    project: str | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _has_projects(self) -> "TrackerSettings":
        if self.name == "tensorboard" and self.project is not None:
            raise ValueError(
                "`project` is not for tensorboard, whose files lie in the run folder; leave it out, and show many runs "
                "by `tensorboard --logdir runs`"
            )
        return self


def check_tracker(settings: TrackerSettings | None) -> None:
    """Raises a UserError where the package of a tracker is missing."""
    if settings is not None and find_spec(settings.name) is None:
        raise UserError(
            f"`tracker` {settings.name!r} needs the package {settings.name}, which is not installed: "
            f"pip install {_INSTALL.get(settings.name, settings.name)}; or leave out `tracker`."
        )
