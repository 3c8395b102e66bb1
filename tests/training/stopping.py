"""Runs that are stopped midway."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from limbeck.training import RunFolder


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests a stop once a step's losses are written; the run stops after the next step."""
    original = RunFolder.append_metrics

    def append(run_folder: RunFolder, **entry: Any) -> None:
        original(run_folder, **entry)
        if entry["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunFolder, "append_metrics", append)


def wait_for_step(folder: Path, step: int) -> None:
    """Waits until a run in another process has logged a step and saved a checkpoint."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        steps = [entry["step"] for entry in RunFolder(folder).metrics()]
        if steps and max(steps) >= step and (folder / "checkpoint.safetensors").exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"no step {step} within a minute")
