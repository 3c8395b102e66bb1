"""The outputs of a forward pass, and where in a network they are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

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
    """The outputs of one forward pass of a network; a part that was not asked for is `None` or empty.

    Attributes:
        logits: `[B, K]`.
        embedding: `[B, D]`, input of the classifier head.
        stages: maps `[B, C, H, W]`, shallow to deep: after the activation, except where the benchmarks that a network
            comes from read it elsewhere, as the sums that end the layers of a Wide ResNet.
        pre_activations: what goes into the activations of the stages, or into those that follow them.
        last_map: the deepest stage after its activation; `stages[-1]` wherever that is read there.

    Example:
        >>> Outputs(torch.zeros(2, 10)).map(lambda one: one[:1]).logits.shape
        torch.Size([1, 10])
    """

    logits: Tensor
    embedding: Tensor | None = None
    stages: tuple[Tensor, ...] = ()
    pre_activations: tuple[Tensor, ...] = ()
    last_map: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Outputs":
        """The same with `change` applied to every tensor."""
        return Outputs(
            change(self.logits),
            None if self.embedding is None else change(self.embedding),
            tuple(change(stage) for stage in self.stages),
            tuple(change(activation) for activation in self.pre_activations),
            None if self.last_map is None else change(self.last_map),
        )


@dataclass(frozen=True)
class Taps:
    """Where a network is read.

    Args:
        embedding: path of the classifier head, whose input is the embedding.
        stages: paths of modules whose output is a stage, shallow to deep. Where the module is an activation, its
            input is the stage's pre-activation, unless `activations` says otherwise.
        layout: how stages lie in memory: `maps` for `[B, C, H, W]`, `maps_last` for `[B, H, W, C]`, `tokens` for
            `[B, N, D]`; all are handed out as `[B, C, H, W]`.
        prefix_tokens: how many class and register tokens lead a `tokens` stage.
        grid: rows and columns of the remaining tokens.
        activations: paths of the modules whose input is a pre-activation, where stages are not read at their output.
        last_map: path of the module whose output is the deepest stage after its activation, where that is another one.

    Example:
        >>> Taps(embedding="fc", stages=("relu", "layer1", "layer2")).layout
        'maps'
    """

    embedding: str | None = None
    stages: tuple[str, ...] = ()
    layout: str = "maps"
    prefix_tokens: int = 0
    grid: tuple[int, int] | None = None
    activations: tuple[str, ...] = ()
    last_map: str | None = None

    def pre_activated(self) -> tuple[str, ...]:
        """Paths of the modules whose input is a pre-activation."""
        return self.activations or self.stages

    def deepest(self) -> str:
        """Path of the module whose output is the deepest stage after its activation; there must be stages."""
        return self.last_map or self.stages[-1]

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
    """A network of the zoo, which defines its own taps.

    Attributes:
        benchmark_names: how the CIFAR benchmarks name modules in their checkpoints, where other than here: pairs of a
            regular expression for a name of theirs and its replacement.
    """

    taps: Taps
    benchmark_names: ClassVar[Sequence[tuple[str, str]]] = ()
