"""`limbeck ls runs`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from limbeck.cli.display import console, percent, show_table


def list_runs() -> None:
    """Runs and comparisons in this folder and below runs/, those inside a comparison left out."""
    candidates = [status.parent for pattern in _RUNS for status in sorted(Path().glob(pattern))]
    folders = [folder for folder in candidates if not any((above / "status.json").exists() for above in folder.parents)]
    if folders:
        show_table("runs here and below runs/", ["folder", "", "state", "top-1 %", "since"], [*map(_run, folders)])
    else:
        console.print("no runs here or below runs/ yet; `limbeck demo` makes the first in a few minutes")


_RUNS = ("*/status.json", "runs/*/status.json", "runs/*/*/status.json")


def _run(folder: Path) -> list[str]:
    status = _read(folder / "status.json")
    state = str(status.get("state", "unreadable"))
    if state == "running" and not _in_use(folder):
        state = "killed, --resume goes on"
    elif state == "interrupted":
        state = "interrupted, --resume goes on"
    evaluation = _read(folder / "evaluation.json").get("last") or {}
    runs = len([*folder.glob("runs/*/*/evaluation.json")])
    statuses = [*filter(_is_run, folder.glob("runs/*/seed-*/status.json"))]
    failed = sum(_read(path).get("state") == "failed" for path in statuses)
    kind = f"comparison, {runs} runs" if runs or failed else "run"
    kind += f", {failed} failed" if failed else ""
    return [str(folder), kind, state, percent(evaluation.get("top1")), _local_time(status.get("time"))]


def _is_run(status: Path) -> bool:
    """Not so for a run put aside when its recipe was mended, as "seed-0-failed-1"."""
    return status.parent.name.removeprefix("seed-").isdecimal()


def _local_time(stamp: Any) -> str:
    try:
        return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M}"
    except (TypeError, ValueError):
        return ""


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none to read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _in_use(folder: Path) -> bool:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False
