"""Fixtures of the tiny problem."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.training.tiny import network, settings, stripes

from limbeck.data.image_set import ImageSet
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, TrainingResult, fit


@pytest.fixture
def images() -> ImageSet:
    return stripes(40)


@pytest.fixture
def validation() -> ImageSet:
    return stripes(20, seed=1)


Run = Callable[..., TrainingResult]


@pytest.fixture
def teach(images: ImageSet, validation: ImageSet, tmp_path: Path) -> Run:
    """`fit` on the tiny problem, with a teacher; each argument can be replaced."""

    def run(folder: str = "run", *, resume: bool = False, **changes: Any) -> TrainingResult:
        arguments: dict[str, Any] = {
            "student": network(),
            "source": images,
            "objective": weighted_sum({"cross_entropy": 0.1, "kd": 0.9}),
            "settings": settings(),
            "seed": 0,
            "teacher": network(9),
            "validation": validation,
        }
        with RunFolder.open(tmp_path / folder, {"name": "tiny"}, resume=resume) as run_folder:
            return fit(run_folder=run_folder, **{**arguments, **changes})

    return run
