"""The run folder: which process owns it, what happened in it, and how to resume."""

import json
import shutil
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from filelock import FileLock, Timeout

from limbeck.environment import describe_environment, shaping_rounding
from limbeck.errors import UserError
from limbeck.files import atomic_path, atomic_write_text, disk_errors
from limbeck.foreign import ForeignError, described
from limbeck.import_paths import ENVIRONMENT_FILE, FOUND_IN, taken_from
from limbeck.interruption import Paused
from limbeck.yaml_text import yaml_text

FINISHED, PAUSED = "finished", "paused"
_PRECISIONS = {torch.bfloat16: "bf16", torch.float32: "fp32"}
INPUTS_FILE = "inputs.json"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # five times as fast; a race opens recipes often
_SHAPING = {
    "precision": "in {}",
    "processes": "by {} process(es)",
    "processor": "on {}",
    "instructions": "with {}",
    "devices": "on the GPUs {}",
    "torch": "by torch {}",
}
"""What shapes rounding, in words."""
_TO_BE_EXTENDED = ".extending"
_WATCHING = ("tracker",)  # keys of a recipe that do not affect the run
_PREAMBLE = frozenset(["recipe.yaml", ENVIRONMENT_FILE, INPUTS_FILE, "status.json", "energy.json"])


class Difference(NamedTuple):
    """A value of a recipe that is not what it was: where, then and now."""

    path: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"`{self.path}` ({self.then!r} then, {self.now!r} now)"


Extend = Callable[["RunFolder", list[Difference]], tuple[list[Difference], Callable[[], None] | None]]


def overrides_to_repeat(changed: Sequence[Difference]) -> str:
    """How to ask for the values that a run was begun with, where defaults of limbeck may have changed."""
    overrides = " ".join(f"{difference.path}={json.dumps(difference.then)}" for difference in changed)
    return f"If the recipe is the same, defaults of limbeck have changed since; what was then is {overrides}"


