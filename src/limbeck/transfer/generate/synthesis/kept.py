"""What is kept of a call: each image at its best step, all images at the best step, or at the last."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Keep = Literal["best-image", "best-batch", "last"]


class Kept:
    """The best so far, compared on the device without waiting for it.

    Args:
        keep: "best-image", by the losses of each image and those of its batch; "best-batch" or "last".

    Attributes:
        parts: name -> [B, ...]; empty before the first step.
    """

    def __init__(self, keep: Keep) -> None:
        self.keep = keep
        self.parts: dict[str, Tensor] = {}
        self._least: Tensor | None = None  # [B]

    def offer(self, total: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Offers the images of one step.

        Args:
            total: its weighted losses, float32 [B].
            parts: what to keep, name -> [B, ...].
        """
        detached = {name: tensor.detach() for name, tensor in parts.items()}
        total = total.detach()
        if self.keep == "best-batch":
            total = total.mean().expand_as(total)
        if self._least is None or self.keep == "last":
            self.parts, self._least = detached, total
            return
        better = total < self._least  # [B]
        self._least = torch.where(better, total, self._least)
        for name, tensor in detached.items():
            rows = better.view(-1, *[1] * (tensor.ndim - 1))
            self.parts[name] = torch.where(rows, tensor, self.parts[name])

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self._least is None else {"least": self._least, **self.parts}

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        parts = {name: tensor.to(device) for name, tensor in state.items()}
        self._least = parts.pop("least", None)
        self.parts = parts
