"""The networks of an iteration of distribution matching: one gives features, another may calibrate the images."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.randomness import derive_seed, generator
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.method_settings import Distribution


class Snapshots(Protocol):
    """Snapshots of experts; see `ExpertStore`."""

    @property
    def count(self) -> int: ...

    @property
    def kept(self) -> Sequence[int]:
        """Numbers of the available snapshots, rising."""
        ...

    def theta(self, expert: int, snapshot: int) -> Tensor:
        """Parameters float32 `[P]`."""
        ...


class Networks(NamedTuple):
    """Parameters `[P]` of the networks of an iteration; `calibrating` is None where nothing is calibrated."""

    features: Tensor
    calibrating: Tensor | None


class FeatureNetworks:
    """Random networks (DM), mixtures of first and last snapshot (NCFM), or snapshots of a trajectory (TGDD).

    Args:
        settings: say which of them.
        network: of their kind.
        store: of experts, where settings read any.
        fresh: seed -> network with weights from that seed, where settings take random ones.
        seed: of all that is drawn.

    Raises:
        UserError: settings need a store or fresh networks, and there are none.

    Example:
        >>> network = FlatNetwork(lb.create("convnet_d3", num_classes=10, input_size=8, width=4))
        >>> fresh = lambda seed: lb.create("convnet_d3", num_classes=10, input_size=8, width=4, seed=seed)
        >>> networks = FeatureNetworks(Distribution(networks="random"), network, None, fresh, seed=0)
        >>> drawn = [networks.draw(iteration, "cpu").features for iteration in (0, 0, 1)]
        >>> torch.equal(drawn[0], drawn[1]), torch.equal(drawn[0], drawn[2])
        (True, False)
    """

    def __init__(
        self,
        settings: Distribution,
        network: FlatNetwork,
        store: Snapshots | None,
        fresh: Callable[[int], Classifier] | None,
        *,
        seed: int,
    ) -> None:
        _check(settings, store, fresh)
        self._options, self._network, self._store, self._fresh, self._seed = settings, network, store, fresh, seed

    def draw(self, iteration: int, device: torch.device | str) -> Networks:
        """The networks of an iteration, a function of seed and iteration; snapshots are of one expert."""
        if self._options.networks != "random":
            features, calibrating = self._of_expert(iteration)
        else:
            assert self._fresh is not None, "checked before"
            weights = derive_seed(self._seed, "distribution", "weights", iteration)
            features = self._network.vector(self._fresh(weights))
            calibrating = self._of_expert(iteration).calibrating if self._options.calibration else None
        return Networks(features.to(device), None if calibrating is None else calibrating.to(device))

    def _of_expert(self, iteration: int) -> Networks:
        assert self._store is not None, "checked before"
        source, kept = generator(self._seed, "distribution", "network", iteration), self._store.kept
        expert = _below(self._store.count, source)
        index = _below(len(kept), source) if self._options.networks == "trajectory" else 0
        features = self._store.theta(expert, kept[index])
        if self._options.networks == "between":
            share = torch.rand((), generator=source)
            features = share * features + (1 - share) * self._store.theta(expert, kept[-1])
        if not self._options.calibration:
            return Networks(features, None)
        later = len(kept) - 1
        if self._options.calibration_within is not None:
            later = index + _below(min(self._options.calibration_within, len(kept) - index), source)
        return Networks(features, self._store.theta(expert, kept[later]))


def _below(limit: int, source: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=source))


def _check(settings: Distribution, store: Snapshots | None, fresh: Callable[[int], Classifier] | None) -> None:
    if settings.networks == "random" and fresh is None:
        raise UserError("`distribution.networks: random` needs `fresh`, which makes networks from seeds, got none.")
    if store is None:
        if settings.networks != "random" or settings.calibration:
            setting = f"`distribution.networks: {settings.networks}` with `calibration` {settings.calibration:g}"
            raise UserError(
                f"{setting} reads experts, got none; make some (`limbeck experts`), or match as `method: dm`."
            )
        return
    if settings.networks != "random" and len(store.kept) < 2:
        raise UserError(
            f"`distribution.networks: {settings.networks}` needs a first and a last snapshot of each expert, got "
            f"{list(store.kept)}; make the experts again with both."
        )
