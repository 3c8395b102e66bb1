"""Small problems of trajectory matching: a network, a start and a target, images, and steps in differentiable views."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.models import create
from limbeck.randomness import generator
from limbeck.transfer.condense.flat import FlatNetwork
from limbeck.transfer.condense.matching import GradientKind, Gradients, Step, matching_gradients

CLASSES, SIZE = 4, 8


class Wobble:
    """Views with operations like those of DSA: one a batch, parameters of each image, differentiable."""

    def draw(self, batch: int, *, seed: int, step: int, shared: bool = False) -> tuple[int, Tensor]:
        source = generator(seed, "wobble", step)
        operation = int(torch.randint(3, (), generator=source))
        return operation, torch.rand(1 if shared else batch, generator=source).expand(batch)

    def apply(self, images: Tensor, draw: tuple[int, Tensor]) -> Tensor:
        amount = draw[1].to(images).view(-1, 1, 1, 1)
        if draw[0] == 0:
            gray = images.mean(1, keepdim=True)
            return (images - gray) * 2 * amount + gray + amount - 0.5
        if draw[0] == 1:
            return torch.where(amount < 0.5, images.flip(3), images)
        zoom = torch.eye(2, 3).to(images) * (0.8 + 0.4 * amount.view(-1, 1, 1))
        grid = F.affine_grid(zoom, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)


class Problem(NamedTuple):
    network: FlatNetwork
    start: Tensor
    target: Tensor
    inputs: Tensor
    labels: Tensor
    rate: Tensor
    steps: list[Step]
    views: Wobble | None

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
    """In float64, where two ways to one gradient differ by rounding alone, whatever the network is."""
    network, source = flat_network(**options), torch.Generator().manual_seed(0)
    start = network.vector(network.classifier).to(dtype)
    target = start + 0.05 * torch.randn(network.size, generator=source, dtype=dtype)
    inputs = torch.randn(count, 3, SIZE, SIZE, generator=source, dtype=dtype)
    logits = 2 * torch.randn(count, CLASSES, generator=source, dtype=dtype)
    wobble = Wobble()
    rows = [torch.randperm(count, generator=source)[:batch] for _ in range(steps)]
    taken = [Step(one, wobble.draw(batch, seed=0, step=step)) for step, one in enumerate(rows)]
    rate = torch.tensor(0.05, dtype=dtype)
    labels = logits if soft else logits.argmax(1)
    return Problem(network, start, target, inputs, labels, rate, taken, wobble if views else None)
