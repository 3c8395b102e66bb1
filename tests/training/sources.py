"""A source that grows while the student learns, and observers that record what they are shown."""

from collections.abc import Mapping

import torch
from tests.training.tiny import CLASSES
from torch import nn

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.models import Classifier, Outputs
from limbeck.training.batches import Batch


class Growing:
    """Each round adds images that depend on the student, on the earlier images and on global random state.

    Args:
        rounds: steps of each round.
        first: images of round 0.
        more: images added by each later round.
    """

    def __init__(self, rounds: int | None = 4, first: int = 6, more: int = 3) -> None:
        self.steps_per_round = rounds
        self.first, self.more = first, more
        self.pixels = torch.zeros(0, 1, 8, 8, dtype=torch.uint8)
        self.refreshed: list[int] = []
        self.loaded = 0

    def refresh(self, round: int, student: nn.Module) -> Cost:
        self.refreshed.append(round)
        count = self.more if round else self.first
        noise = torch.randint(0, 200, (count, 1, 8, 8), dtype=torch.uint8)
        logits = student(noise).logits  # updates batch statistics and keeps a graph, unless this is a copy in eval mode
        logits.sum().backward()
        shade = (logits.detach().softmax(1)[:, :1, None, None] * 50).to(torch.uint8)
        self.pixels = torch.cat([self.pixels, noise + shade])
        return Cost(steps=2, seconds=1.0, teacher_passes=count)

    def images(self, round: int) -> TransferSet:
        labels = torch.arange(len(self.pixels)) % 2
        return TransferSet(ImageSet(self.pixels, labels, classes=CLASSES, name=f"round {round}"))

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"pixels": self.pixels}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        self.loaded += 1
        self.pixels = state["pixels"]


class Noting:
    """Records a mean of all logits that depends on their order, and when epochs ended."""

    def __init__(self) -> None:
        self.mean = torch.zeros(())
        self.epochs: list[int] = []
        self.steps: list[int] = []

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        assert not outputs.logits.requires_grad
        assert len(outputs.logits) == len(batch.images)
        self.steps.append(step)
        self.mean = 0.9 * self.mean + 0.1 * outputs.logits.abs().mean()

    def after_epoch(self, epoch: int, student: Classifier) -> None:
        assert student.training
        self.epochs.append(epoch)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "epochs": torch.tensor(self.epochs), "steps": torch.tensor(self.steps)}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        self.mean = state["mean"]
        self.epochs, self.steps = state["epochs"].tolist(), state["steps"].tolist()
