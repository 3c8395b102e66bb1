"""Whether the training loss of experts falls over the snapshots that are read.

Where it does not, an expert makes no progress for images to reproduce: such start epochs are useless.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import fmean, variance

from limbeck.transfer.condense.experts.store import ExpertStore

_RISE, _ERRORS = 0.01, 4.0
"""A loss counts as rising above this share of itself and above so many standard errors of the difference."""
_FEWEST = 6
"""From so many intervals on, the later half is checked to fall as a whole."""


def where_not_falling(losses: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the intervals whose mean loss does not fall, rising.

    An interval counts where its mean exceeds that of the one before by more than 1 %, and, to exclude noise, by more
    than four standard errors of the difference. Of six intervals or more, the last also counts if its mean is not below
    that of the middle one, as where training stands still.

    Args:
        losses: the losses noted in each interval between two snapshots; intervals with fewer than two are ignored.

    Example:
        >>> where_not_falling([[2.0, 2.1], [1.5, 1.6], [1.9, 1.9]])
        [2]
    """
    counted = [place for place, values in enumerate(losses) if len(values) > 1]
    means = {place: fmean(losses[place]) for place in counted}
    squares = {place: variance(losses[place]) / len(losses[place]) for place in counted}
    rising = []
    for before, place in pairwise(counted):
        noise = _ERRORS * sqrt(squares[before] + squares[place])
        if means[place] - means[before] > max(noise, _RISE * means[before]):
            rising.append(place)
    if not rising and len(counted) >= _FEWEST and means[counted[-1]] >= means[counted[len(counted) // 2]]:
        rising.append(counted[-1])
    return rising


def loss_that_does_not_fall(store: ExpertStore) -> str | None:
    """A sentence about the first interval in which the loss of experts does not fall; None if it falls or cannot tell.

    With a curriculum the loss tells nothing: images that come in or drop out change it, whatever an expert learns.
    """
    if store.about["settings"].get("curriculum") is not None or len(store.kept) < 3:
        return None
    losses = store.losses_between()
    places = where_not_falling(losses)
    if not places:
        return None
    place = places[0]
    means = {number: fmean(losses[number]) for number in range(place) if losses[number]}
    least = min(means, key=means.__getitem__)
    return (
        "the training loss of the experts does not fall over all snapshots that are read: it is "
        f"{fmean(losses[place]):.4g} between {store.kept[place]} and {store.kept[place + 1]}, and was "
        f"{means[least]:.4g} between {store.kept[least]} and {store.kept[least + 1]}"
    )
