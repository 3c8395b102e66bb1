"""Generators that start afresh."""

from typing import Any

import pytest
import torch

from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks import ImageNetwork, build_network, renew, renew_first, renew_if_due


def made(**settings: Any) -> ImageNetwork:
    network = build_network(Generator(**{"width": 16, **settings}), shape=(3, 32, 32), num_classes=10, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(3)  # as if it had learned
    return network


@pytest.mark.parametrize("settings", [{}, {"network": "large"}, {"network": "light", "noisy": True}])
def test_all_of_it_as_published(settings: dict[str, Any]) -> None:
    network = made(**settings)
    renew(network, seed=0, call=2)
    for name, tensor in network.state_dict().items():
        if name == "noisy.codes":
            continue
        if name.endswith("bias"):
            assert not tensor.any(), name
        else:
            gain = 1.0 if name.endswith(("bn.weight", "gain")) else 0.0
            assert abs(float(tensor.mean()) - gain) < 0.02, name
            assert abs(float(tensor.std()) - 0.02) < 0.01, name


@pytest.mark.parametrize("network", ["published", "light", "large"])
@pytest.mark.parametrize("gain_near_zero", [False, True])
def test_its_first_layers_alone(network: str, gain_near_zero: bool) -> None:
    generator = made(network=network)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    renew_first(generator, seed=0, call=140, gain_near_zero=gain_near_zero)
    after = generator.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    layer = "conv" if network == "large" else "linear"
    assert changed - {"body.first.linear.bias"} == {
        f"body.first.{layer}.weight", "body.first.bn.weight", "body.first.bn.bias"
    }  # fmt: skip
    assert abs(float(after[f"body.first.{layer}.weight"].std()) - 0.02) < 0.005
    assert not after["body.first.bn.bias"].any()
    gain = after["body.first.bn.weight"]
    assert (float(gain.abs().max()) < 0.1) if gain_near_zero else torch.equal(gain, torch.ones_like(gain))
    assert gain.any()


def test_it_is_due_as_settings_say() -> None:
    network = made()

    def due(calls: int = 7, **settings: Any) -> list[int]:
        return [n for n in range(1, calls) if renew_if_due(network, Generator(**settings), seed=0, call=n)]

    assert due() == []
    assert due(renew=1) == [1, 2, 3, 4, 5, 6]
    assert due(renew=3) == [1, 4]
    assert due(renew_once=5) == [5]
    assert due(renew=4, renew_once=2) == [1, 2, 5]


def test_a_renewal_is_of_seed_and_call_alone() -> None:
    def renewed(**when: Any) -> torch.Tensor:
        network = made()
        torch.rand(1)
        renew(network, **when)
        return network.get_parameter("body.last.weight")

    assert torch.equal(renewed(seed=1, call=2), renewed(seed=1, call=2))
    assert not torch.equal(renewed(seed=1, call=2), renewed(seed=1, call=3))
    assert not torch.equal(renewed(seed=1, call=2), renewed(seed=2, call=2))
