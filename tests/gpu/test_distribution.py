"""Images are learned on the GPU as on the CPU."""

from typing import Any

import pytest
import torch
from tests.gpu.conftest import CPU
from tests.transfer.condense.distribution_problems import engine, fresh, pool, recipe, start

from limbeck.models.forward import FrozenTeacher
from limbeck.transfer.condense.crops import images_of_crops
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.method_settings import Crops
from limbeck.transfer.condense.synthetic import SyntheticSet

pytestmark = pytest.mark.gpu

METHODS: dict[str, Any] = {
    "dm": {"image_rate": 20.0},
    "ncfm": {},
    "tgdd": {"synthetic_batch": 1},
}


@pytest.mark.parametrize("method", METHODS)
def test_images_are_those_of_the_cpu(device: torch.device, method: str) -> None:
    learned = torch.arange(6) != 3
    settings = recipe(method, METHODS[method])
    here, there = (
        engine(settings, pool(), start(learned=learned), network=FlatNetwork(fresh(0)), device=one)
        for one in (device, CPU)
    )
    assert here.estimate().seconds > 0
    for iteration in range(2):
        here.step(iteration)
        there.step(iteration)
    assert here.synthetic.inputs.device == device
    changed = (here.synthetic.inputs.cpu() - start().inputs).abs().flatten(1).amax(1)
    assert ((changed > 1e-3) == learned).all() or method == "tgdd"
    if method != "ncfm":  # whose frequencies are drawn on the device
        assert torch.allclose(here.synthetic.inputs.cpu(), there.synthetic.inputs, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_from_a_state_of_the_cpu(device: torch.device, method: str) -> None:
    settings = recipe(method, METHODS[method])
    whole, begun = (engine(settings, pool(), network=FlatNetwork(fresh(0)), device=device) for _ in range(2))
    whole.step(0)
    begun.step(0)
    state = {name: one.detach().cpu().clone() for name, one in begun.state_dict().items()}
    again = engine(
        settings,
        pool(),
        SyntheticSet(torch.zeros(6, 3, 8, 8), start().labels, 0.1),
        network=FlatNetwork(fresh(0)),
        device=device,
    )
    again.load_state_dict(state)
    whole.step(1)
    again.step(1)
    assert torch.allclose(whole.synthetic.inputs, again.synthetic.inputs, atol=1e-4)


def test_crops_are_those_of_the_cpu(device: torch.device) -> None:
    made = [
        images_of_crops(pool(), FrozenTeacher(fresh(0), device=one), Crops(candidates=4), [2] * 3, seed=0)
        for one in (device, CPU)
    ]
    assert torch.allclose(made[0].scores, made[1].scores, atol=1e-4)
    assert torch.equal(made[0].images, made[1].images)
