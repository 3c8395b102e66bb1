"""What removes images, by the settings."""

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.data.views import augmentation
from limbeck.models.classifier import Classifier
from limbeck.transfer.generate.engine import Pruning
from limbeck.transfer.generate.homogenise import Homogeniser
from limbeck.transfer.generate.replay import PrioritisedReplay
from limbeck.transfer.generate.repository import Appended, Repository
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.synthesis import Batch


def pruning_for(settings: GenerateSettings, num_classes: int) -> Pruning | None:
    """What `homogenise` and `replay` say; None where images stay.

    Example:
        >>> pruning_for(GenerateSettings(budget=100, method="fast"), 10) is None
        True
    """
    homogeniser = replay = None
    if settings.homogenise is not None:
        homogeniser = Homogeniser(settings.homogenise, num_classes=num_classes, batch_size=settings.batch_size)
    if settings.replay is not None:
        replay = PrioritisedReplay(settings.replay, augmentation(settings.views))
    return Both(homogeniser, replay) if homogeniser and replay else homogeniser or replay


class Both:
    """First outliers leave, then what is still too many: `Pruning` of an `Engine`.

    Args:
        homogeniser: has the first say.
        replay: has the second.

    Example:
        >>> type(pruning_for(GenerateSettings(budget=100, replay={"images": 50}), 10)).__name__
        'Both'
    """

    def __init__(self, homogeniser: Homogeniser, replay: PrioritisedReplay) -> None:
        self.homogeniser = homogeniser
        self.replay = replay

    def added(self, appended: Appended, batch: Batch) -> None:
        """Nothing."""

    def removed(self, rows: Tensor) -> None:
        """Nothing."""

    def leaving(self, repository: Repository, student: Classifier | None, *, outliers: bool = True) -> Tensor:
        first = self.homogeniser.leaving(repository, student, outliers=outliers)
        learned = self.replay.leaving(repository, student)
        learned = learned[~torch.isin(learned, first)]
        excess = len(repository) - len(first) - self.replay.settings.images
        return torch.cat([first, learned[: max(0, excess)]])

    def state_dict(self) -> dict[str, Tensor]:
        return self.homogeniser.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.homogeniser.load_state_dict(state)
