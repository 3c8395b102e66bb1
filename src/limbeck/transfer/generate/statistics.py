"""Statistics of a batch in front of every batch norm, or where exported ones were taken; their memory over batches."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from limbeck.errors import UserError
from limbeck.models import Classifier, Taps
from limbeck.models.recorder import uncompiled
from limbeck.transfer.generate.losses import Moments

if TYPE_CHECKING:
    from limbeck.transfer.generate.feature_statistics import FeatureStatistics


class Place(NamedTuple):
    """Where features are read: what goes into a module, or what comes out of it as a stage of the network."""

    path: str
    side: Literal["input", "stage"]

    @property
    def name(self) -> str:
        """The module's path; "input" where that is the whole network."""
        return self.path or "input"


def batch_norms(network: nn.Module) -> dict[str, nn.Module]:
    """Layers that normalise by remembered statistics, by their path, in the order in which they are registered.

    Any module with `running_mean` and `running_var` is one, frozen ones and those of other packages among them; not
    instance norms, which remember statistics of single images.

    Example:
        >>> list(batch_norms(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))))
        ['1']
    """
    return {path: module for path, module in network.named_modules() if _remembers(module)}


def _remembers(module: nn.Module) -> bool:
    """Whether it holds a mean and a variance for each channel."""
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return False
    kept = (getattr(module, "running_mean", None), getattr(module, "running_var", None))
    return all(isinstance(tensor, Tensor) and tensor.ndim == 1 for tensor in kept)


def places_of(classifier: Classifier) -> tuple[Place, ...]:
    """Places in front of every batch norm; of a network without any, its input, all stages, and the embedding.

    Raises:
        UserError: a network without batch norm of which no tap says where else it is read.
    """
    if layers := batch_norms(classifier.network):
        return tuple(Place(path, "input") for path in layers)
    taps = classifier.taps
    if not taps.stages and taps.embedding is None:
        raise UserError(
            f"{classifier.name} has no batch norm, and no tap says where else its features are read; `lb.wrap` it with "
            "`stages` and `embedding`."
        )
    embedding = () if taps.embedding is None else (Place(taps.embedding, "input"),)
    return (Place("", "input"), *(Place(path, "stage") for path in taps.stages), *embedding)


