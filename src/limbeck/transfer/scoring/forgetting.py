"""How often a network that learns the images gets one wrong again that it had right."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.caching import cache_key
from limbeck.models.zoo import create
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.sums import WeightedSum
from limbeck.training.distributed import is_main_process
from limbeck.training.loop import fit
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.transfer.scoring.features import ScoringContext


class ForgettingNotes(Objective):
    """Cross-entropy that notes for every image whether the student has it right each time it is shown.

    Buffers, which the loop's checkpoints keep: `right` (the last time), `ever` (any time), `forgotten` (how often a
    right one was followed by a wrong one), each `[N]` in the order of the sorted ids.
    """

    ids: Tensor
    right: Tensor
    ever: Tensor
    forgotten: Tensor

    def __init__(self, ids: Tensor) -> None:
        super().__init__()
        self.register_buffer("ids", ids.sort().values)
        self.register_buffer("right", torch.zeros(len(ids), dtype=torch.bool))
        self.register_buffer("ever", torch.zeros(len(ids), dtype=torch.bool))
        self.register_buffer("forgotten", torch.zeros(len(ids), dtype=torch.int64))

    def build(self, setup: Setup) -> None:
        """Nothing to make."""

    def forward(self, student_logits: Tensor, labels: Tensor, ids: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            self._note(torch.searchsorted(self.ids, ids), student_logits.detach().argmax(1) == labels)
        return F.cross_entropy(student_logits, labels)

    def _note(self, rows: Tensor, right: Tensor) -> None:
        self.forgotten[rows] += (self.right[rows] & ~right).long()
        self.right[rows] = right
        self.ever[rows] |= right

    def scores(self, epochs: int) -> Tensor:
        """float64 `[N]` in the order of the sorted ids; what was never right counts as forgotten every epoch."""
        return torch.where(self.ever, self.forgotten, epochs).double().cpu()


def forgetting(images: "ImageSet", context: "ScoringContext", *, model: str, epochs: int) -> Tensor:
    """How often each image is forgotten while `model` learns the set from its labels, float64 `[N]`.

    An image is forgotten when it is classified right and, the next time it is shown, wrong. One that is never right is
    forgotten without end; here that is the number of epochs, more than any other can reach. Source: Toneva et al.,
    "An empirical study of example forgetting during deep neural network learning", ICLR 2019,
    https://arxiv.org/abs/1812.05159 (ResNet-18, 200 epochs; a short run ranks images much alike).

    The run is kept in a folder named after content, seed and settings: found again, and gone on with when stopped.

    Args:
        images: labelled.
        context: folder, seed, who watches.
        model: of the zoo.
        epochs: >= 1.
    """
    assert images.labels is not None, "scores by label are refused for unlabelled images before"
    ids = images.ids
    images = images.subset(ids.sort().values)  # the same scores in whatever order the set stores them
    channels, height, width = images.shape
    recipe = {"model": model, "epochs": epochs, "seed": context.seed, "images": images.fingerprint}
    folder = context.folder / f"forgetting-{cache_key(*sorted(recipe.items()))}"
    notes = ForgettingNotes(images.ids)
    with RunFolder.open(folder, recipe, resume=True, writes=is_main_process()) as run_folder:
        student = create(
            model, num_classes=images.num_classes, seed=context.seed, channels=channels, input_size=(height, width)
        )
        fit(
            student,
            images,
            WeightedSum({"forgetting": notes}, {"forgetting": 1.0}),
            settings=TrainingSettings(epochs=epochs, validations=0),
            run_folder=run_folder,
            seed=context.seed,
            progress=context.progress,
        )
        run_folder.set_state("finished")
    return notes.scores(epochs)[images.positions(ids)]
