"""Logs a run's `metrics.jsonl` to a tracker, through accelerate's classes.

A tracker only watches: one that fails is left out for the rest of the run, which continues as without it.
"""

import json
import uuid
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from limbeck.signatures import is_int_or_float
from limbeck.training.run_folder import RunFolder
from limbeck.training.tracker_settings import PROJECT, TrackerSettings

TRACKER_FILE = "tracker.json"
"""Holds which run of the tracker a run folder belongs to."""


class RunTracker:
    """One run of a tracker, which a resumed run continues.

    Args:
        settings: which tracker, and its options.
        run_folder: of the run whose metrics it shows, in the process that writes.
        title: of the run.
        group: groups the run with others, such as those of a comparison; None for a run by itself.
        config: the recipe, shown as hyper-parameters under dotted names.
    """

    def __init__(
        self,
        settings: TrackerSettings,
        run_folder: RunFolder,
        *,
        title: str,
        group: str | None = None,
        config: Mapping[str, Any],
    ) -> None:
        self.settings = settings
        self.run_folder = run_folder
        self.title = title
        self.group = group
        self.config = {key: value for key, value in _flat(config) if value is not None}
        self._tracker: GeneralTracker | None = None
        self._seen: Collection[tuple[str, int]] = ()
        self._last = -1

    def begin(self, step: int, logged: Collection[Mapping[str, Any]]) -> None:
        """Opens the tracker's run; a new one gets all earlier metrics of the run.

        Args:
            step: steps done; the run continues after it.
            logged: the rows of its metrics, including those after `step`, which will be logged again.
        """
        stored = self.run_folder.read(TRACKER_FILE) or {}
        goes_on = stored.get("name") == self.settings.name
        run = stored["run"] if goes_on else uuid.uuid4().hex[:8]
        self._try(lambda: self._open(run, step if goes_on else None))
        if goes_on:
            again = [] if self.settings.name == "tensorboard" else [row for row in logged if row["step"] > step]
            self._seen = {(row["kind"], row["step"]) for row in again}
            self._last = max((row["step"] for row in again), default=-1)
            return
        for row in logged:
            if row["step"] <= step:
                self.log(row)

    def log(self, row: Mapping[str, Any]) -> None:
        """Logs the numbers of a row of `metrics.jsonl`, as `train/loss`; rows that the tracker has are skipped."""
        step, kind = row["step"], row["kind"]
        if step < self._last or (kind, step) in self._seen:
            return
        values = {f"{kind}/{key}": value for key, value in row.items() if key not in ("kind", "step")}
        self._log(values, step)

    def finish(self, numbers: Mapping[str, Any], step: int) -> None:
        """Logs the final numbers of a run, under their dotted names, at its last step."""
        self._log(numbers, step)

    def close(self) -> None:
        """Closes the tracker's run, which may be resumed."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            self._try(tracker.finish)

    def _open(self, run: str, step: int | None) -> None:
        """Begins a run, or resumes it after `step`."""
        name, options = self.settings.name, self.settings.options
        make: Callable[..., Any] = LOGGER_TYPE_TO_CLASS[name]
        arguments = {**self._arguments(run, step), **options}
        tracker = make(str(arguments.pop("place")), **arguments)
        if hasattr(tracker, "start"):  # before accelerate 1.8 trackers start on construction
            tracker.start()
        self._tracker = tracker
        if name == "mlflow":
            run = tracker.tracker.info.run_id
        if name == "tensorboard":
            _show_parameters(tracker.tracker, self.config)
        elif name != "mlflow" or step is None:  # MLflow's parameters can only be written once
            tracker.store_init_configuration(self.config)
        self.run_folder.write(TRACKER_FILE, {"name": name, "run": run})

    def _arguments(self, run: str, step: int | None) -> dict[str, Any]:
        project = self.settings.project or PROJECT
        match self.settings.name:
            case "tensorboard":
                # Hides what was logged after `step`, which will be logged again.
                purge = {} if step is None else {"purge_step": step + 1}
                return {"place": "tensorboard", "logging_dir": self.run_folder.path, **purge}
            case "wandb":
                return {"place": project, "id": run, "resume": "allow", "name": self.title, "group": self.group}
            case "trackio":
                name = f"{self.title}-{run}"  # by which runs are found there
                return {"place": project, "name": name, "resume": "allow", "group": self.group}
            case "mlflow":
                tags = {} if self.group is None else {"tags": {"group": self.group}}
                resumed = {} if step is None else {"run_id": run}
                return {"place": project, "run_name": self.title, **resumed, **tags}

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        numbers = {key: value for key, value in _flat(values, "/") if is_int_or_float(value)}
        tracker = self._tracker
        if tracker is not None and numbers:
            self._try(lambda: tracker.log(numbers, step=step))

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # whatever the package raises, e.g. without a network or a login
            self._tracker = None
            # A later resume begins a new run there with all metrics, since it is unknown what this one lacks.
            (self.run_folder.path / TRACKER_FILE).unlink(missing_ok=True)
            warnings.warn(
                f"the tracker {self.settings.name!r} failed ({type(error).__name__}: {error}) and is left out from "
                "here on; the run goes on, and its metrics.jsonl has all the numbers.",
                stacklevel=4,
            )


def forget_later_steps(run_folder: RunFolder) -> None:
    """Has a run whose last steps are undone start a new run in trackers that cannot drop steps."""
    stored = run_folder.read(TRACKER_FILE)
    if stored is not None and stored["name"] != "tensorboard":
        (run_folder.path / TRACKER_FILE).unlink()


def _show_parameters(writer: Any, config: dict[str, Any]) -> None:
    """Adds hyper-parameters to the run itself; accelerate would show them as a separate run."""
    from torch.utils.tensorboard.summary import hparams  # imported late: its package may be missing

    for summary in hparams(config, {}):
        writer.file_writer.add_summary(summary)
    writer.flush()


def _flat(tree: Any, joint: str = ".", path: str = "") -> Iterator[tuple[str, Any]]:
    """A nested mapping as (path, value) pairs; lists and empty mappings as JSON."""
    if isinstance(tree, Mapping) and (tree or not path):
        for key, value in tree.items():
            yield from _flat(value, joint, f"{path}{joint}{key}" if path else str(key))
    else:
        yield path, json.dumps(tree) if isinstance(tree, list | tuple | Mapping) else tree