class RunFolder:
    """One run's folder; open it with `RunFolder.open`.

    Files: `recipe.yaml` (resolved), `environment.json`, `inputs.json` (what the recipe's names stood for),
    `status.json`, `metrics.jsonl`, `checkpoint.safetensors`, `student/`, `student-chosen/`, `evaluation.json`,
    `cost.json`, and those of the report. `after-<n>-steps/` holds the results of a run before it was extended.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self._extension: tuple[Callable[[], None], dict[str, Any]] | None = None  # how to extend it, and its recipe

    @classmethod
    @contextmanager
    def open(
        cls,
        folder: str | Path,
        recipe: dict[str, Any],
        *,
        resume: bool = False,
        writes: bool = True,
        may_change: Collection[str] = (),
        renew: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        extend: Extend | None = None,
    ) -> Iterator["RunFolder"]:
        """The run in `folder`, locked for this process; records on exit how it failed or was interrupted.

        Args:
            folder: created if it does not exist.
            recipe: the resolved recipe; written to the folder, or compared with the one there on resuming.
            resume: resume the run that `folder` holds, if any.
            may_change: keys of the recipe that may differ on resuming; the new recipe is then written.
            renew: brings a recipe written by an older version up to date, before it is compared.
            extend: gets the differences of the recipe, and returns those that do not make the run longer, and what
                turns the run into the longer one, if anything has to; see `carry_out_extension`.
            writes: false in all processes of a distributed run except the first, which alone writes.

        The folder of a run that failed before it had any results may be used by the next.

        Raises:
            UserError: the folder is in use, holds another run or other files, or holds a run and `resume` is not given.
        """
        run_folder = cls(Path(folder), writes=writes)
        if not writes:
            yield run_folder
            return
        with disk_errors(folder):
            run_folder.path.mkdir(parents=True, exist_ok=True)
        # The kernel drops this lock when its process dies, so a killed run never blocks its own resumption.
        lock = FileLock(run_folder.path / ".lock")
        try:
            with disk_errors(folder):
                lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"the run folder {str(folder)!r} is in use by another process; wait for it, or choose another --out."
            ) from None
        try:
            run_folder._claim(recipe, resume, may_change, renew, extend)
            with run_folder._noting_how_it_ended():
                yield run_folder
        finally:
            lock.release()

    @property
    def state(self) -> str:
        return self.read("status.json", {}).get("state", "missing")

    @property
    def finished(self) -> bool:
        return self.state == FINISHED

    @property
    def to_be_extended(self) -> bool:
        """Whether the process that writes has opened the run to extend it, and has not done so yet."""
        return (self.path / _TO_BE_EXTENDED).exists()

    def carry_out_extension(self) -> None:
        """Turns the run into the longer one that it was opened for, if any; until then, all of it stays as it is."""
        if self._extension is None:
            return
        carry_out, recipe = self._extension
        carry_out()
        self._extension = None
        atomic_write_text(self.path / "recipe.yaml", yaml_text(recipe))
        self.set_state("running")
        (self.path / _TO_BE_EXTENDED).unlink(missing_ok=True)

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def stable_checkpoint(self) -> Path:
        """For a warmup-stable-decay schedule, the state before the rate falls, from which a longer run continues."""
        return self.path / "checkpoint-stable.safetensors"

    def keep_stable(self) -> None:
        """Keeps a copy of the checkpoint as the stable one."""
        if self.writes:
            with atomic_path(self.stable_checkpoint) as temporary:
                shutil.copyfile(self.checkpoint, temporary)

    def read(self, name: str, default: Any = None) -> Any:
        """The JSON file `name`, or `default` where there is none."""
        path = self.path / name
        return json.loads(path.read_text()) if path.exists() else default

    def write(self, name: str, content: Any) -> None:
        if self.writes:
            atomic_write_text(self.path / name, json.dumps(content, indent=1) + "\n")

    def note_computing(
        self, dtype: torch.dtype, channels_last: bool, threads: int, *, processes: int = 1, resumed: bool = False
    ) -> None:
        """Adds to `environment.json` precision, memory order, threads and processes, which recipes may leave open.

        If the steps so far were computed in another precision, by another number of processes, or by another processor,
        GPU or torch, `computed_before` records that as well, with a warning.
        """
        computing = {"precision": _PRECISIONS[dtype], "channels_last": channels_last, "threads": threads}
        computing["processes"] = processes
        environment = self.read(ENVIRONMENT_FILE, {})
        noted = environment.get("computing")
        if self.writes and resumed and noted is not None:
            here = describe_environment()
            before, now = noted | shaping_rounding(environment), computing | shaping_rounding(here)
            differing = [name for name in _SHAPING if name in before and _kinds(before[name]) != _kinds(now[name])]
            if differing:
                self._warn_of(before, now, differing)
                noted = None
                environment |= here | {"computed_before": [*environment.get("computed_before", []), before]}
        if noted != computing:
            self.write(ENVIRONMENT_FILE, environment | {"computing": computing})

    def _warn_of(self, before: dict[str, Any], now: dict[str, Any], differing: Sequence[str]) -> None:
        then, since = (", ".join(_SHAPING[name].format(kept[name]) for name in differing) for kept in (before, now))
        advice = "; where runs move between machines, name `training.precision` in the recipe"
        warnings.warn(
            f"the run in {str(self.path)!r} was computed {then} so far, and continues {since}, so its student will be "
            f"another than that of one machine{advice if 'precision' in differing else ''}.",
            stacklevel=3,
        )

    def set_state(self, state: str, error: str | None = None, **more: Any) -> None:
        time = datetime.now(UTC).isoformat("T", "seconds")
        self.write("status.json", {"state": state, "error": error, "time": time, **more})

    def append_metrics(self, **entry: Any) -> None:
        if self.writes:
            with disk_errors(self.path), (self.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return []
        return [entry for line in path.read_text().splitlines() if (entry := _entry(line)) is not None]

    def forget_metrics(self) -> None:
        """Deletes the metrics of a run that was killed before its first checkpoint, and now starts again."""
        if self.writes:
            (self.path / "metrics.jsonl").unlink(missing_ok=True)

    def rewind_metrics(self, step: int) -> None:
        """Drops what was logged after `step`, which a resumed run will log again."""
        if not self.writes:
            return
        path = self.path / "metrics.jsonl"
        kept = "".join(json.dumps(entry) + "\n" for entry in self.metrics() if entry["step"] <= step)
        if not path.exists() or path.read_text() != kept:
            atomic_write_text(path, kept)

    def _claim(
        self,
        recipe: dict[str, Any],
        resume: bool,
        may_change: Collection[str],
        renew: Callable[[dict[str, Any]], dict[str, Any]] | None,
        extend: Extend | None,
    ) -> None:
        written = self.path / "recipe.yaml"
        if not self.begun:
            ours = written.exists() and (self.path / "status.json").exists()
            strangers = [] if ours else sorted(self._visible() - {ENVIRONMENT_FILE, "status.json"})
            if strangers:
                raise UserError(
                    f"the folder {str(self.path)!r} holds files that are no run "
                    f"({', '.join(strangers[:3])}); nothing is ever overwritten, choose another --out."
                )
            for left in ("energy.json", INPUTS_FILE):
                (self.path / left).unlink(missing_ok=True)
            sources = taken_from()
            self.write(ENVIRONMENT_FILE, describe_environment() | ({FOUND_IN: sources} if sources else {}))
            self.set_state("running")
            atomic_write_text(written, yaml_text(recipe))
            return
        if not resume:
            raise UserError(
                f"the folder {str(self.path)!r} holds a run already ({self._where()}); it is never overwritten: "
                "add --resume to go on with it, or choose another --out."
            )
        before = self._written()
        changed, carry_out = _changed(before, recipe, renew, may_change), None
        if changed and extend is not None:
            changed, carry_out = extend(self, changed)
        if changed:
            raise UserError(
                f"the run in {str(self.path)!r} was started from another recipe; it differs in "
                f"{'; '.join(map(str, changed[:5]))}. Resume with the same recipe, or choose another --out. "
                f"{overrides_to_repeat(changed)}."
            )
        environment = self.read(ENVIRONMENT_FILE, {})
        if (sources := taken_from()) and not {*sources} <= {*(environment.get(FOUND_IN) or ())}:
            self.write(ENVIRONMENT_FILE, environment | {FOUND_IN: sources})
        (self.path / _TO_BE_EXTENDED).unlink(missing_ok=True)  # of a process that was killed
        if carry_out is not None:
            self._extension = carry_out, recipe
            (self.path / _TO_BE_EXTENDED).touch()
            return
        if before != recipe:
            atomic_write_text(written, yaml_text(recipe))
        if may_change or not self.finished:
            self.set_state("running")

    @property
    def begun(self) -> bool:
        """Whether a run has left more here than its preamble, which the next run may replace."""
        visible = self._visible()
        return visible >= {"recipe.yaml", "status.json"} and visible > _PREAMBLE & visible

    def differences(
        self,
        recipe: dict[str, Any],
        renew: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        may_change: Collection[str] = (),
    ) -> list[Difference]:
        """Where `recipe` differs from the one written here; `renew` and `may_change` as in `open`."""
        return _changed(self._written(), recipe, renew, may_change)

    def _written(self) -> Any:
        """The recipe that is written here."""
        try:
            return yaml.load((self.path / "recipe.yaml").read_text(), _LOADER)
        except yaml.YAMLError as error:
            raise UserError(
                f"{str(self.path / 'recipe.yaml')!r} is damaged ({error}); choose another --out."
            ) from error

    def _visible(self) -> set[str]:
        entries = self.path.iterdir() if self.path.is_dir() else ()
        return {entry.name for entry in entries if not entry.name.startswith(".")}

    def _where(self) -> str:
        state = self.state
        if state == FINISHED:
            return "finished"
        steps = [entry["step"] for entry in self.metrics()]
        return f"{state} at step {max(steps)}" if steps else state

    @contextmanager
    def _noting_how_it_ended(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if self._extension is None:
                self._note_end(error)
            raise
        finally:
            if self._extension is not None:  # the run is what it was
                (self.path / _TO_BE_EXTENDED).unlink(missing_ok=True)

    def _note_end(self, error: BaseException) -> None:
        match error:
            case KeyboardInterrupt():
                self.set_state("interrupted")
            case Paused():
                self.set_state(PAUSED, step=error.step, steps=error.steps, cost=error.cost)
            case ForeignError():
                self.set_state("failed", str(error), traceback=traceback.format_exc())
            case UserError():
                self.set_state("failed", str(error))
            case Exception():
                self.set_state("failed", described(error), traceback=traceback.format_exc())


def wait_until_free(folder: Path, seconds: float = 120) -> None:
    """Waits for a process that has the run in `folder` open, for at most `seconds`."""
    if folder.is_dir():
        lock = FileLock(folder / ".lock")
        with suppress(Timeout):
            lock.acquire(timeout=seconds)
            lock.release()


def _changed(
    written: dict[str, Any],
    recipe: dict[str, Any],
    renew: Callable[[dict[str, Any]], dict[str, Any]] | None,
    may_change: Collection[str],
) -> list[Difference]:
    if written == recipe:
        return []
    before = written if renew is None else renew(written)
    free = {*may_change, *_WATCHING}
    fixed = [{key: value for key, value in content.items() if key not in free} for content in (before, recipe)]
    return _differences(fixed[0], fixed[1])


def _differences(old: Any, new: Any, path: str = "") -> list[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        nested = [_differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key)) for key in keys]
        return [difference for several in nested for difference in several]
    return [] if old == new else [Difference(path, old, new)]


def _kinds(value: Any) -> Any:
    """Of a list of GPUs the distinct names: how many a process may see shapes nothing."""
    return set(value) if isinstance(value, list) else value


def _entry(line: str) -> dict[str, Any] | None:
    """A row of metrics; None for a line that a kill cut short: it is after the checkpoint and will be written again."""
    try:
        return json.loads(line)
    except ValueError:
        return None
