"""limbeck's own folders: round trip, checks, atomic replacement; files, with arguments for what they do not hold."""

import errno
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models import Classifier, create, load, save


@pytest.fixture
def folder(small: Classifier, tmp_path: Path) -> Path:
    save(small, tmp_path / "small")
    return tmp_path / "small"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_round_trip(small: Classifier, folder: Path, images: Tensor) -> None:
    again = load(folder)
    assert not again.training
    assert torch.equal(again(images).logits, small.eval()(images).logits)
    assert again.classes == small.classes
    assert again.normalisation == small.normalisation
    assert again.config == small.config
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["convnet_d3", "lenet5", "MobileNetV2"])
def test_round_trip_with_options_and_size(tmp_path: Path, name: str) -> None:
    options = {"width": 8, "norm": "batch"} if name == "convnet_d3" else {}
    classifier = create(name, num_classes=3, channels=1, input_size=(8, 12), **options).eval()
    save(classifier, tmp_path / "one")
    image = torch.rand(1, 1, 8, 12)
    assert torch.equal(load(tmp_path / "one")(image).logits, classifier(image).logits)
    assert load(tmp_path / "one").input_size == (8, 12)


def test_channels_last_and_bfloat16(tmp_path: Path, small: Classifier) -> None:
    save(small.to(torch.bfloat16, memory_format=torch.channels_last), tmp_path / "one")
    weights = load(tmp_path / "one").network.get_parameter("block0.0.weight")
    assert torch.equal(weights, small.network.get_parameter("block0.0.weight").float())


def test_overrides(folder: Path) -> None:
    again = load(folder, mean=(0, 0, 0), std=(1, 1, 1), input_size=16, classes=("w", "x", "y", "z"))
    assert again.normalisation == ((0, 0, 0), (1, 1, 1))
    assert again.input_size == (16, 16)
    assert again.classes == ("w", "x", "y", "z")


def test_weights_file_of_a_folder_knows_its_config(small: Classifier, folder: Path) -> None:
    assert load(folder / "model.safetensors").classes == small.classes


def test_newer_replaces_older(small: Classifier, folder: Path) -> None:
    newer = create("vgg8_w2", num_classes=3, seed=9)
    save(newer, folder)
    assert load(folder).num_classes == 3
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_older_one(
    folder: Path, images: Tensor, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    expected = load(folder)(images).logits

    def full(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(code, "full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        save(create("vgg8_w2", num_classes=4, seed=9), folder)
    assert torch.equal(load(folder)(images).logits, expected)
    assert [path.name for path in folder.parent.iterdir()] == ["small"]


def test_other_files_are_not_overwritten(small: Classifier, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds something else than a saved classifier and is not overwritten"):
        save(small, tmp_path)
    with pytest.raises(UserError, match="holds something else"):
        save(small, tmp_path / "thesis.tex")


def test_nan_is_not_saved(small: Classifier, tmp_path: Path) -> None:
    with torch.no_grad():
        small.network.get_parameter("head.bias")[0] = float("nan")
    with pytest.raises(UserError, match=r"weights in 'vgg8_w2' hold NaN or infinity in head.bias"):
        save(small, tmp_path / "one")
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "was written neither by limbeck nor by timm"),
        ({"version": 4}, "has format version 4, this limbeck reads 1 to 3; update limbeck"),
        ({"version": 3}, "lacks module; save the classifier again"),
        ({"name": "vgg9"}, "unknown model 'vgg9'"),
        ({"name": "vgg8_w4"}, "do not fit vgg8_w4; .* of another shape: block0.0.weight"),
        ({"options": {"width": 3}}, "vgg8_w2 has no options"),
        ({"std": [0, 1, 1]}, "`std` must be > 0"),
    ],
)
def test_edited_config(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(UserError, match=message):
        load(folder)


def test_broken_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": "limbeck-classifier", "version": 1}')
    with pytest.raises(UserError, match="lacks name, options, num_classes"):
        load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="is no JSON"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds no config.json"):
        load(folder)


def test_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no weights file '.*model.safetensors'"):
        load(folder)


def test_record_and_request_differ(folder: Path) -> None:
    with pytest.raises(UserError, match="has 4 classes, so `num_classes` must be that or left out, got 10"):
        load(folder, num_classes=10)
    with pytest.raises(UserError, match="holds a vgg8_w2, so `model` must be that or left out, got 'resnet20'"):
        load(folder, model="resnet20")
    assert load(folder, model="VGG8_W2", num_classes=4).num_classes == 4


def test_file_of_somebody_else(small: Classifier, tmp_path: Path, images: Tensor) -> None:
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(small.network.state_dict(), path)
    arguments = {"model": "vgg8_w2", "num_classes": 4, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    assert torch.equal(load(path, **arguments)(images).logits, small.eval()(images).logits)
    with pytest.raises(UserError, match="a weights file needs `model`"):
        load(path)
    with pytest.raises(UserError, match="needs `num_classes` and `mean` and `std` as in the training of"):
        load(path, model="vgg8_w2")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown weights 'cifar10-resnet2'; did you mean .*'cifar10-resnet20'"):
        load("cifar10-resnet2")
    with pytest.raises(UserError, match=r"no classifier at '.*nothing': no such folder or file"):
        load(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"no weights file 'nothing.pth'"):
        load("nothing.pth", model="resnet20", num_classes=10, mean=(0,) * 3, std=(1,) * 3)


def test_a_path_is_a_path_and_a_name_that_is_a_folder_too_is_said(
    small: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(small, "cifar10-resnet20")
    assert load(Path("cifar10-resnet20")).name == load("./cifar10-resnet20").name == small.name
    monkeypatch.setattr("limbeck.models.weights.folder._load_named", lambda name, *_: create("resnet8", num_classes=10))
    with pytest.warns(
        UserWarning, match=r"'cifar10-resnet20' names published weights and a folder here. The published"
    ):
        assert load("cifar10-resnet20").name == "resnet8"
    assert load("cifar10-resnet56").name == "resnet8"
    for path in (Path("cifar10-resnet56"), "./cifar10-resnet56"):
        with pytest.raises(UserError, match=r"no classifier at '(\./)?cifar10-resnet56': no such folder or file"):
            load(path)
