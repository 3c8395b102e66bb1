"""How often a network that learns the images gets one wrong again that it had right."""

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
"""Of what the checkpoints keep; in the first one the counts were a part of the loss."""


class ForgettingCounts:
    """Observes for every image whether the student has it right each time it is shown.

    Args:
        ids: int64 `[N]` of the images.

    Attributes:
        right: bool `[N]` in the order of the sorted ids, the last time.
        ever: bool `[N]`, any time.
        forgotten: int64 `[N]`, how often a right one was followed by a wrong one.
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
        """float64 `[N]` in the order of the sorted ids; what was never right counts as forgotten every epoch."""
        return torch.where(self.ever, self.forgotten, epochs).double().cpu()

    def _move(self, device: torch.device) -> None:
        """To where the batches are, once."""
        if self.ids.device != device:
            self.ids, self.right = self.ids.to(device), self.right.to(device)
            self.ever, self.forgotten = self.ever.to(device), self.forgotten.to(device)


def forgetting(images: "ImageSet", context: "ScoringContext", *, model: str, epochs: int) -> Tensor:
    """How often each image is forgotten while `model` learns the set from its labels, float64 `[N]`.

    An image is forgotten when it is classified right and, the next time it is shown, wrong. One that is never right is
    forgotten without end; here that is the number of epochs, more than any other can reach. Source: Toneva et al.,
    "An empirical study of example forgetting during deep neural network learning", ICLR 2019,
    https://arxiv.org/abs/1812.05159 (ResNet-18, 200 epochs; a short run ranks images much alike).

    The network is kept, see `learn`.

    Args:
        images: labelled.
        context: folder, seed, who watches.
        model: of the zoo.
        epochs: >= 1.
    """
    assert images.labels is not None, "scores by label are refused for unlabelled images before"
    ids = images.ids
    images = images.subset(ids.sort().values)  # the same scores in whatever order the set stores them
    counts = ForgettingCounts(images.ids)
    options = {"model": model, "epochs": epochs, "seed": context.seed, "version": _VERSION}
    learn(images, context, "forgetting", observers=[counts], **options)
    return counts.scores(epochs)[images.positions(ids)]