class BatchNormMoments:
    """Mean and variance of the input of every batch norm in the last forward pass, beside those that it remembers.

    They are float32 at least, also where the network computes in bf16, and differentiable. A layer that runs more than
    once in a pass has the mean over its runs, as its running statistics are; one that does not run is left out.

    Args:
        classifier: the teacher, in eval mode, so that its statistics stay as they are.
        statistics: of its features on its own data, which say where it is read and what is wanted there; None for
            what its batch norms remember.

    Raises:
        UserError: it has no batch norm, and there are no statistics; or these are of another network.

    Example:
        >>> from limbeck.transfer.generate.losses import batch_norm_distance
        >>> with BatchNormMoments(teacher) as moments:
        ...     logits = teacher(images.tensor()[:16]).logits
        ...     distance = batch_norm_distance(moments.found, moments.reference).sum()
    """

    def __init__(self, classifier: Classifier, statistics: "FeatureStatistics | None" = None) -> None:
        if statistics is None:
            layers = batch_norms(classifier.network)
            if not layers:
                raise without_batch_norm(classifier)
            places = tuple(Place(path, "input") for path in layers)
            wanted = [running_moments(layer) for layer in layers.values()]
        else:
            places, wanted = statistics.places, list(statistics.wanted)
            statistics.check(classifier)
        self.places = {place.name: place for place in places}
        self._wanted = dict(zip(self.places, wanted, strict=True))
        self._classifier = classifier
        self._handles: list[RemovableHandle] = []
        self._seen: dict[str, list[Moments]] = {}
        self._ran = tuple(self.places)

    def __enter__(self) -> Self:
        self._handles = [self._classifier.register_forward_pre_hook(_Begin(self._seen))]
        norms = batch_norms(self._classifier.network)
        for name, place in self.places.items():
            module = self._classifier.network.get_submodule(place.path)
            if place.side == "stage":
                record = _RecordStage(self._seen, name, self._classifier.taps)
                self._handles.append(module.register_forward_hook(record))
            else:
                record = _RecordInput(self._seen, name, copies=place.path not in norms)
                self._handles.append(module.register_forward_pre_hook(record, with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the hooks and what they saw: no graph outlives its step."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._seen.clear()

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of the layers that `found` and `reference` are of: those that ran, or all before the first pass."""
        if self._seen:
            self._ran = tuple(name for name in self.places if name in self._seen)
        return self._ran

    @property
    def found(self) -> list[Moments]:
        """Moments of the last forward pass, layer by layer.

        Raises:
            UserError: there was none since the hooks were set.
        """
        if not self._seen:
            raise UserError("no forward pass was seen; run the classifier inside `with BatchNormMoments(...)`.")
        return [_mean(self._seen[name]) for name in self.names]

    @property
    def reference(self) -> list[Moments]:
        """Moments of the data that the teacher was trained on, layer by layer; without gradient.

        Raises:
            UserError: statistics were given that are of other features.
        """
        for name in self._seen:
            mean, wanted = self._seen[name][0].mean, self._wanted[name]
            if mean.shape != wanted.mean.shape:
                raise UserError(
                    f"the statistics of {name!r} are of {len(wanted.mean)} features, and {self._classifier.name} has "
                    f"{len(mean)} there; they are of another network. Export them for this one by "
                    "`lb.export_statistics(teacher, images, path)`."
                )
            self._wanted[name] = Moments(*(part.to(mean.device) for part in wanted))
        return [self._wanted[name] for name in self.names]


def without_batch_norm(classifier: Classifier) -> UserError:
    """The refusal, with what helps."""
    return UserError(
        f"{classifier.name} has no batch norm, and `losses.batch_norm` compares images with the statistics that batch "
        "norms remember of their data. Whoever holds the data may export such statistics once, without any image "
        "(`lb.export_statistics`), for `statistics`; or set `losses.batch_norm: 0`, as the methods dafl, zskt and dfad "
        "do."
    )


class _Begin:
    """Forgets the pass before, as the next one begins."""

    def __init__(self, seen: dict[str, list[Moments]]) -> None:
        self.seen = seen

    def __call__(self, *_: object) -> None:
        self.seen.clear()

    def __deepcopy__(self, memo: object) -> Self:
        """A copy of the network records nothing: nothing would remove its hooks."""
        return type(self)({})


class _RecordInput:
    """Records what goes into a module; copied where the network might write over it later in the same pass."""

    def __init__(self, seen: dict[str, list[Moments]] | None, name: str, copies: bool) -> None:
        self.seen, self.name, self.copies = seen, name, copies

    @uncompiled
    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.seen is not None:
            features = next(iter((*args, *kwargs.values())))
            moments = moments_of(features.clone() if self.copies else features)
            self.seen.setdefault(self.name, []).append(moments)

    def __deepcopy__(self, memo: object) -> Self:
        return type(self)(None, self.name, self.copies)


class _RecordStage:
    """Records what comes out of a module, as a map."""

    def __init__(self, seen: dict[str, list[Moments]] | None, name: str, taps: Taps) -> None:
        self.seen, self.name, self.taps = seen, name, taps

    @uncompiled
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if self.seen is not None:
            self.seen.setdefault(self.name, []).append(moments_of(self.taps.as_map(output).clone()))

    def __deepcopy__(self, memo: object) -> Self:
        return type(self)(None, self.name, self.taps)


def moments_of(features: Tensor) -> Moments:
    """Mean and biased variance over all but the channels, in float32 at least; differentiable.

    Args:
        features: [B, C, ...].

    Example:
        >>> moments_of(torch.tensor([[1.0], [3.0]]))
        Moments(mean=tensor([2.]), var=tensor([1.]))
    """
    with torch.autocast(features.device.type, enabled=False):
        exact = features.to(torch.promote_types(features.dtype, torch.float32))
        return Moments(*cast(tuple[Tensor, Tensor], _MomentsOf.apply(exact)))


class _MomentsOf(torch.autograd.Function):
    """`torch.var_mean` by the kernels of batch norm: on a CPU 7 to 15 times as fast, forward and backward together."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        if features.device.type in ("cpu", "cuda"):
            mean, var = torch.ops.aten.batch_norm_update_stats(features, None, None, 0.0)
        else:
            var, mean = torch.var_mean(features, [0, *range(2, features.ndim)], correction=0)
        ctx.save_for_backward(features, mean)
        return mean, var

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        by_mean, by_var = outputs
        features, mean = ctx.saved_tensors
        count = features.numel() // features.shape[1]
        slope = 2 * by_var / count
        shape = (1, -1, *[1] * (features.ndim - 2))
        return torch.addcmul((by_mean / count - slope * mean).view(shape), features, slope.view(shape))


def _mean(runs: Sequence[Moments]) -> Moments:
    if len(runs) == 1:
        return runs[0]
    return Moments(*(torch.stack(parts).mean(dim=0) for parts in zip(*runs, strict=True)))


def running_moments(layer: nn.Module) -> Moments:
    """What a batch norm remembers, in float32 at least; without gradient."""
    kept = cast(tuple[Tensor, Tensor], (layer.running_mean, layer.running_var))
    return Moments(*(tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in kept))


class MomentumMemory:
    """Statistics of batches before, which stand in for a larger batch (Fast, BSR).

    `mixed` is m x memory + (1 - m) x found, or what was found before there is any memory. So the gradient is scaled by
    1 - m once there is one: weight 10 at m = 0.9 pulls like weight 1 without, and in the first round 10 times harder.

    Args:
        decay: m, 0 <= m < 1.

    Raises:
        UserError: `decay` out of range.

    Source: Fang et al., "Up to 100x faster data-free knowledge distillation", AAAI 2022.

    Example:
        >>> memory = MomentumMemory(0.9)
        >>> memory.update([Moments(torch.ones(1), torch.ones(1))])
        >>> memory.mixed([Moments(torch.zeros(1), torch.ones(1))])[0].mean
        tensor([0.9000])
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"`momentum` must be >= 0 and < 1, got {decay}.")
        self.decay = decay
        self.kept: list[Moments] = []

    def mixed(self, found: Sequence[Moments]) -> list[Moments]:
        """What stands for `found` in the loss, with its gradient."""
        if not self.kept:
            return list(found)
        pairs = zip(self.kept, found, strict=True)
        return [Moments(*(torch.lerp(new, old, self.decay) for old, new in zip(*pair, strict=True))) for pair in pairs]

    def update(self, found: Sequence[Moments]) -> None:
        """After a round: the statistics of its last batch enter the memory; without graph."""
        self.kept = self.mixed([Moments(*(part.detach().clone() for part in layer)) for layer in found])

    def state_dict(self) -> dict[str, Tensor]:
        """Empty before the first `update`."""
        return {
            f"{index}.{name}": part for index, layer in enumerate(self.kept) for name, part in layer._asdict().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        layers = range(len(state) // 2)
        self.kept = [Moments(state[f"{index}.mean"].clone(), state[f"{index}.var"].clone()) for index in layers]
