"""Small problems of distribution matching: images of noise, random experts, and engines for them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

import limbeck as lb
from limbeck.data.image_set import ImageSet
from limbeck.randomness import generator
from limbeck.transfer.condense.distribution import DistributionEngine
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet

CLASSES, SIZE = 3, 8
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def fresh(seed: int) -> lb.Classifier:
    common: dict[str, Any] = {"num_classes": CLASSES, "input_size": SIZE, "mean": MEAN, "std": STD}
    return lb.create("convnet_d3", seed=seed, width=4, **common).eval()


class Experts:
    """Three experts of four random snapshots each."""

    count = 3
    kept = (0, 1, 2, 3)

    def theta(self, expert: int, snapshot: int) -> Tensor:
        assert snapshot in self.kept
        return _vector(100 * expert + snapshot)


NETWORK = FlatNetwork(fresh(0))


@cache
def _vector(seed: int) -> Tensor:
    return NETWORK.vector(fresh(seed))


def pool() -> ImageSet:
    pixels = torch.randint(0, 256, (30, 3, SIZE, SIZE), generator=generator(0, "pool"), dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(30) % CLASSES, ids=torch.arange(30) + 7)


def start(per_class: int = 2, **options: Any) -> SyntheticSet:
    labels = torch.arange(CLASSES).repeat_interleave(per_class)
    inputs = torch.randn(len(labels), 3, SIZE, SIZE, generator=generator(1, "start")) / 2
    return SyntheticSet(inputs, labels, 0.01, **options)


def recipe(method: str, distribution: Mapping[str, Any] | None = None, **more: Any) -> CondenseSettings:
    small = {"real_batch": 4, "frequencies": 8, **(distribution or {})}
    values = {"budget": "2/class", "method": method, "iterations": 4, "distribution": small, **more}
    return CondenseSettings.model_validate(values)


def engine(
    settings: CondenseSettings, pool: ImageSet, synthetic: SyntheticSet | None = None, **more: Any
) -> DistributionEngine:
    synthetic = start() if synthetic is None else synthetic
    options = {"fresh": fresh, "seed": 5, **more}
    network, store = options.pop("network", NETWORK), options.pop("store", Experts())
    return DistributionEngine(settings, network, store, synthetic, pool, **options)
