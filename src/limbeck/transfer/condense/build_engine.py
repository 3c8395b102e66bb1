"""Builds the engine that settings ask for, and estimates what it will take before there are experts."""

from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.models.classifier import Classifier
from limbeck.randomness import generator
from limbeck.transfer.condense.distribution import DistributionEngine
from limbeck.transfer.condense.engine import Engine, MatchingEngine
from limbeck.transfer.condense.estimate import Estimate
from limbeck.transfer.condense.experts import ExpertStore
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.mask.masks import Masks
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet


class RandomSnapshots:
    """Random networks in place of an expert's snapshots: steps on them take the same time and memory.

    Args:
        fresh: seed -> network; each snapshot has its own seed.
        kept: numbers of the snapshots, rising.
    """

    def __init__(self, fresh: Callable[[int], Classifier], kept: tuple[int, ...]) -> None:
        self.count = 1
        self.kept, self.snapshots = kept, kept[-1] + 1
        self._fresh = fresh

    def theta(self, expert: int, snapshot: int) -> Tensor:
        """Parameters float32 `[P]`."""
        network = self._fresh(snapshot).network
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def engine_for(
    settings: CondenseSettings,
    network: Classifier,
    store: ExpertStore | RandomSnapshots | None,
    synthetic: SyntheticSet,
    pool: ImageSet,
    *,
    fresh: Callable[[int], Classifier],
    classes: Tensor,
    mask: Masks | None,
    seed: int,
    device: torch.device,
) -> Engine:
    """The engine that learns images as settings say, see `MatchingEngine` and `DistributionEngine`."""
    flat = FlatNetwork(network)
    if settings.by == "distribution":
        return DistributionEngine(
            settings,
            flat,
            store if settings.reads_trajectories else None,
            synthetic,
            pool,
            fresh=fresh,
            classes=classes,
            seed=seed,
            device=device,
        )
    assert store is not None, "trajectories are of experts"
    return MatchingEngine(settings, flat, store, synthetic, mask=mask, seed=seed, device=device)


def estimate_without_experts(
    settings: CondenseSettings,
    network: Classifier,
    pool: ImageSet,
    *,
    fresh: Callable[[int], Classifier],
    images_per_class: int,
    snapshots: tuple[int, ...],
    seed: int,
    device: torch.device,
) -> Estimate:
    """What learning will take, measured on a part of it, with noise for images and untrained networks for experts.

    Args:
        settings: of the maker.
        network: the one that images are learned on.
        pool: images that the set stands for.
        fresh: seed -> network of that kind.
        images_per_class: of the set.
        snapshots: numbers of the experts' snapshots that are read.
        seed: of the set.
        device: where images are learned.

    Raises:
        UserError: memory does not suffice.
    """
    classes = (pool.class_counts() > 0).nonzero().flatten().repeat_interleave(images_per_class)
    size = network.input_size or pool.shape[1:]
    noise = torch.randn(len(classes), network.channels, *size, generator=generator(seed, "estimate"))
    labels = classes if settings.labels == "hard" else torch.zeros(len(classes), pool.num_classes)
    engine = engine_for(
        settings.model_copy(update={"mask": None}),  # estimates leave out its maps
        network,
        RandomSnapshots(fresh, snapshots),
        SyntheticSet(noise, labels, settings.matching.rate),
        pool,
        fresh=fresh,
        classes=classes,
        mask=None,
        seed=seed,
        device=device,
    )
    return engine.estimate()
