"""Networks of timm: head, stages, normalisation and size are found, and wrong names are reported."""

import json
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from limbeck.errors import UserError
from limbeck.models import create, load, save
from limbeck.models.timm_evaluation import evaluation_remark
from limbeck.models.timm_taps import find_taps
from limbeck.recipes.verbs import evaluate_saved

EVERYTHING = ("logits", "embedding", "stages", "pre_activations")


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory) -> Path:
    """A network as `timm.models.save_for_hf` saves it."""
    folder = tmp_path_factory.mktemp("hub")
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model("test_resnet", num_classes=3, in_chans=1)
    timm.models.save_for_hf(
        network, str(folder), model_config={"label_names": ["a", "b", "c"]}, safe_serialization=True
    )
    return folder


def test_convolutional() -> None:
    classifier = create("timm:test_resnet", num_classes=7).eval()
    assert classifier.input_size == (160, 160)
    assert classifier.normalisation == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert classifier.taps.embedding == "fc"
    outputs = classifier(torch.rand(1, 3, 32, 32), want=EVERYTHING)
    assert [tuple(stage.shape[1:]) for stage in outputs.stages][-1] == (96, 5, 5)
    for before, after in zip(outputs.pre_activations, outputs.stages, strict=True):
        assert torch.equal(after, before.relu())
    assert torch.equal(classifier.network.get_submodule("fc")(outputs.embedding), outputs.logits)


def test_transformer() -> None:
    classifier = create("timm:test_vit", num_classes=7, input_size=64).eval()
    outputs = classifier(torch.rand(2, 1, 32, 32), want=("logits", "embedding", "stages"))
    assert [tuple(stage.shape) for stage in outputs.stages] == [(2, 64, 4, 4)] * 6
    assert outputs.embedding.shape == (2, 64)
    with pytest.raises(UserError, match=r"stage 'blocks.0' ends in Block, which is not an activation"):
        classifier(torch.rand(2, 1, 32, 32), want=("pre_activations",))


def test_transformer_of_many_blocks() -> None:
    classifier = create("timm:deit_tiny_patch16_224", num_classes=5, input_size=32)
    assert classifier.taps.stages == ("blocks.2", "blocks.5", "blocks.8", "blocks.11")
    assert classifier(torch.rand(1, 3, 8, 8), want=("stages",)).stages[0].shape == (1, 192, 2, 2)


def test_stages_of_one_s_own_and_gray() -> None:
    classifier = create("timm:test_vit", num_classes=7, channels=1, input_size=32, stages=["blocks.1"])
    outputs = classifier(torch.rand(1, 3, 32, 32), want=("stages",))
    assert [tuple(stage.shape) for stage in outputs.stages] == [(1, 64, 2, 2)]
    assert classifier.normalisation == ((0.5,), (0.5,))
    with pytest.raises(UserError, match=r"unknown module path 'block.1'; did you mean 'blocks.1'"):
        create("timm:test_vit", num_classes=7, stages=["block.1"])


def test_evaluation_that_differs_from_timm_s_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create("timm:resnet10t", num_classes=10, channels=1, input_size=8, classes=[str(i) for i in range(10)])
    said: list[str] = []
    monkeypatch.setattr("limbeck.recipes.verbs.load_network", lambda *_, **__: network)
    for name in ("timm:resnet10t", "runs/student"):
        evaluate_saved(name, "digits", split=None, say=said.append)
    assert said == [evaluation_remark(network)]
    assert "timm evaluates timm:resnet10t on the central 0.875 of a side (`crop_pct`), resized bicubic; here" in said[0]
    network.network.pretrained_cfg = {"crop_pct": 1.0, "interpolation": "bilinear"}
    assert evaluation_remark(network) == evaluation_remark(create("resnet8", num_classes=2)) == ""


