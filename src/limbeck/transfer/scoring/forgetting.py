"""How often a network forgets an image while it learns the set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.models.classifier import Classifier, Outputs
from limbeck.training.batches import Batch
from limbeck.training.distributed import gather_all
from limbeck.transfer.scoring.learning import learn

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.transfer.scoring.context import ScoringContext

_VERSION = 2
"""Version of the checkpoints' contents; in version 1 the counts were a part of the loss."""


class ForgettingCounts:
    """Observes for every image whether the student classifies it correctly each time it is shown.

    Args:
        ids: int64 `[N]` of the images.

    Attributes:
        right: bool `[N]` in the order of the sorted ids, whether it was correct the last time.
        ever: bool `[N]`, whether it was ever correct.
        forgotten: int64 `[N]`, how often a correct prediction was followed by a wrong one.
    """

    def __init__(self, ids: Tensor) -> None:
        self.ids = ids.sort().values
        self.right = torch.zeros(len(ids), dtype=torch.bool)
        self.ever = torch.zeros(len(ids), dtype=torch.bool)
        self.forgotten = torch.zeros(len(ids), dtype=torch.int64)

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        assert batch.labels is not None
        right, ids = gather_all(outputs.logits.argmax(1) == batch.labels), gather_all(batch.ids)  # [B] bool, int64
        self._move(ids.device)
        rows = torch.searchsorted(self.ids, ids)
        self.forgotten[rows] += (self.right[rows] & ~right).long()
        self.right[rows] = right
        self.ever[rows] |= right

    def after_epoch(self, epoch: int, student: Classifier) -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Tensor]:
        return {"right": self.right, "ever": self.ever, "forgotten": self.forgotten}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.right, self.ever, self.forgotten = state["right"], state["ever"], state["forgotten"]

    def scores(self, epochs: int) -> Tensor:
        """float64 `[N]` in the order of the sorted ids; an image never correct counts as forgotten in every epoch."""
        return torch.where(self.ever, self.forgotten, epochs).double().cpu()

    def _move(self, device: torch.device) -> None:
        """Moves the counts to the device of the batches, once."""
        if self.ids.device != device:
            self.ids, self.right = self.ids.to(device), self.right.to(device)
            self.ever, self.forgotten = self.ever.to(device), self.forgotten.to(device)


def forgetting(images: "ImageSet", context: "ScoringContext", *, model: str, epochs: int) -> Tensor:
    """How often each image is forgotten while `model` learns the set from its labels, float64 `[N]`.

    An image is forgotten when it is classified correctly and then, the next time it is shown, wrongly. An image that is
    never classified correctly is forgotten infinitely often; here it counts as `epochs`, more than any other can reach.
    Source: Toneva et al., "An empirical study of example forgetting during deep neural network learning", ICLR 2019,
    https://arxiv.org/abs/1812.05159 (ResNet-18, 200 epochs; a short run ranks images much alike).

    The network is kept, see `learn`.

    Args:
        images: labelled.
        context: folder, seed, progress.
        model: a name of the zoo.
        epochs: >= 1.
    """
    assert images.labels is not None, "scores by label are refused for unlabelled images before"
    ids = images.ids
    images = images.subset(ids.sort().values)  # so that scores do not depend on the order of the set
    counts = ForgettingCounts(images.ids)
    options = {"model": model, "epochs": epochs, "seed": context.seed, "version": _VERSION}
    learn(images, context, "forgetting", observers=[counts], **options)
    return counts.scores(epochs)[images.positions(ids)]
