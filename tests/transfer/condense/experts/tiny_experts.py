"""Experts of a tiny problem, made in a fraction of a second."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tests.training.tiny import stripes
from torch import Tensor

from limbeck.transfer.condense.expert_settings import Experts
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.network import FreshNetworks

IMAGES = stripes(40)
NETWORKS = FreshNetworks("convnet_d3", IMAGES, {"width": 4})


def settings(**changes: Any) -> Experts:
    """Settings with five steps per epoch."""
    quick = {"count": 1, "epochs": 3, "views": None, "learning_rate": 0.1, "batch_size": 8, "judges": 1}
    return Experts(**{**quick, **changes})


def make(folder: Path, snapshots: Any = 3, **changes: Any) -> ExpertStore:
    options = {name: changes.pop(name) for name in ("seed", "workers", "progress") if name in changes}
    images, networks = changes.pop("images", IMAGES), changes.pop("networks", NETWORKS)
    make_experts(settings(**changes), networks, images, folder, snapshots=snapshots, **options)
    return ExpertStore.open(folder)


@cache
def whole(form: str) -> ExpertStore:
    """Two experts of six snapshots, two judges of five epochs: other stores hold a part of these. Not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="experts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make(folder / "whole", snapshots=6, count=2, judges=2, epochs=5, format=form)


def all_of(store: ExpertStore) -> Tensor:
    """[experts, snapshots, P]."""
    rows = [torch.stack([store.theta(expert, number) for number in store.kept]) for expert in range(store.count)]
    return torch.stack(rows)
