"""Published weights: found, checked by hash, and as accurate as published."""

import io
import os
import urllib.error
from email.message import Message
from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models import load
from limbeck.models.catalogue import MODELS
from limbeck.models.published import NAMED


@pytest.mark.parametrize("name", NAMED)
def test_table(name: str) -> None:
    named = NAMED[name]
    assert named.model in MODELS
    assert len(named.sha256_prefix) == 8
    assert named.url.endswith(named.file)


@pytest.mark.slow
def test_loads(weights_root: Path) -> None:
    teacher = load("CIFAR10-resnet20")
    assert teacher.name == "resnet20_option_a"
    assert teacher.classes[-1] == "truck"
    assert teacher.normalisation == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert not teacher.training


def test_other_class_count() -> None:
    with pytest.raises(UserError, match="'cifar10-resnet20' has 10 classes, so `num_classes` must be that"):
        load("cifar10-resnet20", num_classes=100)
    with pytest.raises(UserError, match="'cifar10-resnet20' holds a resnet20_option_a, so `model` must be that"):
        load("cifar10-resnet20", model="resnet20")


def test_wrong_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_WEIGHTS", str(tmp_path))
    (tmp_path / NAMED["cifar10-resnet20"].file).write_bytes(b"something else")
    with pytest.raises(UserError, match="is not what was published: its SHA-256 must start with 12fca82f, got"):
        load("cifar10-resnet20")


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.delenv("LIMBECK_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(UserError, match=r"cannot be downloaded from https://github.com/.*LIMBECK_WEIGHTS"):
        load("cifar10-resnet20")


def test_download_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(io.BytesIO):
        def info(self) -> Message:
            return Message()

    monkeypatch.delenv("LIMBECK_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", lambda *args, **options: Answer(b"something else"))
    with pytest.raises(UserError, match="is not what was published"):
        load("cifar10-resnet20")


@pytest.fixture(scope="module")
def test_images() -> tuple[Tensor, Tensor]:
    if not os.environ.get("LIMBECK_DATA"):
        pytest.skip("LIMBECK_DATA names no folder of data")
    from limbeck.data import load as load_images

    images = load_images("cifar10", "test")
    assert images.labels is not None
    return images.tensor(), images.labels


@pytest.mark.slow
@pytest.mark.parametrize(("name", "top1"), [("cifar10-resnet20", 0.9173), ("cifar10-resnet56", 0.9339)])
def test_as_accurate_as_published(
    weights_root: Path, test_images: tuple[Tensor, Tensor], name: str, top1: float
) -> None:
    images, labels = test_images
    teacher = load(name)
    with torch.inference_mode():
        predictions = torch.cat([teacher(batch).logits.argmax(1) for batch in images.split(500)])
    assert int((predictions == labels).sum()) == round(top1 * 10_000)
    assert NAMED[name].top1 == top1
