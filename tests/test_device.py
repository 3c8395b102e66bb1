import subprocess
import sys

import pytest
import torch
from accelerate.state import PartialState

from limbeck.device import default_device, resolve_device
from limbeck.errors import UserError


@pytest.fixture
def unsettled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not trained yet, on a machine with two GPUs."""
    monkeypatch.setattr(PartialState, "_shared_state", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.mark.usefixtures("unsettled")
def test_the_first_gpu_is_the_default() -> None:
    assert default_device() == torch.device("cuda", 0)
    assert resolve_device() == resolve_device(None) == resolve_device("auto") == torch.device("cuda", 0)
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cuda", 1)) == torch.device("cuda", 1)


@pytest.mark.usefixtures("unsettled")
def test_what_the_process_trains_on_goes_first() -> None:
    PartialState(cpu=True)
    assert default_device() == torch.device("cpu")


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartialState, "_shared_state", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == torch.device("cpu")
    with pytest.raises(UserError, match="`device` is 'cuda:1', and torch finds no GPU here; give 'cpu' or 'auto'"):
        resolve_device("cuda:1")


def test_no_device() -> None:
    with pytest.raises(UserError, match=r"`device` must be 'auto' or one of torch's devices, .*, got 'gpu'"):
        resolve_device("gpu")


def test_asking_settles_nothing() -> None:
    code = "import sys, limbeck.device as device; device.default_device(); sys.exit('accelerate' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.gpu
def test_a_real_gpu_is_found() -> None:
    assert default_device().type == "cuda"
