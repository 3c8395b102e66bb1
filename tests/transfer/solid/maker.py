"""The maker, and its source that grows."""

from collections.abc import Mapping

import numpy as np
import torch
from tests.transfer.solid.settings import SolidSettings
from torch import Tensor, nn

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.randomness import generator
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.evidence import Evidence, Pictures
from limbeck.transfer.maker import Made, MakerContext


class SolidSource:
    """A set that grows by one image a round; its colours depend on the student, so no round can be redone later."""

    def __init__(self, settings: SolidSettings, context: MakerContext, most: int) -> None:
        self.steps_per_round: int | None = settings.steps_per_round
        self.settings = settings
        self.context = context
        self.most = most
        self.colours = torch.empty(0, context.shape[0], dtype=torch.uint8)
        self.refreshed: list[int] = []

    def images(self, round: int) -> TransferSet:
        channels, height, width = self.context.shape
        pixels = self.colours[:, :, None, None].expand(-1, channels, height, width).contiguous()
        return TransferSet(ImageSet(pixels, classes=self.context.classes, name="solid"))

    def refresh(self, round: int, student: nn.Module) -> Cost:
        self.refreshed.append(round)
        wanted = min(self.settings.first + round, self.most)
        weights = sum(parameter.detach().double().sum() for parameter in student.parameters())
        fresh = torch.randint(
            0, 256, (wanted - len(self.colours), self.context.shape[0]), generator=generator(self.context.seed, round)
        )
        fresh = (fresh + int(1000 * float(weights))) % 256
        if self.settings.gray:
            fresh = fresh[:, :1].expand_as(fresh)
        self.colours = torch.cat([self.colours, fresh.to(torch.uint8)])
        return Cost(images_read=len(fresh), seconds=0.25)

    def state_dict(self) -> dict[str, Tensor]:
        return {"colours": self.colours}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.colours = state["colours"]


class SolidMaker:
    """Makes nothing before the first round; its folder records how often it was called."""

    def count(self, settings: SolidSettings, context: MakerContext) -> int:
        budget = parse_budget(settings.budget)
        if budget.kind != "count":
            raise UserError(f"`budget` of maker 'solid' must be a count of images, got {budget.label}.")
        if budget.amount < settings.first:
            raise UserError(f"`first` must be at most the {budget.amount} images of the budget, got {settings.first}.")
        return int(budget.amount)

    def make(self, settings: SolidSettings, context: MakerContext) -> Made:
        context.folder.mkdir(parents=True, exist_ok=True)
        with (context.folder / "made.txt").open("a") as file:
            file.write("made\n")
        source = self.load(settings, context)
        return Made(source=source, cost=Cost(steps=3, seconds=0.5), evidence=self.evidence(settings, context, source))

    def load(self, settings: SolidSettings, context: MakerContext) -> SolidSource:
        return SolidSource(settings, context, self.count(settings, context))

    def evidence(self, settings: SolidSettings, context: MakerContext, source: SolidSource) -> Evidence:
        count = len(source.colours)
        if not count:
            return Evidence(headline=f"no colours yet of at most {source.most}")
        pictures = [Pictures(title="colours", images=source.images(0).images.tensor(), ids=torch.arange(count))]
        return Evidence(
            headline=f"{count} colours of at most {source.most}",
            rows=lambda: iter([{"id": np.arange(count), "chosen": np.ones(count, bool), "group": np.arange(count)}]),
            pictures=pictures,
            group="round",
            facts={"rounds": str(count)},
        )
