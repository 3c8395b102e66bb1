"""A quick synthesis that depends on all that a real one depends on, and can be stopped between its steps."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.models.classifier import Classifier
from limbeck.models.zoo import create
from limbeck.progress import Silent
from limbeck.randomness import generator
from limbeck.transfer.generate.engine import Engine, Pruning
from limbeck.transfer.generate.repository import Repository
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.source import GeneratingSource
from limbeck.transfer.generate.synthesis import Batch

SHAPE, CLASSES = (1, 4, 4), 3


class FakeSynthesis:
    """Its images depend on all steps so far, labels, the weight of the one-hot loss, and the student's weights."""

    def __init__(self, settings: GenerateSettings, *, seed: int = 0, collapsed: bool = False) -> None:
        self.settings = settings
        self.seed = seed
        self.collapsed = collapsed
        self.memory = torch.zeros(SHAPE, dtype=torch.float64)
        self.step = 0
        self.calls: list[tuple[int, bool]] = []

    def call(
        self,
        number: int,
        labels: Tensor | None,
        *,
        weights: Losses,
        student: Classifier | None,
        stop: Callable[[], bool],
    ) -> Batch:
        seen = float(next(student.parameters()).detach().sum()) if student is not None and weights.adversarial else 0.0
        count = self.settings.batch_size * max(1, self.settings.fresh)
        while self.step < self.settings.inner_steps:
            drawn = torch.rand(SHAPE, generator=generator(self.seed, number, self.step), dtype=torch.float64)
            self.memory = (self.memory + drawn + seen + weights.one_hot) % 1
            self.step += 1
            if self.step < self.settings.inner_steps:
                stop()
        self.step = 0
        self.calls.append((number, student is not None))
        noise = torch.rand((count, *SHAPE), generator=generator(self.seed, "images", number), dtype=torch.float64)
        images = (0 * noise if self.collapsed else (self.memory + noise) % 1 * 255).to(torch.uint8)
        logits = images.float().flatten(1)[:, :CLASSES] / 25
        predicted = logits.argmax(1)
        wanted = predicted if labels is None else labels.repeat(max(1, self.settings.fresh))
        losses = {"batch_norm": 3 - number / 10, "one_hot": 1.0}
        return Batch(
            images=images,
            labels=wanted,
            views=torch.zeros(count, dtype=torch.int64),
            logits=logits,
            embedding=torch.empty(count, 0),
            student_logits=None,
            image_losses={name: torch.full((count,), value) for name, value in losses.items()},
            losses=losses,
            layers=torch.tensor([1.0, 2.0]),
            passes=count * self.settings.inner_steps,
        )

    def state_dict(self) -> dict[str, Tensor]:
        return {"memory": self.memory, "step": torch.tensor(self.step)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.memory, self.step = state["memory"], int(state["step"])


def settings_for(**changes: Any) -> GenerateSettings:
    """Eight images for each call of three steps, two warm-up rounds, and every loss that the fake knows."""
    return GenerateSettings(
        **{
            "method": "fast",
            "budget": 48,
            "batch_size": 8,
            "inner_steps": 3,
            "steps_per_round": 2,
            "warmup_rounds": 2,
            **changes,
        }
    )


def source_for(
    folder: Path,
    settings: GenerateSettings | None = None,
    *,
    count: int = 48,
    pruning: Callable[[GenerateSettings], Pruning] | None = None,
    rounds: int | None = None,
    limit: int = 2**26,
    **fake: Any,
) -> GeneratingSource:
    """A source of images that the fake makes."""
    settings = settings or settings_for()
    repository = Repository(
        folder / "repository",
        shape=SHAPE,
        num_classes=CLASSES,
        losses=["batch_norm", "one_hot", "adversarial"],
        capacity=count if settings.fresh else None,
        latest=bool(settings.fresh),
        limit=limit,
    )
    engine = Engine(
        settings,
        FakeSynthesis(settings, **fake),
        repository,
        None if pruning is None else pruning(settings),
        count=count,
        seed=0,
        rounds=rounds,
    )
    return GeneratingSource(engine, folder, classes=("a", "b", "c"), about={"maker": "fake"}, progress=Silent())


def student_for(seed: int = 0) -> Classifier:
    return create("convnet_d3", num_classes=CLASSES, channels=1, input_size=8, seed=seed, width=2).eval()
