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
    on_device, on_cpu = (
        engine(settings, pool(), start(learned=learned), network=FlatNetwork(fresh(0)), device=place)
        for place in (device, CPU)
    )
    assert on_device.estimate().seconds > 0
    for iteration in range(2):
        on_device.step(iteration)
        on_cpu.step(iteration)
    assert on_device.synthetic.inputs.device == device
    changed = (on_device.synthetic.inputs.cpu() - start().inputs).abs().flatten(1).amax(1)
    assert ((changed > 1e-3) == learned).all() or method == "tgdd"
    if method != "ncfm":  # ncfm draws its frequencies on the device
        assert torch.allclose(on_device.synthetic.inputs.cpu(), on_cpu.synthetic.inputs, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_from_a_state_of_the_cpu(device: torch.device, method: str) -> None:
    settings = recipe(method, METHODS[method])
    whole, restored = (engine(settings, pool(), network=FlatNetwork(fresh(0)), device=device) for _ in range(2))
    whole.step(0)
    restored.step(0)
    state = {name: tensor.detach().cpu().clone() for name, tensor in restored.state_dict().items()}
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
    synthetic_sets = [
        images_of_crops(pool(), FrozenTeacher(fresh(0), device=place), Crops(candidates=4), [2] * 3, seed=0)
        for place in (device, CPU)
    ]
    assert torch.allclose(synthetic_sets[0].scores, synthetic_sets[1].scores, atol=1e-4)
    assert torch.equal(synthetic_sets[0].images, synthetic_sets[1].images)