def test_same_seed_same_weights() -> None:
    first, same, other = (create("timm:test_resnet", num_classes=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.network.get_parameter("fc.weight"), same.network.get_parameter("fc.weight"))
    assert not torch.equal(first.network.get_parameter("fc.weight"), other.network.get_parameter("fc.weight"))


def test_finding_taps_leaves_the_network_as_it_was() -> None:
    network = timm.create_model("test_resnet", num_classes=4).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    find_taps(network, 3, (32, 32))
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(not module._forward_hooks for module in network.modules())


def test_outputs_that_are_no_maps_give_no_stages() -> None:
    class Pyramid(nn.Sequential):
        feature_info = ({"module": "0"}, {"module": "2"})

        def get_classifier(self) -> nn.Module:
            return self[3]

    network = Pyramid(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    network.feature_info = list(network.feature_info)
    taps = find_taps(network, 3, (8, 8))
    assert taps.embedding == "3"
    assert taps.stages == ()


class _ChannelsLast(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1)


class _Staged(nn.Sequential):
    """A stage [B, width, 6, 6], which VOLO and SAM have channels last, in a network that has no `output_fmt`."""

    def __init__(self, channels: int, *after: nn.Module, width: int = 4) -> None:
        super().__init__(nn.Sequential(nn.Conv2d(3, width, 3), *after), nn.Flatten(), nn.Linear(36 * width, 2))
        self.feature_info = [{"module": "0", "num_chs": channels}]

    def get_classifier(self) -> nn.Module:
        return self[2]


def test_maps_with_channels_last_are_told_by_the_channels_that_timm_lists() -> None:
    for network, layout in (
        (_Staged(4, _ChannelsLast()), "maps_last"),
        (_Staged(4), "maps"),
        (_Staged(6, width=6), "maps"),  # both sides agree
    ):
        taps = find_taps(network, 3, (8, 8))
        assert (taps.stages, taps.layout) == (("0",), layout)
    assert find_taps(_Staged(5), 3, (8, 8)).stages == ()


def test_round_trip(tmp_path: Path) -> None:
    classifier = create("timm:test_vit", num_classes=3, input_size=32, drop_path_rate=0.1).eval()
    save(classifier, tmp_path / "one")
    again = load(tmp_path / "one")
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(again(image).logits, classifier(image).logits)
    assert again.config == classifier.config
    assert again.config["options"]["drop_path_rate"] == 0.1


def test_hub_folder(hub_folder: Path, tmp_path: Path) -> None:
    classifier = load(hub_folder)
    reference = timm.create_model(f"local-dir:{hub_folder}", pretrained=True).eval()
    image = torch.rand(1, 1, 160, 160)
    assert torch.allclose(classifier(image).logits, reference((image - 0.5) / 0.5), atol=1e-5)
    assert classifier.name == "timm:test_resnet"
    assert (classifier.num_classes, classifier.channels) == (3, 1)
    assert classifier.classes == ("a", "b", "c")
    save(classifier, tmp_path / "ours")
    assert torch.equal(load(tmp_path / "ours")(image).logits, classifier(image).logits)
    assert load(hub_folder, num_classes=2).num_classes == 2


def test_hub_folder_of_another_model(hub_folder: Path) -> None:
    with pytest.raises(UserError, match="holds a timm:test_resnet, so `model` must be that or left out"):
        load(hub_folder, model="resnet20")


def test_hub_folder_without_weights(hub_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((hub_folder / "config.json").read_text())
    with pytest.raises(UserError, match=r"weights of timm's .* cannot be had"):
        load(tmp_path)


def test_hub_folder_of_an_architecture_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "nonesuch", "pretrained_cfg": {}}))
    with pytest.raises(UserError, match="cannot be had"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm:test_resnett", {}, r"unknown timm model 'test_resnett'; did you mean 'test_resnet'.*list_models"),
        ("timm:test_resnet.nope", {}, "unknown timm weights 'test_resnet.nope'; .*test_resnet.r160_in1k"),
        ("timm:test_resnet", {"arguments": {"bogus": 1}}, "timm cannot build 'test_resnet' with .*bogus"),
        ("timm:test_resnet", {"drop_rate": 1.0}, r"`drop_rate` of timm:test_resnet must be a number in \[0, 1\)"),
        ("timm:test_resnet", {"norm": "batch"}, "unknown model option 'norm'.*has pretrained, drop_rate"),
        ("timm:test_resnet", {"num_classes": 0}, "`num_classes` must be at least 1, got 0"),
    ],
)
def test_wrong_names(name: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        create(name, **({"num_classes": 4} | options))
