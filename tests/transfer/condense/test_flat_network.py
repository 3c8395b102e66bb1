from typing import Any

import pytest
import torch

import limbeck as lb
from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.transfer.condense.flat_network import FlatNetwork


def classifier(model: str = "convnet_d3", **options: Any) -> lb.Classifier:
    options = {"width": 4, **options} if model == "convnet_d3" else options
    return lb.create(model, num_classes=5, input_size=8, **options)


def test_logits_and_features_are_those_of_the_classifier() -> None:
    network, other = FlatNetwork(classifier()), classifier(seed=1).eval()
    images = torch.rand(3, 3, 8, 8)
    expected = other(images, want=("logits", "embedding"))
    theta, inputs = network.vector(other), other.prepare(images)
    assert theta.shape == (network.size,)
    assert torch.equal(network.logits(theta, inputs), expected.logits)
    assert expected.embedding is not None
    assert torch.equal(network.features(theta, inputs), expected.embedding)


def test_gradients_reach_parameters_and_inputs_through_logits_and_features() -> None:
    network = FlatNetwork(classifier())
    for compute in (network.logits, network.features):
        theta = network.vector(network.classifier).double().requires_grad_()
        inputs = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
        compute(theta, inputs).square().sum().backward()
        assert theta.grad is not None
        assert inputs.grad is not None
        assert theta.grad.norm() > 0
        assert inputs.grad.norm() > 0


def test_nothing_of_the_classifier_is_written_and_nothing_is_reseeded() -> None:
    original = classifier().train()
    before = {name: value.clone() for name, value in original.state_dict().items()}
    state = torch.get_rng_state()
    network = FlatNetwork(original)
    network.logits(torch.zeros(network.size), torch.zeros(1, 3, 8, 8))
    network.load(torch.zeros(network.size))
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items())
    assert original.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loaded_classifier_has_the_parameters_for_itself() -> None:
    network = FlatNetwork(classifier())
    theta = torch.randn(network.size)
    loaded = network.load(theta)
    assert torch.equal(network.vector(loaded), theta)
    theta.zero_()
    assert network.vector(loaded).norm() > 0
    assert not loaded.training
    loaded(torch.rand(1, 3, 8, 8)).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_a_vector_is_a_copy() -> None:
    network = classifier()
    theta = FlatNetwork(network).vector(network)
    theta.zero_()
    assert next(network.parameters()).norm() > 0


def test_networks_that_remember_statistics_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"'convnet_d3' cannot be one vector of parameters: 'layers\.0\.1' \(BatchNorm2d\)"
    ):
        FlatNetwork(classifier(norm="batch"))


def test_networks_without_parameters_are_refused() -> None:
    with pytest.raises(UserError, match="'Flatten' has no parameters"):
        FlatNetwork(Classifier(torch.nn.Flatten(), num_classes=192))


def test_vectors_and_modules_of_other_networks_are_refused() -> None:
    network = FlatNetwork(classifier())
    with pytest.raises(UserError, match=r"`theta` must hold the [0-9,]+ parameters of 'convnet_d3'.*got shape \[7\]"):
        network.logits(torch.zeros(7), torch.zeros(1, 3, 8, 8))
    with pytest.raises(UserError, match=r"`theta` must hold"):
        network.load(torch.zeros(1, network.size))
    with pytest.raises(
        UserError, match=r"`module` must have the parameters of 'convnet_d3'.*options or classes others"
    ):
        network.vector(classifier(width=6))
