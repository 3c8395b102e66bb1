"""Images learned or made on a GPU equal those of the CPU, but for rounding."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from tests.gpu.conftest import CPU
from tests.transfer.condense.distribution_problems import engine, pool, recipe
from tests.transfer.condense.matching_problems import Mask, Problem, engine_for, problem, settings_for
from tests.transfer.generate.synthesis.toys import EVERY, labels_of, network, settings_of, synthesiser
from torch.utils._pytree import tree_map_only

from limbeck.transfer.condense.matching import GradientKind
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.step_gradients import StepGradients

pytestmark = pytest.mark.gpu

MATCHED = [name for name, method in METHODS.items() if method.values["by"] == "trajectories"]


@pytest.mark.parametrize("gradient", ["exact", "unrolled", "tesla"])
@pytest.mark.parametrize("name", MATCHED)
def test_trajectories_are_matched_as_on_the_cpu(device: torch.device, name: str, gradient: str) -> None:
    changed: dict[str, Any] = {"batch": 3, "drop": 0.25, "rate_rate": 1e-3, "gradient": gradient}
    settings, inputs = settings_for(name, views="dsa", matching=changed), []
    for place in (device, CPU):
        matching = engine_for(settings, mask=Mask(), device=place)
        for iteration in range(2):
            matching.step(iteration)
        inputs.append(matching.synthetic.inputs.cpu())
    torch.testing.assert_close(*inputs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("gradient", ["exact", "tesla"])
@pytest.mark.parametrize("options", [{}, {"soft": False}, {"views": False}, {"chunk": 3}], ids=str)
def test_replayed_steps_are_those_that_are_launched(
    device: torch.device, options: dict[str, Any], gradient: GradientKind
) -> None:
    if device.type != "cuda":
        pytest.skip("a CPU replays nothing")
    solving = {"gradient": gradient, **{name: options[name] for name in options if name == "chunk"}}
    task = problem(dtype=torch.float32, **{name: value for name, value in options.items() if name != "chunk"})
    task.network.to(device)
    task = on(device, task)
    computing = StepGradients(task.network, replayed=True)
    for rate in (0.05, 0.1):  # the second solve is replayed from its first step
        task = task._replace(rate=torch.tensor(rate, device=device), start=task.start * (1 - rate))
        replayed, launched = task.solve(computing=computing, **solving), task.solve(**solving)
        torch.testing.assert_close(replayed, launched, rtol=1e-6, atol=1e-7)


def on(device: torch.device, posed: Problem) -> Problem:
    """The same problem, its tensors on the device."""
    return Problem(*(tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), part) for part in posed))


def test_an_estimate_of_matching(device: torch.device) -> None:
    estimate = engine_for(settings_for("datm"), device=device).estimate()
    assert estimate.seconds > 0
    assert estimate.memory > 0


@pytest.mark.parametrize("name", ["dm", "tgdd", "ncfm"])
def test_distributions_are_matched(device: torch.device, name: str) -> None:
    inputs = []
    for place in (device, CPU):
        matching = engine(recipe(name), pool(), device=place)
        for iteration in range(2):
            matching.step(iteration)
        inputs.append(matching.synthetic.inputs.cpu())
    if name == "ncfm":  # ncfm draws its frequencies on the device
        assert inputs[0].isfinite().all()
    else:
        torch.testing.assert_close(*inputs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_a_call_makes_the_same_images_twice(device: torch.device, name: str) -> None:
    settings = settings_of(name)
    teacher, student = (deepcopy(network(seed)).to(device) for seed in (0, 1))
    first, again = (
        synthesiser(settings, teacher, device=device).call(0, labels_of(settings), student=student) for _ in range(2)
    )
    assert torch.equal(first.images, again.images)
    assert first.images.float().std() > 0
