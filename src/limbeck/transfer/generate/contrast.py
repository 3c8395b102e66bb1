"""CMI's contrast: an image should look to the teacher like itself in another view, and unlike all made before it."""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.data.augmentation import Augmentation
from limbeck.data.views import Chain, PadCrop, ResizedCrop
from limbeck.models import Classifier
from limbeck.randomness import derive_seed, generator, own_randomness
from limbeck.transfer.generate.image_features import ImageFeatures
from limbeck.transfer.generate.losses import contrast

_CODE = 256
_LOCAL_AREA = (0.25, 1.0)


class Contrast:
    """The contrastive loss of images with what it learns and remembers: a head, its Adam, and a ring of features.

    Used around the teacher's passes of each step, the first of images as a whole, the second of their local views:

        with contrast:
            teacher(whole views);  whole = contrast.features
            teacher(local views);  local = contrast.features
            loss = contrast.loss(local, whole, call=call, step=step)
        contrast.apply(gradients of contrast.parameters)
        contrast.append(local, whole)            # once a call, of what is kept

    Args:
        teacher: on its device and in eval mode.
        shape: (channels, height, width) of the images.
        rate: of the head's Adam, whose betas are the usual 0.9 and 0.999; that of the generator, as published.
        seed: of the head and of all that is drawn.
        whole: views of whole images; local ones are mirrored if these are.
        size: images that the ring holds, each with 2 D numbers of 4 bytes in main memory.
        drawn: of these, for each loss.
        temperature: > 0, that similarities are divided by.

    Attributes:
        views: local ones.

    Source: Fang et al., "Contrastive model inversion for data-free knowledge distillation", IJCAI 2021.

    Example:
        >>> contrast = Contrast(teacher.eval(), (1, 8, 8), rate=1e-3, seed=0, whole=PadCrop(padding=1, flip=False))
        >>> shown = images.tensor()[:16].float()
        >>> with contrast:
        ...     _ = teacher(shown / 255)
        ...     whole = contrast.features
        ...     _ = teacher(contrast.views.smooth(shown, contrast.draw(16, call=0, step=0)) / 255)
        ...     loss = contrast.loss(contrast.features, whole, call=0, step=0)
        >>> loss.shape
        torch.Size([16])
    """

    # Its numbers beside the rate are those of the authors' code for 32 px images.
    def __init__(
        self,
        teacher: Classifier,
        shape: tuple[int, int, int],
        *,
        rate: float,
        seed: int,
        whole: Augmentation | None = None,
        size: int = 40_960,
        drawn: int = 4_096,
        temperature: float = 0.1,
    ) -> None:
        self.seed = seed
        self.drawn = drawn
        self.temperature = temperature
        self.views = ResizedCrop(area=_LOCAL_AREA, flip=whole is None or mirrors(whole))
        self._features = ImageFeatures(teacher, shape)
        with own_randomness(seed, "generate", "contrast"):
            self.head = Head(self._features.size).to(teacher.mean.device)
        self.adam = torch.optim.Adam(self.head.parameters(), lr=rate)
        self.ring = Ring(size, 2 * self._features.size)

    def __enter__(self) -> Self:
        self._features.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._features.__exit__()

    @property
    def features(self) -> Tensor:
        """Features of the teacher's last pass, float32 [B, D], differentiable."""
        return self._features.found

    @property
    def parameters(self) -> list[Tensor]:
        """Parameters of the head."""
        return [*self.head.parameters()]

    def draw(self, count: int, *, call: int, step: int) -> Tensor:
        """Which local view each image gets, int64 [count], on the teacher's device."""
        rows = torch.arange(count, device=self.parameters[0].device)
        return self.views.draw(rows, seed=derive_seed(self.seed, "generate", "local", call), view=step)

    def loss(self, local: Tensor, whole: Tensor, *, call: int, step: int) -> Tensor:
        """Loss of each image, [B]; their mean is that of the new images plus that of those before.

        Args:
            local: features of local views, [B, D].
            whole: of the images as a whole, [B, D]; without gradient to them.
            call, step: they determine what is drawn from the ring.
        """
        random = generator(self.seed, "generate", "ring", call, step)
        before = self.ring.draw(self.drawn, random).to(local.device, non_blocking=True)
        local_before, whole_before = before.chunk(2, 1)
        codes = self.head(torch.cat([local, local_before, whole, whole_before]))
        return contrast(*codes.chunk(2), new=len(local), temperature=self.temperature)

    def apply(self, gradients: Sequence[Tensor]) -> None:
        """A step of the head, down the gradients of `parameters`."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.adam.step()
        self.adam.zero_grad()

    def append(self, local: Tensor, whole: Tensor) -> None:
        """Remembers images that are kept, by their features [B, D] each."""
        self.ring.append(torch.cat([local, whole], 1))

    def state_dict(self) -> dict[str, Tensor]:
        """All of it, as tensors; that of the ring is no copy."""
        state = {f"head.{name}": tensor for name, tensor in self.head.state_dict().items()}
        for number, parameter in enumerate(self.parameters):
            state |= {f"adam.{number}.{name}": value for name, value in self.adam.state.get(parameter, {}).items()}
        return state | {f"ring.{name}": tensor for name, tensor in self.ring.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores a state."""
        parts: dict[str, dict[str, Tensor]] = {"head": {}, "adam": {}, "ring": {}}
        for name, tensor in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.head.load_state_dict(parts["head"])
        self.adam.state.clear()
        for name, value in parts["adam"].items():
            number, _, key = name.partition(".")
            tensor = self.parameters[int(number)]
            self.adam.state[tensor][key] = value.clone() if key == "step" else value.to(tensor.device, copy=True)
        self.ring.load_state_dict(parts["ring"])


class Head(nn.Module):
    """Features [N, D] to codes of length 1, [N, 256]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.last = nn.Linear(size, _CODE)

    def forward(self, features: Tensor) -> Tensor:
        return F.normalize(self.last(self.hidden(features).relu()), dim=1)


class Ring:
    """The latest rows of numbers, float32 in main memory, as many as `size`.

    Example:
        >>> ring = Ring(3, 1)
        >>> ring.append(torch.arange(5.0)[:, None])
        >>> sorted(ring.draw(9, torch.Generator()).flatten().tolist())
        [2.0, 3.0, 4.0]
    """

    def __init__(self, size: int, width: int) -> None:
        self.rows = torch.empty(size, width)  # memory is taken when it is written to
        self.filled = 0
        self.place = 0

    def append(self, rows: Tensor) -> None:
        """Overwrites the oldest rows; of more rows than it holds, the last ones stay."""
        rows = rows.detach().to("cpu", torch.float32)[-len(self.rows) :]
        split = min(len(rows), len(self.rows) - self.place)  # so many up to the end; the rest from the beginning
        self.rows[self.place : self.place + split] = rows[:split]
        self.rows[: len(rows) - split] = rows[split:]
        self.place = (self.place + len(rows)) % len(self.rows)
        self.filled = min(self.filled + len(rows), len(self.rows))

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """`count` rows, each at most once, or all where there are fewer."""
        return self.rows[torch.randperm(self.filled, generator=random)[:count]]

    def state_dict(self) -> dict[str, Tensor]:
        return {"rows": self.rows[: self.filled], "place": torch.tensor(self.place)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.filled, self.place = len(state["rows"]), int(state["place"])
        self.rows[: self.filled] = state["rows"]


def mirrors(views: Augmentation) -> bool:
    """Whether views may be mirrored."""
    if isinstance(views, Chain):
        return any(map(mirrors, views.parts))
    return isinstance(views, PadCrop | ResizedCrop) and views.flip
