"""Whether experts, their network and the images that are to be learned belong together."""

from typing import Protocol

from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.condense.flat import FlatNetwork
from limbeck.transfer.condense.settings import Matching
from limbeck.transfer.condense.synthetic import SyntheticSet


class Experts(Protocol):
    """Snapshots of experts, by number; see `ExpertStore`."""

    @property
    def count(self) -> int: ...

    @property
    def snapshots(self) -> int: ...

    def theta(self, expert: int, snapshot: int, /) -> Tensor: ...


def check_fit(matching: Matching, network: FlatNetwork, store: Experts, synthetic: SyntheticSet) -> None:
    """Raises a UserError where images cannot be learned on these experts with this network."""
    classifier = network.classifier
    if store.snapshots < matching.snapshots:
        raise UserError(
            f"`store` must hold {matching.snapshots} snapshots of each expert, as starts below {matching.last_start} "
            f"and `expert_epochs` {matching.expert_epochs} read, got {store.snapshots}; `limbeck experts` makes more, "
            "or lower `matching.start_to`, `grow_to` or `expert_epochs`."
        )
    if (found := store.theta(0, 0).numel()) != network.size:
        raise UserError(
            f"`store` must hold experts of {classifier.name!r}, {network.size:,} parameters, got {found:,}; take the "
            "network that they were made with."
        )
    size = tuple(synthetic.inputs.shape[1:])
    if size[0] != classifier.channels or classifier.input_size not in (None, size[1:]):
        wanted = [classifier.channels, *(classifier.input_size or ("H", "W"))]
        raise UserError(f"`synthetic` must have inputs [N, {', '.join(map(str, wanted))}], got {list(size)} of each.")
    classes = synthetic.labels.shape[1] if synthetic.soft else int(synthetic.labels.max()) + 1
    if classes > network.num_classes or (synthetic.soft and classes < network.num_classes):
        raise UserError(f"`synthetic` must have labels of {network.num_classes} classes, got {classes}.")
