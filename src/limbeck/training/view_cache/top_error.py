"""The error of keeping only the largest logits: how far softmax of the kept ones is from softmax of all."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.files import atomic_write_text

TEMPERATURES = (1.0, 4.0)


def total_variation(logits: Tensor, kept: Tensor, *, temperature: float) -> Tensor:
    """Half the sum of absolute differences of the two softmaxes, float32 [B] in [0, 1].

    Args:
        logits, kept: [B, K].
        temperature: > 0.
    """
    return ((logits / temperature).softmax(1) - (kept / temperature).softmax(1)).abs().sum(dim=1) / 2


class TopError:
    """Mean and largest total variation over all outputs ever stored, at two temperatures, in a file beside them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: list[Tensor] = []

    def add(self, logits: Tensor, kept: Tensor) -> None:
        self._new.append(torch.stack([total_variation(logits, kept, temperature=t) for t in TEMPERATURES]))

    def save(self) -> None:
        """Adds the new errors to those in the file."""
        if not self._new:
            return
        before = self.read() or {"answers": 0, "mean": [0.0, 0.0], "largest": [0.0, 0.0]}
        new = torch.cat(self._new, dim=1).double()
        count = before["answers"] + new.shape[1]
        mean = (torch.tensor(before["mean"]) * before["answers"] + new.sum(dim=1)) / count
        largest = torch.maximum(torch.tensor(before["largest"]), new.amax(dim=1))
        content = {"temperatures": TEMPERATURES, "answers": count, "mean": mean.tolist(), "largest": largest.tolist()}
        atomic_write_text(self._path, json.dumps(content, indent=1) + "\n")
        self._new = []

    def read(self) -> dict[str, Any] | None:
        """`temperatures`, `answers`, `mean` and `largest`, or None where nothing was stored."""
        return json.loads(self._path.read_text()) if self._path.exists() else None
