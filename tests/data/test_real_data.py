"""Real images: needs LIMBECK_DATA."""

import time
from pathlib import Path

import pytest
import torch

from limbeck.data import TransferSet, load

pytestmark = pytest.mark.slow


def test_cifar10_is_complete_and_cached(data_root: Path):
    train, test = load("cifar10", root=data_root), load("cifar10", "test", root=data_root)
    assert (len(train), len(test), train.shape) == (50_000, 10_000, (3, 32, 32))
    assert train.classes[:3] == ("airplane", "automobile", "bird")
    assert train.class_counts().tolist() == [5000] * 10
    assert test.class_counts().tolist() == [1000] * 10
    start = time.monotonic()
    again = load("cifar10", root=data_root)
    assert time.monotonic() - start < 1.0
    assert torch.equal(again.tensor(), train.tensor())
    assert again.fingerprint == train.fingerprint


def test_memory_mapped_equals_in_memory(data_root: Path):
    decoded, encoded = (load("cifar10", "test", root=data_root, in_memory=choice) for choice in (True, False))
    positions = torch.randperm(10_000)[:500]
    assert torch.equal(encoded.gather(positions), decoded.gather(positions))
    assert encoded.subset(positions).fingerprint == decoded.subset(positions).fingerprint


@pytest.mark.parametrize(
    ("name", "split", "images", "classes", "size"),
    [
        ("cifar100", "train", 8_000, 100, 32),
        ("cifar100", "test", 2_000, 100, 32),
        ("imagenette:64px", "train", 4_000, 10, 64),
        ("imagenette", "test", 1_000, 10, 64),
        ("tiny-imagenet", "train", 10_000, 200, 64),
    ],
)
def test_other_sets_open(data_root: Path, name: str, split: str, images: int, classes: int, size: int):
    loaded = load(name, split, root=data_root)
    assert (len(loaded), loaded.num_classes, loaded.shape) == (images, classes, (3, size, size))
    assert loaded.class_counts().unique().tolist() == [images // classes] or name.startswith("imagenette")
    assert loaded.tensor().float().std() > 30


def test_transfer_set_of_real_images(data_root: Path, tmp_path: Path):
    test = load("cifar10", "test", root=data_root)
    chosen = test.subset(test.ids[::10])
    TransferSet(chosen, provenance={"source_id": chosen.ids}).save(tmp_path / "set")
    assert TransferSet.load(tmp_path / "set").images.fingerprint == chosen.fingerprint
