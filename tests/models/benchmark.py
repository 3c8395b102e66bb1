"""The networks of the CIFAR distillation benchmarks, as published: names of their weights, and their outputs.

`golden/benchmark_networks.npz` was made by running the 22 networks of HobbitLong/RepDistiller (commit b84f547) in
float64, as deep networks at such weights round differently on every processor, at the weights of `tiled_weights`: names
and shapes of the state dict, logits, and of every feature, and of every feature before its activation but the first and
the last, the values of `sample`.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.models import Classifier, create, load_state

FOLDER = Path(__file__).parents[1] / "golden"
NETWORKS = FOLDER / "benchmark_networks.npz"
EVERYTHING = ("logits", "embedding", "stages", "pre_activations", "last_map")
SAMPLED = 64


def as_weights(name: str, values: np.ndarray) -> Tensor:
    """Scales standard normal numbers to weights of a sensible size."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if name.endswith("running_var"):
        values = 0.2 * np.abs(values) + 0.8
    elif values.ndim == 1:
        values = 1 + 0.1 * values if name.endswith("weight") else 0.1 * values
    else:
        values = values.astype(np.float64) * np.sqrt(2 / np.prod(values.shape[1:]))  # float64, in NumPy 1 too
    return torch.from_numpy(values.astype(np.float32))


def drawn_weights(names: Sequence[str], shapes: Sequence[Sequence[int]], seed: int) -> dict[str, Tensor]:
    """Weights drawn in the order of their names."""
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = {
        name: generator.standard_normal(tuple(shape)).astype(np.float32)
        for name, shape in zip(names, shapes, strict=True)
    }
    return {name: as_weights(name, values) for name, values in drawn.items()}


def tiled_weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Weights that are quick to make: 4099 numbers repeated, each tensor starting at another one."""
    numbers = np.random.Generator(np.random.PCG64(7)).standard_normal(4099).astype(np.float32)
    return {
        name: as_weights(name, np.resize(np.roll(numbers, 131 * index), tuple(shape)))
        for index, (name, shape) in enumerate(shapes.items())
    }


def sample(feature: Tensor) -> Tensor:
    """`SAMPLED` values of a tensor, evenly spaced."""
    values = feature.flatten()
    return values[torch.linspace(0, len(values) - 1, SAMPLED, dtype=torch.float64).long()]


@cache
def facts(name: str) -> dict[str, np.ndarray]:
    """The recorded values of one network."""
    with np.load(NETWORKS) as file:
        return {key.split(".")[1]: file[key] for key in file if key.split(".")[0] == name}


def shapes(name: str) -> dict[str, list[int]]:
    """The benchmark's names of a network's tensors, and their shapes."""
    lines = (line.split(" ") for line in str(facts(name)["names"]).split("\n"))
    return {key: [int(side) for side in sides.split(",") if side] for key, sides in lines}


def images() -> Tensor:
    """Two images in [0, 1]."""
    return torch.from_numpy(np.random.Generator(np.random.PCG64(0)).random((2, 3, 32, 32), dtype=np.float32))


def loaded(name: str, state: Mapping[str, Tensor]) -> Classifier:
    """The network for 100 classes with a benchmark's weights; it does not normalise images."""
    classifier = create(name, num_classes=100, mean=(0, 0, 0), std=(1, 1, 1)).eval()
    load_state(classifier, state)
    return classifier
