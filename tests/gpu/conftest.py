"""These tests run on a GPU. LIMBECK_TEST_DEVICE=cpu runs them on a CPU, except those that only a GPU can pass."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Set before cuBLAS starts: a workspace of fixed size makes it deterministic on any stream.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState
from tests.training.tiny import network, settings, stripes

from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, TrainingResult, fit

Run = Callable[..., TrainingResult]
CPU = torch.device("cpu")


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The first GPU, which this process then trains on; `tests/conftest.py` handles machines without one."""
    chosen_device = torch.device(os.environ.get("LIMBECK_TEST_DEVICE", "cuda:0"))
    with settled_on(chosen_device):
        yield chosen_device


@contextmanager
def settled_on(device: torch.device) -> Iterator[None]:
    """Within this context the process trains on `device`, whatever it trained on before."""
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState(cpu=device.type == "cpu")
    try:
        yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deterministic kernels that compute in full float32."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def teach(device: torch.device, tmp_path: Path) -> Run:
    """Call `fit` on the tiny problem on the device; each argument can be replaced."""

    def run(folder: str = "run", *, resume: bool = False, **changes: Any) -> TrainingResult:
        arguments: dict[str, Any] = {
            "student": network(),
            "source": stripes(40),
            "objective": weighted_sum({"cross_entropy": 0.1, "kd": 0.9}),
            "settings": settings(precision="fp32"),
            "seed": 0,
            "teacher": network(9),
            "validation": stripes(20, seed=1),
        }
        with RunFolder.open(tmp_path / folder, {"name": "tiny"}, resume=resume) as run_folder:
            return fit(run_folder=run_folder, **{**arguments, **changes})

    return run


@contextmanager
def no_waits(device: torch.device) -> Iterator[None]:
    """Within this context, whatever makes the host wait for the GPU raises an error."""
    arm(device)
    try:
        yield
    finally:
        disarm(device)


def arm(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.set_sync_debug_mode("error")


def disarm(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")
