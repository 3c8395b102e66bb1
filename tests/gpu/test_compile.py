"""Networks compiled or replayed as CUDA graphs train as plain ones do, and resume bit for bit."""

import shutil
from typing import Any

import pytest
import torch
from tests.gpu.conftest import Run
from tests.training.stopping import stop_at
from tests.training.tiny import same, settings, weights

from limbeck.training import Interrupted

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler (Debian: g++)"),
    pytest.mark.filterwarnings("ignore"),  # the compiler warns of its own use of deprecated parts of torch
]


@pytest.mark.parametrize("how", [True, "graphs"])
def test_compiled_runs(teach: Run, monkeypatch: pytest.MonkeyPatch, device: torch.device, how: Any) -> None:
    plain = teach("plain", settings=settings(steps=6, precision="fp32", validations=1))
    changed = settings(steps=6, precision="fp32", compile=how, validations=1, checkpoint_seconds=1000)
    whole = teach("whole", settings=changed)
    for name, value in plain.student.state_dict().items():
        torch.testing.assert_close(whole.student.state_dict()[name], value, rtol=1e-2, atol=1e-3)
    with monkeypatch.context() as until:
        stop_at(3, until)
        with pytest.raises(Interrupted):
            teach("run", settings=changed)
    resumed = teach("run", resume=True, settings=changed)
    assert same(weights(resumed.student), weights(whole.student))
