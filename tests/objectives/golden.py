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
    """

    def __init__(self, name: str, folder: str = "objectives") -> None:
        with np.load(GOLDEN / folder / f"{name}.npz") as file:
            content = {key: torch.from_numpy(file[key]) for key in file if key != "hp"}
            self.hp: dict[str, Any] = json.loads(str(file["hp"]))
        self.inputs = {key[3:]: _leaf(value) for key, value in content.items() if key.startswith("in.")}
        self.parameters = {key[6:]: value for key, value in content.items() if key.startswith("param.")}
        self.results = {key[4:]: value for key, value in content.items() if key.startswith("out.")}
        self.loss = float(self.results["loss"])
        self.grads = {key[5:]: value for key, value in self.results.items() if key.startswith("grad.")}

    def stages(self, who: str, suffix: str = "") -> list[Tensor]:
        """Stages 0, 1, ... of the "student" or the "teacher"."""
        found = [self.inputs.get(f"{who}_stage{index}{suffix}") for index in range(9)]
        return [one for one in found if one is not None]

    def setup(self, ids: Tensor | None = None) -> Setup:
        """What an objective is built from for these inputs."""
        sides = []
        for who in ("student", "teacher"):
            stage = self.inputs.get(f"{who}_stage")
            stages = self.stages(who) if stage is None else [stage]
            sides.append(Outputs(torch.zeros(1, 10), self.inputs.get(f"{who}_embedding"), tuple(stages), tuple(stages)))
        return Setup(*sides, ids=torch.arange(8) if ids is None else ids, batch_size=8)

    def state(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters whose name starts so, without it."""
        return {key.removeprefix(prefix): value for key, value in self.parameters.items() if key.startswith(prefix)}

    def linear(self, module: nn.Module, name: str) -> None:
        """Gives a linear layer the weights of that name."""
        module.load_state_dict(self.state(f"{name}."))

    def check(self, loss: Tensor, *, tolerance: float = 1e-5) -> None:
        """Value and all gradients that there are, relative to the largest entry."""
        assert loss.item() == pytest.approx(self.loss, rel=tolerance)
        loss.backward()
        for name, expected in self.grads.items():
            got = self.inputs[name].grad
            assert got is not None
            assert (got - expected).abs().max() <= tolerance * expected.abs().max(), name
        assert all(one.grad is None for name, one in self.inputs.items() if name.startswith("teacher"))


def _leaf(value: Tensor) -> Tensor:
    return value.requires_grad_() if value.is_floating_point() else value
