"""Losses on logits that later work compares with, against numbers of their reference implementations.

Values and gradients of mdistiller (dkd), logit-standardization-KD (kd, dkd and mlkd on standardised logits),
image_classification_sota (dist) and EA-KD.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.objectives.golden import GOLDEN, Golden
from torch import Tensor

from limbeck.objectives.functional import dist, dkd, ea_kd, kd, mlkd

LOSSES: dict[str, Callable[..., Tensor]] = {"kd": kd, "dkd": dkd, "mlkd": mlkd, "dist": dist, "ea_kd": ea_kd}


def cases(name: str) -> list[str]:
    with np.load(GOLDEN / "peers" / f"{name}.npz") as file:
        return sorted({key.split(".")[0] for key in file}, key=int)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "case"), [(name, case) for name in LOSSES for case in cases(name)])
def test_value_and_gradient_equal_the_reference(name: str, case: str, dtype: torch.dtype) -> None:
    golden = Golden(name, "peers", case=case, dtype=dtype)
    inputs = dict(golden.inputs)
    labels = inputs.pop("labels")
    loss = LOSSES[name](**inputs, **({"labels": labels} if name == "dkd" else {}), **golden.hp)
    # A divergence is the small rest of larger numbers, which float32 rounds; float64 holds to the relative bound.
    golden.check(loss, rounding=1e-5 if dtype is torch.float32 else 0.0)


def test_no_case_is_missing() -> None:
    assert {name: len(cases(name)) for name in LOSSES} == {"kd": 3, "dkd": 9, "mlkd": 12, "dist": 6, "ea_kd": 6}
