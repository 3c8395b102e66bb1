"""Whether the loss of experts falls over the snapshots that are read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.condense.small import Heard, context, pool, small

from limbeck.transfer.condense import Maker
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.experts.falling import loss_that_does_not_fall, where_not_falling
from limbeck.transfer.condense.network import FreshNetworks

pytestmark = pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")


def noisy(means: list[float], each: int = 25, noise: float = 0.03, seed: int = 0) -> list[list[float]]:
    """Losses noted between snapshots, with the noise of batches."""
    source = torch.Generator().manual_seed(seed)
    return [(mean + noise * torch.randn(each, generator=source).double()).tolist() for mean in means]


CIFAR10 = [2.0707, 1.834, 1.6973, 1.6107]
"""Measured on ten experts of `cifar10-condense`; `IMAGENETTE` on five of `imagenette-condense`."""
IMAGENETTE = [2.0631, 1.7575, 1.5621, 1.4369]
SLOW = [1.0 * 0.995**place for place in range(60)]


@pytest.mark.parametrize("means", [CIFAR10, IMAGENETTE, SLOW])
def test_noise_of_packaged_recipes_is_none(means: list[float]) -> None:
    for seed in range(50):
        assert where_not_falling(noisy(means, seed=seed)) == []


@pytest.mark.parametrize(
    ("means", "places"),
    [
        ([2.0, 1.5, 1.9, 1.4], [2]),
        ([2.0, 1.5, 1.9, 2.5], [2, 3]),
        ([2.0, 1.5, 1.505, 1.4], []),  # within a hundredth
        ([2.0, 1.5, 1.2, 1.2, 1.21, 1.21, 1.215, 1.22], [7]),  # stands still, at no place by much
        ([2.0, 1.5, 1.2, 1.21], []),  # too few to say that it stands still
    ],
)
def test_where_it_rises_or_stands_still(means: list[float], places: list[int]) -> None:
    assert where_not_falling(noisy(means, noise=1e-4)) == places


def test_what_was_noted_once_or_never_tells_nothing() -> None:
    assert where_not_falling([[2.0], [3.0], []]) == []
    assert where_not_falling([[2.0, 2.0], [], [3.0, 3.0]]) == [2]


def experts(folder: Path, **said: Any) -> ExpertStore:
    settings = small(method="mtt", experts={"steps_per_snapshot": 2, "epochs": 3, **said})
    make_experts(settings.experts, FreshNetworks.of(settings.network, pool()), pool(), folder, snapshots=4)
    for metrics in folder.glob("expert-*/metrics.jsonl"):
        losses = iter([2.0, 2.0, 1.0, 1.0, 1.5, 1.5])
        lines = [{"kind": "train", "step": step, "loss": loss} for step, loss in enumerate(losses, 1)]
        metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ExpertStore.open(folder)


def test_condensing_says_it_once_and_so_does_its_page(tmp_path: Path) -> None:
    store, heard = experts(tmp_path / "experts"), Heard()
    assert store.mean_losses() == [2.0, 1.0, 1.5]
    values: dict[str, Any] = {"iterations": 1, "experts": {"folder": str(store.folder), "steps_per_snapshot": 2}}
    text = "he training loss of the experts does not fall over all snapshots that are read: it is 1.5 between 2 and 3, "
    text += "and was 1 between 1 and 2; lower `matching.start_to` and `grow_to`, or teach experts at another `learn"
    made = Maker().make(small(**values, matching={"start_to": 2}), context(tmp_path / "made", progress=heard))
    assert sum(line.startswith("t" + text) for line in heard.said) == 1
    assert sum(line.startswith("T" + text) for line in made.evidence.findings) == 1
    fewer = Maker().make(small(**values, matching={"expert_epochs": 1, "start_to": 2}), context(tmp_path / "fewer"))
    assert not any(text in line for line in fewer.evidence.findings), "what is not read may rise"


def test_of_a_curriculum_nothing_is_said(tmp_path: Path) -> None:
    store = experts(tmp_path / "experts")
    assert loss_that_does_not_fall(store) is not None
    settings = {**store.about["settings"], "curriculum": {"score": "grand"}}
    assert loss_that_does_not_fall(ExpertStore(store.folder, {**store.about, "settings": settings})) is None
