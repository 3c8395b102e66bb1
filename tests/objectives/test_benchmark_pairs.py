"""Network and loss together, against the reference, at equal weights: the loss on a pair's stages.

The numbers are of HobbitLong/RepDistiller (commit b84f547): its losses on the features of its networks.
"""

from functools import cache

import pytest
import torch
from tests.models.benchmark import EVERYTHING, images, loaded, shapes, tiled_weights

from limbeck.models import Outputs
from limbeck.objectives import Setup, weighted_sum

LOSSES = {
    "wrn_40_2-wrn_16_2": {
        "at": 0.00145885791,
        "sp": 0.00161456573,
        "nst": 0.111838132,
        "fsp": 3079.28784,
        "kdsvd": 0.500104010,
        "ab": 181.413483,
    },
    "wrn_40_2-wrn_40_1": {"at": 0.00137177366, "sp": 0.00170366187, "nst": 0.175521344},
    "wrn_40_2-ShuffleV1": {"at": 0.00250713294, "sp": 0.00685921870, "nst": 0.140067935},
    "resnet32x4-resnet8x4": {
        "at": 0.00230958033,
        "sp": 0.000257305190,
        "nst": 0.0869901031,
        "fsp": 10.1387758,
        "kdsvd": 0.742031872,
        "ab": 234.029144,
    },
    "vgg13-MobileNetV2": {"at": 0.0146100167, "sp": 0.000560513523, "nst": 0.446462393},
}


@cache
def outputs(name: str) -> Outputs:
    """Of two images and their mirror images."""
    pixels = torch.cat([images(), images().flip(3)])
    with torch.inference_mode():
        return loaded(name, tiled_weights(shapes(name)))(pixels, want=EVERYTHING)


@pytest.mark.parametrize(("pair", "name"), [(pair, name) for pair, losses in LOSSES.items() for name in losses])
def test_losses_of_the_benchmarks_pairs(pair: str, name: str) -> None:
    teacher, student = (outputs(half) for half in pair.split("-"))
    alone = {"preparing": 0.0} if name in ("fsp", "ab") else {}
    objective = weighted_sum({name: {"weight": 1.0, **alone}})
    objective.build(Setup(student, teacher, ids=torch.arange(4)), seed=0)
    signals = {f"student_{part}": value for part, value in student._asdict().items()}
    signals |= {f"teacher_{part}": value for part, value in teacher._asdict().items()}
    with torch.inference_mode():
        total, _ = objective(signals)
    assert total.item() == pytest.approx(LOSSES[pair][name], rel=1e-4)
