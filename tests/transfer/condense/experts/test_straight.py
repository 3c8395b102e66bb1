"""Condensing on experts as straight lines: two snapshots of each are kept, and those between lie on the line."""

from pathlib import Path

import pytest
import torch
from tests.training.tiny import stripes

import limbeck as lb
from limbeck.transfer.condense.experts import ExpertStore, StraightStore

SETTINGS = {
    "method": "mtt",
    "iterations": 2,
    "network": {"options": {"width": 4}},
    "matching": {"synthetic_steps": 2, "start_to": 3, "straight": True, "rate_rate": 1e-6},
    "use": {"epochs": 1},
}


def test_two_snapshots_of_each_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, stores = stripes(40), []
    begin = StraightStore.__init__

    def noting(straight: StraightStore, store: ExpertStore) -> None:
        stores.append(straight)
        begin(straight, store)

    monkeypatch.setattr(StraightStore, "__init__", noting)
    experts = {"count": 2, "epochs": 5, "learning_rate": 0.1, "batch_size": 8}
    store = lb.experts(images, out=tmp_path, **SETTINGS, experts=experts)
    assert store.kept == (0, 5)
    condensed = lb.condense(images, budget="1/class", experts={"folder": str(tmp_path), "epochs": 5}, **SETTINGS)
    assert len(condensed) == 2
    (straight,) = stores
    assert isinstance(straight.store, ExpertStore)
    first, last = straight.store.theta(1, 0), straight.store.theta(1, 5)
    assert torch.allclose(straight.theta(1, 3), first + (last - first) * 3 / 5, atol=1e-6)
