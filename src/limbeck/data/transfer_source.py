"""`TransferSource`: where the loop's images come from, one set for the whole run or a new one every round."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor, nn

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet


class TransferSource(Protocol):
    """Interface of what the loop teaches on.

    A run goes through rounds of `steps_per_round` steps. Before each it calls `refresh`, then takes the `images`: step
    s is step s mod `steps_per_round` of round s // `steps_per_round`, and order and views are functions of seed, round
    and step. Whatever a round needs besides its number is in the state, which is saved in the run's checkpoint: a run
    that was killed in a round restores the state and takes the images of that round without another `refresh`.

    Attributes:
        steps_per_round: None for a single round without end, as for a set that does not change.
    """

    steps_per_round: int | None

    def images(self, round: int) -> TransferSet:
        """The transfer set of a round that was refreshed; the same on every call."""
        ...

    def refresh(self, round: int, student: nn.Module) -> Cost:
        """Makes the images of a round.

        During the call torch's global generators are seeded by the run's seed and the round, and gradients are enabled;
        both are restored afterwards. Of several processes only one calls it; the others load the resulting state.

        Args:
            round: 0, 1, ...
            student: as it is before the round; where there are several rounds, a copy in evaluation mode that may be
                modified.

        Returns:
            What that cost.
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors that `images` of this and later rounds are made from, as far as they are not on disk."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class FixedSource:
    """One transfer set for the whole run.

    Example:
        >>> source = FixedSource(images)
        >>> len(source.images(0)), source.steps_per_round
        (200, None)
    """

    steps_per_round: int | None = None

    def __init__(self, transfer_set: TransferSet | ImageSet) -> None:
        self.transfer_set = TransferSet(transfer_set) if isinstance(transfer_set, ImageSet) else transfer_set

    def images(self, round: int) -> TransferSet:
        return self.transfer_set

    def refresh(self, round: int, student: nn.Module) -> Cost:
        return Cost()

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        assert not state, "a fixed set has no state"


def transfer_source(source: TransferSource | TransferSet | ImageSet) -> TransferSource:
    """A source as it is; a set as the source that never changes."""
    return FixedSource(source) if isinstance(source, TransferSet | ImageSet) else source
