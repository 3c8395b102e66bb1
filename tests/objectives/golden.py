"""Golden numbers of the reference implementations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

GOLDEN = Path(__file__).parent.parent / "golden" / "objectives"


class Golden:
    """One `.npz`: `inputs` as leaf tensors, `hp`, `loss`, `grads`."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz") as file:
            content = {key: file[key] for key in file}
        self.inputs = {k[3:]: torch.from_numpy(v).requires_grad_() for k, v in content.items() if k.startswith("in.")}
        self.hp: dict[str, Any] = json.loads(str(content["hp"]))
        self.loss = float(content["out.loss"])
        self.grads = {k[9:]: torch.from_numpy(v) for k, v in content.items() if k.startswith("out.grad.")}
