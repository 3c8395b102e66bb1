"""Condensing a few small images: quick settings, and the images and contexts that they run on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from limbeck.data.image_set import ImageSet
from limbeck.progress import Silent
from limbeck.testing.images import natural
from limbeck.transfer.condense import Settings
from limbeck.transfer.maker import MakerContext

SMALL: Mapping[str, Any] = {
    "budget": "1/class",
    "network": {"options": {"width": 4}},
    "experts": {
        "count": 1,
        "epochs": 2,
        "steps_per_snapshot": 1,
        "batch_size": 8,
        "learning_rate": 0.1,
        "sharpness": None,
        "curriculum": None,
        "views": None,
    },
    "matching": {"synthetic_steps": 2, "start_to": 1, "grow_to": None, "grow_until": None, "skip_above": None},
    "iterations": 3,
    "views": None,
    "use": {"epochs": 2, "views": None},
    "evaluate_every": 2,
}


def small(**said: Any) -> Settings:
    """`SMALL` with other values; mappings in it are merged."""
    merged = {
        name: {**value, **said.get(name, {})} if isinstance(value, dict) else value for name, value in SMALL.items()
    }
    rest = {name: value for name, value in said.items() if not isinstance(SMALL.get(name), dict)}
    return Settings.model_validate({**merged, **rest})


def pool(classes: int = 3, each: int = 10, channels: int = 1, size: int = 8) -> ImageSet:
    """Images of classes that differ in colour."""
    images = natural(classes * each, channels=channels, size=size).tensor()
    labels = torch.arange(classes * each) % classes
    shifted = (images // 2 + (labels * 100 // classes)[:, None, None, None]).to(torch.uint8)
    return ImageSet(shifted, labels, classes=[f"class {label}" for label in range(classes)], name="coloured")


def context(folder: Path, images: ImageSet | None = None, **said: Any) -> MakerContext:
    images = images or pool()
    return MakerContext(folder=folder, pool=images, classes=images.classes, shape=images.shape, **said)


class Heard(Silent):
    """The messages of a run."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)
