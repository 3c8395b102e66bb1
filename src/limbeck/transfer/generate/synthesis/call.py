"""A call in progress."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.transfer.generate.synthesis.kept import Keep, Kept
from limbeck.transfer.generate.synthesis.state import put, take


@dataclass
class Call:
    """The state of a call, besides what is optimised in it.

    Attributes:
        number: 0, 1, ...
        labels: int64 [count] that images are to have, or None for those that the teacher gives.
        count: of the images.
        kept: the best so far.
        step: steps done.
        passes: images that the teacher was run on.
    """

    number: int
    labels: Tensor | None
    count: int
    kept: Kept
    step: int = 0
    passes: int = 0

    def state_dict(self) -> dict[str, Tensor]:
        labels = {} if self.labels is None else {"labels": self.labels}
        numbers = {name: torch.tensor(getattr(self, name)) for name in ("number", "count", "step", "passes")}
        return {**numbers, **labels, **put("kept", self.kept.state_dict())}

    @classmethod
    def of(cls, state: Mapping[str, Tensor], keep: Keep, device: torch.device) -> "Call":
        """The call of a state."""
        numbers = {name: int(state[name]) for name in ("number", "count", "step", "passes")}
        labels = state["labels"].to(device, copy=True) if "labels" in state else None
        kept = Kept(keep)
        kept.load_state_dict(take("kept", state), device)
        return cls(labels=labels, kept=kept, **numbers)
