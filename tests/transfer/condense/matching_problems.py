"""Small problems of trajectory matching: a network, experts' snapshots, images, and steps in differentiable views."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck.data.normalised_views import NormalisedViews, normalised_views
from limbeck.models import create
from limbeck.transfer.condense.engine import MatchingEngine
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.matching import GradientKind, Gradients, Step, matching_gradients
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet

CLASSES, SIZE = 4, 8


class Problem(NamedTuple):
    network: FlatNetwork
    start: Tensor
    target: Tensor
    inputs: Tensor
    labels: Tensor
    rate: Tensor
    steps: list[Step]
    views: NormalisedViews | None

    def solve(self, gradient: GradientKind = "exact", **options: Any) -> Gradients:
        options = {"steps": self.steps, "views": self.views, "gradient": gradient, **options}
        return matching_gradients(self.network, self.start, self.target, self.inputs, self.labels, self.rate, **options)


def flat_network(width: int = 4, **options: Any) -> FlatNetwork:
    return FlatNetwork(create("convnet_d3", num_classes=CLASSES, input_size=SIZE, width=width, **options))


def problem(
    *,
    steps: int = 5,
    count: int = 6,
    batch: int = 4,
    soft: bool = True,
    views: bool = True,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> Problem:
    """In float64, where two ways to compute a gradient differ by rounding alone, whatever the network is."""
    network, source = flat_network(**options), torch.Generator().manual_seed(0)
    start = network.vector(network.classifier).to(dtype)
    target = start + 0.05 * torch.randn(network.size, generator=source, dtype=dtype)
    inputs = torch.randn(count, 3, SIZE, SIZE, generator=source, dtype=dtype)
    logits = 2 * torch.randn(count, CLASSES, generator=source, dtype=dtype)
    dsa = normalised_views("dsa")
    batches = [torch.randperm(count, generator=source)[:batch] for _ in range(steps)]
    taken = [Step(rows, dsa.draw(batch, seed=0, step=step)) for step, rows in enumerate(batches)]
    rate = torch.tensor(0.05, dtype=dtype)
    labels = logits if soft else logits.argmax(1)
    return Problem(network, start, target, inputs, labels, rate, taken, dsa if views else None)


class Store:
    """Experts that move away from a network's weights, further with every snapshot."""

    def __init__(self, network: FlatNetwork, count: int = 3, snapshots: int = 6) -> None:
        self.count, self.snapshots = count, snapshots
        self._begin = network.vector(network.classifier)

    def theta(self, expert: int, snapshot: int) -> Tensor:
        source = torch.Generator().manual_seed(expert)
        direction = torch.randn(self._begin.shape, generator=source)
        return self._begin + 0.02 * snapshot * direction


class Mask:
    """Factors of all pixels, computed from the images every second iteration and kept in between."""

    def __init__(self) -> None:
        self.maps: Tensor | None = None
        self.asked: list[tuple[int, Tensor]] = []

    def due(self, iteration: int) -> bool:
        return self.maps is None or iteration % 2 == 0

    def __call__(self, images: Tensor, classes: Tensor, iteration: int) -> Tensor:
        self.asked.append((iteration, classes.clone()))
        if self.maps is None or self.due(iteration):
            self.maps = images.mean(1, keepdim=True).clamp(0, 1)
        return 1 + self.maps

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.maps is None else {"maps": self.maps}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.maps = state["maps"].clone() if "maps" in state else None


def settings_for(method: str = "mtt", iterations: int = 6, **values: Any) -> CondenseSettings:
    """A method's settings, with few steps and epochs; `matching` adds to these."""
    small = {"synthetic_steps": 3, "expert_epochs": 2, "start_to": 2, "grow_to": None, "grow_until": None}
    matching = {**small, "image_rate": 0.5, "skip_above": None, **values.pop("matching", {})}
    values = {"budget": "2/class", "method": method, "iterations": iterations, "mask": None, **values}
    return CondenseSettings.model_validate({**values, "matching": matching})


def synthetic_set(*, soft: bool = False, per_class: int = 2, rate: float = 0.05) -> SyntheticSet:
    source = torch.Generator().manual_seed(7)
    classes = torch.arange(CLASSES).repeat_interleave(per_class)
    inputs = torch.randn(len(classes), 3, SIZE, SIZE, generator=source)
    logits = torch.randn(len(classes), CLASSES, generator=source) + 3 * torch.eye(CLASSES)[classes]
    return SyntheticSet(inputs, logits if soft else classes, rate)


def engine_for(
    settings: CondenseSettings,
    synthetic: SyntheticSet | None = None,
    *,
    seed: int = 0,
    mask: Mask | None = None,
    device: torch.device | None = None,
) -> MatchingEngine:
    network = flat_network()
    synthetic = synthetic_set(soft=settings.labels == "soft") if synthetic is None else synthetic
    device = device or torch.device("cpu")
    return MatchingEngine(settings, network, Store(network), synthetic, mask=mask, seed=seed, device=device)
