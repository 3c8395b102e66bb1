"""Golden numbers of the reference implementations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.models import Outputs
from limbeck.objectives import Setup

GOLDEN = Path(__file__).parent.parent / "golden"


class Golden:
    """One `.npz`: `inputs` as leaf tensors, `parameters`, `hp`, `loss`, `results` and `grads`.

    `loss2` among the results is that of a second call with the same inputs.

    Args:
        name: name of the file.
        folder: its folder.
        case: which of several cases in one file.
        loss: which of several losses of the same inputs.
        dtype: of inputs and parameters; in float64 our own rounding is no part of the difference.
    """

    def __init__(
        self,
        name: str,
        folder: str = "objectives",
        *,
        case: str = "",
        loss: str = "",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        case, loss = (f"{prefix}." if prefix else "" for prefix in (case, loss))
        with np.load(GOLDEN / folder / f"{name}.npz") as file:
            content = {key.removeprefix(case): file[key] for key in file if key.startswith(case)}
        self.hp: dict[str, Any] = json.loads(str(content.pop("hp")))
        tensors = {key: _cast(torch.from_numpy(value), dtype) for key, value in content.items()}
        self.inputs = {key[3:]: _leaf(value) for key, value in tensors.items() if key.startswith("in.")}
        self.parameters = {key[6:]: value for key, value in tensors.items() if key.startswith("param.")}
        results = {key[4:]: value for key, value in tensors.items() if key.startswith("out.")}
        self.results = {key.removeprefix(loss): value for key, value in results.items() if key.startswith(loss)}
        self.loss = float(self.results["loss"])
        self.grads = {key[5:]: value for key, value in self.results.items() if key.startswith("grad.")}

    def stages(self, who: str, suffix: str = "") -> list[Tensor]:
        """Stage outputs 0, 1, ... of the "student" or the "teacher"."""
        stages = [self.inputs.get(f"{who}_stage{index}{suffix}") for index in range(9)]
        return [stage for stage in stages if stage is not None]

    def setup(self, ids: Tensor | None = None) -> Setup:
        """The setup from which an objective for these inputs is built."""
        sides = []
        for network in ("student", "teacher"):
            stage = self.inputs.get(f"{network}_stage")
            stages = self.stages(network) if stage is None else [stage]
            sides.append(
                Outputs(torch.zeros(1, 10), self.inputs.get(f"{network}_embedding"), tuple(stages), tuple(stages))
            )
        return Setup(*sides, ids=torch.arange(8) if ids is None else ids, batch_size=8)

    def state(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters whose name starts with the prefix, without it."""
        return {key.removeprefix(prefix): value for key, value in self.parameters.items() if key.startswith(prefix)}

    def linear(self, module: nn.Module, name: str) -> None:
        """Copies the weights of that name into a linear layer."""
        module.load_state_dict(self.state(f"{name}."))

    def check(self, loss: Tensor, *, tolerance: float = 1e-5, rounding: float = 0.0) -> None:
        """Checks the value and all recorded gradients, relative to the largest entry.

        Args:
            loss: with a graph down to the inputs.
            tolerance: relative.
            rounding: absolute, of a value that is the small rest of large numbers.
        """
        assert loss.item() == pytest.approx(self.loss, rel=tolerance, abs=rounding)
        loss.backward()
        for name, expected in self.grads.items():
            grad = self.inputs[name].grad
            assert grad is not None
            assert (grad - expected).abs().max() <= tolerance * expected.abs().max(), name
        assert all(tensor.grad is None for name, tensor in self.inputs.items() if name.startswith("teacher"))


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if value.is_floating_point() else value


def _leaf(value: Tensor) -> Tensor:
    return value.requires_grad_() if value.is_floating_point() else value
