"""Tiny networks and settings, on which every method takes milliseconds."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.models.classifier import Classifier
from limbeck.models.taps import Taps
from limbeck.randomness import own_randomness
from limbeck.transfer.generate.methods import METHODS
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.synthesis import Synthesiser

CLASSES, BATCH, STEPS = 3, 6, 3

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "reptile": {"method": "fast-meta", "meta": "reptile"},
    "last": {"method": "fast-meta", "meta": "last", "keep": "last"},
    "noisy": {"method": "fast-meta", "generator": {"noisy": True}, "labels": "even"},
    "conditional": {"method": "zskt", "generator": {"conditional": True}},
    "average": {"method": "dfad", "generator": {"average": 0.5}},
    "average-of-kept": {"method": "fast", "generator": {"average": 0.5}, "keep": "best-batch"},
    "renewed": {"method": "fast-meta", "generator": {"renew": 1, "renew_once": None}},
    "renewed-once": {"method": "bsr", "generator": {"renew_once": 2, "gain_near_zero": True}, "floor": True},
    "inexact": {"method": "fast", "exact": False},
    "maps": {"method": "fast", "generator": {"network": "large"}},
    "boxes": {"method": "fast", "views": ["pad-crop", "resized-crop"]},
}
"""Name -> settings that no method's published values cover."""
EVERY = [*METHODS, *OPTIONS]


def settings_of(name: str, **changes: Any) -> GenerateSettings:
    """The settings of a method or of `OPTIONS`, as small as can be."""
    values = dict(OPTIONS.get(name, {"method": name}))
    small = {} if values["method"] == "deep-inversion" else {"width": 2, "latents": 4}
    values["generator"] = small | dict(values.get("generator", {}))
    published = METHODS[values["method"]].values
    values.setdefault("views", {"pad-crop-flip": {"padding": 1}})
    values["fresh"] = min(published.get("fresh", 0), 2)
    return GenerateSettings(**{"budget": 100, "batch_size": BATCH, "inner_steps": STEPS, **values, **changes})


def network(seed: int, channels: int = 1, width: int = 4) -> Classifier:
    """Two convolutions with batch norms that remember something, in evaluation mode."""
    with own_randomness(seed, "toy"):
        body = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, CLASSES),
        )
        for layer in body.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None:
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2)
        body[8].weight.data.mul_(5)  # pyright: ignore
    mean, std = [0.4, 0.5, 0.6][:channels], [0.2, 0.3, 0.4][:channels]
    return Classifier(
        body, num_classes=CLASSES, channels=channels, mean=mean, std=std, taps=Taps("8", ("2", "5"))
    ).eval()


def synthesiser(
    settings: GenerateSettings, teacher: Classifier, *, shape: tuple[int, int, int] = (1, 8, 8), **changes: Any
) -> Synthesiser:
    options = {"num_classes": CLASSES, "seed": 0, "device": "cpu", "precision": "fp32"}
    return Synthesiser(settings, teacher, shape=shape, **{**options, **changes})


def labels_of(settings: GenerateSettings, call: int = 0) -> Tensor | None:
    return None if settings.labels == "argmax" else (torch.arange(BATCH) + call) % CLASSES
