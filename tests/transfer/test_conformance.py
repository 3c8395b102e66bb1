"""What every registered part of a criterion, and every criterion, must do; a new one is covered by being registered."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.conftest import natural

from limbeck.models import Classifier
from limbeck.testing import Check, checks_for
from limbeck.testing.makers import OTHERS
from limbeck.testing.parts import brightness
from limbeck.transfer.catalogue import MAKERS
from limbeck.transfer.criteria import CRITERIA
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import batch_size_for, collect, representation

SEEN = [name for name, entry in REPRESENTATIONS.items() if entry.kind != "nothing"]
BY_CHANCE = {"ties are broken by id": "within a stratum chance decides"}
OF_MAKERS: dict[str, dict[str, Any]] = {
    "borrow": {"pools": [OTHERS]},
    "condense": {
        "method": "mtt",
        "iterations": 2,
        "network": {"options": {"width": 4}},
        "experts": {"count": 1, "epochs": 2, "steps_per_snapshot": 1, "learning_rate": 0.1},
        "matching": {"synthetic_steps": 2, "start_to": 1},
    },
    "generate": {"batch_size": 4, "inner_steps": 2, "warmup_rounds": 1, "generator": {"width": 4, "latents": 8}},
}
BUT = {"coverage": BY_CHANCE, "coverage-per-class": BY_CHANCE}


def quick(options: Mapping[str, Any]) -> dict[str, int]:
    """Options with which what is trained is trained quickly, and maps of few images are clustered."""
    return {"epochs": 1} if "epochs" in options else {"clusters": 3} if "clusters" in options else {}


CHECKS = [
    check
    for family, parts in (
        ("representations", {name: REPRESENTATIONS[name].options for name in SEEN}),
        ("scores", {name: entry.options for name, entry in SCORES.items()}),
        ("allocations", {name: entry.options for name, entry in ALLOCATIONS.items()}),
        ("criteria", {name: entry.default_options for name, entry in CRITERIA.items()}),
    )
    for name, options in parts.items()
    for check in checks_for(family, name, quick(options), but=BUT.get(name, {}) if family == "allocations" else {})
] + [check for name in MAKERS.built_in for check in checks_for("makers", name, OF_MAKERS.get(name))]


@pytest.mark.parametrize("check", CHECKS, ids=lambda item: f"{item.family}-{item}")
def test_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("name", SEEN)
def test_representations_know_nothing_of_batches(
    name: str, tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, options = natural(70, channels=1, size=8), quick(REPRESENTATIONS[name].options)
    context = ScoringContext(teacher=teacher, folder=tmp_path / "networks", function=brightness)
    whole = collect(images, representation(name, images, context, options))
    monkeypatch.setattr("limbeck.transfer.scoring.features.PIXELS_PER_BATCH", 64 * 16)
    monkeypatch.setattr("limbeck.transfer.scoring.features.FEWEST_IMAGES", 1)
    assert batch_size_for(images) == 16
    streamed = collect(images, representation(name, images, context, options))
    torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-5)
