"""Repositories and histories as rounds leave them, without running any."""

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.transfer.generate.diversity import distinct_count
from limbeck.transfer.generate.history import History, Round


@dataclass
class FakeHeld:
    """Columns of made images, in memory."""

    columns: dict[str, Tensor]

    @property
    def rows(self) -> Tensor:
        return torch.arange(len(self)) * 2  # as if every second row had been removed

    def __len__(self) -> int:
        return len(self.columns["id"])

    def column(self, name: str, rows: Tensor | None = None) -> Tensor:
        return self.columns[name] if rows is None else self.columns[name][rows // 2]


def made(
    *, classes: int = 10, rounds: int = 6, batch: int = 20, shape: tuple[int, int, int] = (1, 8, 8), layers: int = 3
) -> tuple[FakeHeld, History]:
    """Images that get less noisy, and more often of the wanted class, round by round."""
    generator = torch.Generator().manual_seed(classes + rounds)
    looks = torch.rand(min(classes, 10), *shape, generator=generator)
    parts: list[dict[str, Tensor]] = []
    history = History()
    for number in range(rounds):
        done = (number + 1) / rounds
        wanted = torch.randint(0, classes, (batch,), generator=generator)
        labels = torch.where(
            torch.rand(batch, generator=generator) < 0.2 + 0.6 * done,
            wanted,
            torch.randint(0, classes, (batch,), generator=generator),
        )
        noise = torch.rand(batch, *shape, generator=generator)
        images = (255 * (done * looks[labels % len(looks)] + (1 - done) * noise)).to(torch.uint8)
        columns = {"id": torch.arange(batch) + 1000 * number, "round": torch.full((batch,), number), "wanted": wanted}
        columns |= {"label": labels, "images": images, "confidence": 0.5 + 0.5 * done * torch.rand(batch)}
        parts.append(columns)
        all_labels = torch.cat([part["label"] for part in parts])
        first = number == 0
        history.append(
            Round(
                number=number,
                made=batch,
                held=batch * (number + 1),
                distinct=distinct_count(images),
                removed=0 if first else 2,
                obtained=float((wanted == labels).double().mean()),
                counts=all_labels.bincount(minlength=classes),
                losses={"batch_norm": 40 / (number + 1), "one_hot": 2 - done}
                | ({} if first else {"adversarial": -0.1}),
                layers=torch.linspace(3, 1, layers) * (2 - done),
                one_hot_weight=0.5 + 0.1 * max(0, number - 2),
                spread=0.4,
                agreement=None if first else 0.3 + 0.5 * done,
                distillation=None if first else 1.5 - done,
                teacher_passes=10 * batch,
                seconds=1.5,
            )
        )
    return FakeHeld({name: torch.cat([part[name] for part in parts]) for name in parts[0]}), history
