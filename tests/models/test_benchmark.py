"""Checkpoints of the CIFAR distillation benchmarks load under their own names and give the same outputs."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.benchmark import (
    EVERYTHING,
    FOLDER,
    drawn_weights,
    facts,
    images,
    loaded,
    sample,
    shapes,
    tiled_weights,
)
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models import Outputs, create, load, load_state
from limbeck.models.layers import shuffle_channels

NETWORKS = list(json.loads((FOLDER / "model_zoo.json").read_text()))
PEERS = ["resnet8x4", "wrn_16_2", "vgg8", "ShuffleV2"]
FAMILIES = ["wrn_16_2", "ResNet50", "MobileNetV2", "ShuffleV2", "ShuffleV1", "vgg8", "resnet8x4"]
SMALL = [name for name in FAMILIES if name != "ResNet50"]
PREFIXES = ["", "module.", "model.", "module.student.", "", "module.", "student."]


def answered(name: str, state: dict[str, Tensor], pixels: Tensor) -> Outputs:
    with torch.inference_mode():
        return loaded(name, state).to(pixels.dtype)(pixels, want=EVERYTHING)


def check(got: Tensor, expected: np.ndarray, *, tolerance: float = 1e-5) -> None:
    """Checks that both are equal, relative to the largest entry."""
    wanted = torch.from_numpy(expected)
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()


@pytest.mark.parametrize("name", PEERS)
def test_given_weights_give_the_published_outputs(name: str) -> None:
    with np.load(FOLDER / "peers" / f"zoo_{name}.npz") as file:
        golden = {key: file[key] for key in file}
    names = [str(text) for text in golden["names"]]
    sides = [json.loads(str(text).replace("(", "[").replace(",)", ")").replace(")", "]")) for text in golden["shapes"]]
    seed = json.loads(str(golden["hp"]))["weights_seed"]
    outputs = answered(name, drawn_weights(names, sides, seed), torch.from_numpy(golden["in.images"]))
    assert outputs.embedding is not None
    features = [*outputs.stages, outputs.embedding]
    check(outputs.logits, golden["out.logits"])
    for index, feature in enumerate(features):
        mean = feature.double().flatten(2).mean(2) if feature.ndim == 4 else feature
        check(mean, golden[f"out.feature_mean.{index}"])
        if f"out.feature.{index}" in golden:
            check(feature, golden[f"out.feature.{index}"])
    assert len(features) == sum(key.startswith("out.feature_mean.") for key in golden)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_answers_as_in_the_benchmark(name: str) -> None:
    outputs = answered(name, tiled_weights(shapes(name)), images().double())
    assert outputs.embedding is not None
    check(outputs.logits, facts(name)["logits"], tolerance=1e-10)
    features = torch.stack([sample(output) for output in (*outputs.stages, outputs.embedding)])
    for got, expected in zip(features, facts(name)["features"], strict=True):
        check(got, expected, tolerance=1e-10)
    for got, expected in zip(outputs.pre_activations[1:], facts(name)["pre_activations"], strict=True):
        # The benchmark takes these before the shuffle, which interleaves the channels of both halves; this undoes it.
        unshuffled = shuffle_channels(got, got.shape[1] // 2) if name == "ShuffleV2" else got
        check(sample(unshuffled), expected, tolerance=1e-10)


@pytest.mark.parametrize("name", ["wrn_16_1", "wrn_40_2", "resnet8", "vgg8_w2", "MobileNetV2", "ShuffleV1"])
def test_the_last_map_is_the_deepest_stage_after_its_activation(name: str) -> None:
    classifier = create(name, num_classes=3).eval()
    with torch.inference_mode():
        outputs = classifier(images(), want=EVERYTHING)
        alone = classifier(images(), want=("last_map",)).last_map
    assert outputs.last_map is not None
    assert alone is not None
    assert torch.equal(alone, outputs.last_map)
    if name.startswith("wrn"):
        assert torch.equal(outputs.last_map, outputs.pre_activations[-1].relu())
        assert outputs.stages[-1].min() < 0
        torch.testing.assert_close(outputs.last_map.mean((2, 3)), outputs.embedding)
    else:
        assert torch.equal(outputs.last_map, outputs.stages[-1])


@pytest.mark.parametrize(("name", "prefix"), list(zip(FAMILIES, PREFIXES, strict=True)))
def test_a_file_as_the_benchmark_saves_it(tmp_path: Path, name: str, prefix: str) -> None:
    state = {prefix + key: value for key, value in tiled_weights(shapes(name)).items()}
    command = Namespace(learning_rate=0.05, lr_decay_epochs=[150, 180, 210], model=name)
    rest = {"optimizer": {"state": {}, "param_groups": [{"lr": 0.05}]}, "accuracy": torch.tensor(75.6)}
    torch.save({"opt": command, "model": state, "epoch": 240, "best_acc": 0.756, **rest}, tmp_path / "last.pth")
    classifier = load(tmp_path / "last.pth", model=name, num_classes=100, mean=(0, 0, 0), std=(1, 1, 1))
    with torch.inference_mode():
        check(classifier(images()).logits, facts(name)["logits"])


def test_a_file_without_a_suffix(tmp_path: Path) -> None:
    """mdistiller saves its students like this."""
    torch.save({"model": tiled_weights(shapes("wrn_16_2"))}, tmp_path / "student_best")
    classifier = load(tmp_path / "student_best", model="wrn_16_2", num_classes=100, mean=(0, 0, 0), std=(1, 1, 1))
    with torch.inference_mode():
        check(classifier(images()).logits, facts("wrn_16_2")["logits"])
    (tmp_path / "README").write_text("none")
    with pytest.raises(UserError, match=r"README' is damaged or no file of torch.save"):
        load(tmp_path / "README", model="wrn_16_2", num_classes=100, mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize("name", SMALL)
def test_names_of_both_kinds_may_be_mixed_but_not_double(name: str) -> None:
    state = tiled_weights(shapes(name))
    ours = loaded(name, state).network.state_dict()
    mixed = dict(list(state.items())[: len(state) // 2]) | dict(list(ours.items())[len(state) // 2 :])
    assert all(torch.equal(value, ours[key]) for key, value in loaded(name, mixed).network.state_dict().items())
    with pytest.raises(UserError, match=rf"do not fit {name}; \d+ unexpected: "):
        load_state(create(name, num_classes=100), state | ours)


@pytest.mark.parametrize("name", SMALL)
def test_another_number_of_classes_is_told_as_such(name: str) -> None:
    with pytest.raises(
        UserError, match=r"2 of another shape: head.weight.*give the `num_classes` that the weights have"
    ):
        load_state(create(name, num_classes=10), tiled_weights(shapes(name)))


def test_another_network_of_the_family_is_refused_in_the_files_own_names() -> None:
    with pytest.raises(UserError, match=r"do not fit wrn_16_2; 144 unexpected: block1.layer.2.bn1.weight"):
        load_state(create("wrn_16_2", num_classes=100), tiled_weights(shapes("wrn_40_2")))
    with pytest.raises(UserError, match=r"do not fit ShuffleV2; \d+ missing: .* unexpected: .*of another shape"):
        load_state(create("ShuffleV2", num_classes=100), tiled_weights(shapes("ResNet50")))


def test_a_shallower_network_of_the_same_make() -> None:
    """Names as in the benchmarks' ResNet50: a projected shortcut is `shortcut`, the head is `linear`."""
    ours = create("resnet18", num_classes=10, seed=1).network.state_dict()
    theirs = {key.replace("downsample", "shortcut").replace("head", "linear"): value for key, value in ours.items()}
    fresh = create("resnet18", num_classes=10, seed=2)
    load_state(fresh, theirs)
    assert all(torch.equal(value, ours[key]) for key, value in fresh.network.state_dict().items())
