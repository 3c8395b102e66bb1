"""The compiled loop trains as the plain one does."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.tiny import settings, weights

from limbeck.models import load, save

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler (Debian: g++)"),
    # The compiler warns of its own use of deprecated parts of torch.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize(
    ("how", "more"),
    [(True, {}), ("graphs", {"normalised_views": "dsa", "learning_rate": 0.01}), (True, {"sharpness": {"rho": 0.3}})],
)
def test_compiled_run_equals_plain_run_and_its_student_is_saved(
    teach: Run, tmp_path: Path, how: Any, more: dict[str, Any]
) -> None:
    plain = teach("plain", settings=settings(precision="fp32", **more))
    compiled = teach("compiled", settings=settings(precision="fp32", compile=how, **more))
    for name, value in plain.student.state_dict().items():
        torch.testing.assert_close(compiled.student.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    save(compiled.student, tmp_path / "student")
    assert weights(load(tmp_path / "student")).keys() == weights(plain.student).keys()
