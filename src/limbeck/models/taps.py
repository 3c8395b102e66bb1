"""What one forward pass yields, and where in a network it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

# `Identity` marks the end of a linear bottleneck, where the stage and its pre-activation are one.
ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.Identity,
)


class Outputs(NamedTuple):
    """What one forward pass of a network yields; a part that was not asked for is `None` or empty.

    Attributes:
        logits: `[B, K]`.
        embedding: `[B, D]`, input of the classifier head.
        stages: maps `[B, C, H, W]` after the activation, shallow to deep.
        pre_activations: the same maps before the activation.
    """

    logits: Tensor
    embedding: Tensor | None = None
    stages: tuple[Tensor, ...] = ()
    pre_activations: tuple[Tensor, ...] = ()

    def map(self, change: Callable[[Tensor], Tensor]) -> "Outputs":
        """The same with every tensor changed."""
        return Outputs(
            change(self.logits),
            None if self.embedding is None else change(self.embedding),
            tuple(change(stage) for stage in self.stages),
            tuple(change(one) for one in self.pre_activations),
        )


@dataclass(frozen=True)
class Taps:
    """Where a network is read.

    Args:
        embedding: path of the classifier head, whose input is the embedding.
        stages: paths of modules whose output is a stage, shallow to deep. Where the module is an activation, its
            input is the stage's pre-activation.
        layout: how stages lie in memory: `maps` for `[B, C, H, W]`, `maps_last` for `[B, H, W, C]`, `tokens` for
            `[B, N, D]`; all are handed out as `[B, C, H, W]`.
        prefix_tokens: how many class and register tokens lead a `tokens` stage.
        grid: rows and columns of the remaining tokens.

    Example:
        >>> Taps(embedding="fc", stages=("relu", "layer1", "layer2"))
    """

    embedding: str | None = None
    stages: tuple[str, ...] = ()
    layout: str = "maps"
    prefix_tokens: int = 0
    grid: tuple[int, int] | None = None

    def as_map(self, stage: Tensor) -> Tensor:
        """A stage as `[B, C, H, W]`."""
        if self.layout == "maps_last":
            return stage.permute(0, 3, 1, 2)
        if self.layout == "tokens":
            assert self.grid is not None
            tokens = stage[:, self.prefix_tokens :]
            return tokens.transpose(1, 2).unflatten(2, self.grid)
        return stage


class Tapped(nn.Module):
    """A network of the zoo: it says itself where it is read."""

    taps: Taps
