"""How calls, each of which adapts a copy of the generator, teach the generator.

Source: Fang et al., "Up to 100x faster data-free knowledge distillation", AAAI 2022; FOMAML: Finn, Abbeel and Levine,
"Model-agnostic meta-learning", ICML 2017; Reptile: Nichol, Achiam and Schulman, "On first-order meta-learning
algorithms", 2018.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from limbeck.transfer.generate.synthesis.state import adam_state, load_adam, make_adam, put, step_down, take

_REPTILE = 67.0  # gradient over distance, as published; Adam's steps do not depend on it


class Meta:
    """One Adam over the generator for all calls, and one step of it a call.

    Args:
        kind: "fomaml" (the sum of the copy's gradients of all inner steps, as published), "last" (that of the last one,
            as in the textbook), or "reptile" (from the copy to the generator).
        parameters: of the generator.
        rate: of Adam.
        betas: of Adam.
    """

    def __init__(
        self,
        kind: Literal["fomaml", "last", "reptile"],
        parameters: Sequence[Tensor],
        *,
        rate: float,
        betas: tuple[float, float],
    ) -> None:
        self.kind = kind
        self.parameters = list(parameters)
        self.collected: list[Tensor] = []
        self.adam = make_adam([{"params": self.parameters, "lr": rate}], betas)

    def collect(self, gradients: Sequence[Tensor]) -> None:
        """Takes the gradients of the copy in an inner step."""
        if self.kind == "last" or (self.kind == "fomaml" and not self.collected):
            self.collected = list(gradients)
        elif self.kind == "fomaml":
            self.collected = [total + gradient for total, gradient in zip(self.collected, gradients, strict=True)]

    def step(self, copy: Sequence[Tensor]) -> None:
        """After a call: one step of the generator, by what its copy has learned."""
        if self.kind == "reptile":
            with torch.no_grad():
                self.collected = [
                    _REPTILE * (parameter - adapted) for parameter, adapted in zip(self.parameters, copy, strict=True)
                ]
        step_down(self.adam, self.parameters, self.collected)
        self.collected = []

    def state_dict(self) -> dict[str, Tensor]:
        """The state, with the gradients that the call in progress has collected."""
        return put("adam", adam_state(self.adam)) | put(
            "collected", {str(number): gradient for number, gradient in enumerate(self.collected)}
        )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        load_adam(self.adam, take("adam", state))
        collected = take("collected", state)
        self.collected = [torch.empty_like(parameter) for parameter in self.parameters] if collected else []
        for number, gradient in enumerate(self.collected):
            gradient.copy_(collected[str(number)])
