"""Checks that experts, their network, the images to learn, and a saved state belong together."""

import warnings
from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.condense.experts import ExpertStore
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.method_settings import Matching
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet


class ExpertSnapshots(Protocol):
    """Snapshots of experts, by number; see `ExpertStore`."""

    @property
    def count(self) -> int: ...

    @property
    def snapshots(self) -> int: ...

    def theta(self, expert: int, snapshot: int, /) -> Tensor: ...


def check_fit(matching: Matching, network: FlatNetwork, store: ExpertSnapshots, synthetic: SyntheticSet) -> None:
    """Raises a UserError where images cannot be learned on these experts with this network."""
    classifier = network.classifier
    if store.snapshots < matching.snapshots:
        raise UserError(
            f"`store` must hold {matching.snapshots} snapshots of each expert, as starts below {matching.last_start} "
            f"and `expert_epochs` {matching.expert_epochs} read, got {store.snapshots}; `limbeck experts` makes more, "
            "or lower `matching.start_to`, `grow_to` or `expert_epochs`."
        )
    first = store.kept[0] if isinstance(store, ExpertStore) else 0
    if (count := store.theta(0, first).numel()) != network.size:
        raise UserError(
            f"`store` must hold experts of {classifier.name!r}, {network.size:,} parameters, got {count:,}; take the "
            "network that they were made with."
        )
    size = tuple(synthetic.inputs.shape[1:])
    if size[0] != classifier.channels or classifier.input_size not in (None, size[1:]):
        expected = [classifier.channels, *(classifier.input_size or ("H", "W"))]
        raise UserError(f"`synthetic` must have inputs [N, {', '.join(map(str, expected))}], got {list(size)} of each.")
    classes = synthetic.labels.shape[1] if synthetic.soft else int(synthetic.labels.max()) + 1
    if classes > network.num_classes or (synthetic.soft and classes < network.num_classes):
        raise UserError(f"`synthetic` must have labels of {network.num_classes} classes, got {classes}.")


def warn_of_average(settings: CondenseSettings) -> None:
    """Warns where, at the end, the moving average still consists mostly of what images began as."""
    if settings.average is None or settings.iterations < _TRIAL:
        return
    if (share := settings.average**settings.iterations) > _MOSTLY:
        warnings.warn(
            f"`average` {settings.average} over {settings.iterations} iterations leaves {100 * share:.0f} % of what "
            "images began as in those that are kept; lower it, or set it to null.",
            stacklevel=2,
        )


def part_of(state: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """The tensors of a state whose names begin with `start`, by the rest of their names."""
    return {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}


def fitting(state: Mapping[str, Tensor], name: str, like: Tensor) -> Tensor:
    """A tensor of a state, which must have the shape of `like`; raises a UserError otherwise."""
    if name not in state or state[name].shape != like.shape:
        got = list(state[name].shape) if name in state else "none"
        raise UserError(f"`{name}` of the state must be {list(like.shape)}, got {got}: it is that of another run.")
    return state[name]


_TRIAL, _MOSTLY = 100, 0.75
