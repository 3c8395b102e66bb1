"""A student's body with another network's head: the same weights, its own taps, saved and loaded by name."""

from pathlib import Path

import pytest
import torch
from torch import nn

from limbeck.models import Classifier, create, load, save, untrained
from limbeck.models.reused_head import Projector, with_reused_head

IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def reused(name: str = "resnet8", **options: object) -> tuple[Classifier, Classifier]:
    """A student, and the classifier of its body and a head of 24 inputs."""
    student = create(name, num_classes=10, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), **options).eval()
    stage = student(IMAGES, want=("stages",)).stages[-1]
    classifier = with_reused_head(student, Projector(stage.shape[1], 12, 24), nn.Linear(24, 10), (4, 4))
    return student, classifier.eval()


def test_logits_are_those_of_the_head_for_the_projected_stage() -> None:
    student, classifier = reused()
    stage = nn.functional.adaptive_avg_pool2d(student(IMAGES, want=("stages",)).stages[-1], 4)
    projector, head = classifier.network.projector, classifier.network.head
    torch.testing.assert_close(classifier(IMAGES).logits, head(projector(stage).mean((2, 3))))


def test_weights_are_shared_and_the_own_head_left_out() -> None:
    student, classifier = reused()
    student_before = student(IMAGES).logits
    with torch.no_grad():
        student.network.get_submodule("layer1").get_parameter("0.conv1.weight").mul_(2)
    assert not torch.equal(student(IMAGES).logits, student_before)
    own = {id(parameter) for parameter in student.parameters()} & {
        id(parameter) for parameter in classifier.parameters()
    }
    assert len(own) == len(list(student.parameters())) - 2
    assert student.taps.embedding is not None
    assert isinstance(student.network.get_submodule(student.taps.embedding), nn.Linear)


def test_outputs_can_be_tapped() -> None:
    student, classifier = reused()
    outputs = classifier(IMAGES, want=("logits", "embedding", "stages"))
    assert outputs.embedding is not None
    assert outputs.embedding.shape == (5, 24)
    stages = student(IMAGES, want=("stages",)).stages
    assert all(torch.equal(a, b) for a, b in zip(outputs.stages, stages, strict=True))


@pytest.mark.parametrize("name", ["resnet8", "MobileNetV2", "vgg8"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    _, classifier = reused(name)
    save(classifier, tmp_path / "made")
    again = load(tmp_path / "made")
    assert torch.equal(again(IMAGES).logits, classifier(IMAGES).logits)
    assert again.config == classifier.config
    assert again.normalisation == classifier.normalisation


@pytest.mark.parametrize("name", ["resnet8", "MobileNetV2"])
def test_untrained_control_is_the_same_network(name: str) -> None:
    _, classifier = reused(name)
    before = torch.random.get_rng_state()
    controls = [untrained(classifier, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    states = [control.network.state_dict() for control in controls if control is not None]
    shapes = {key: value.shape for key, value in classifier.network.state_dict().items()}
    for other_head, state in zip(controls, states, strict=True):
        assert other_head is not None
        assert not other_head.training
        assert other_head.config == classifier.config
        assert other_head.normalisation == classifier.normalisation
        assert {key: value.shape for key, value in state.items()} == shapes
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    for key in ("head.weight", "projector.convs.0.weight"):
        assert not torch.equal(states[0][key], states[2][key])
        assert not torch.equal(states[0][key], classifier.network.state_dict()[key])
