"""Folders of IDX files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from limbeck.data import load
from limbeck.errors import UserError


def write(path: Path, values: np.ndarray, *, kind: int = 8) -> None:
    content = struct.pack(f">HBB{values.ndim}I", 0, kind, values.ndim, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, count in (("train", 6), ("t10k", 4)):
        pixels = np.arange(count * 12, dtype=np.uint8).reshape(count, 4, 3)
        write(tmp_path / f"{split}-images-idx3-ubyte.gz", pixels)
        write(tmp_path / f"{split}-labels-idx1-ubyte", np.arange(count, dtype=np.uint8) % 3)
    return tmp_path


def test_images_and_labels_are_read_compressed_or_not(folder: Path) -> None:
    train, test = load(folder), load(folder, "test")
    assert (len(train), train.shape, train.classes) == (6, (1, 4, 3), ("0", "1", "2"))
    assert test.tensor()[1, 0].tolist() == [[12, 13, 14], [15, 16, 17], [18, 19, 20], [21, 22, 23]]
    assert test.labels is not None
    assert test.labels.tolist() == [0, 1, 2, 0]
    assert load(folder, labels=False).labels is None


def test_what_is_not_there_or_broken_is_told(folder: Path) -> None:
    with pytest.raises(UserError, match=r"`split` of .* must be 'train' or 'test', got 'validation'"):
        load(folder, "validation")
    write(folder / "train-labels-idx1-ubyte", np.zeros(5, dtype=np.uint8))
    with pytest.raises(UserError, match=r"labels of .* must be 6, one for each image, got 5"):
        load(folder)
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read as an IDX file"):
        load(folder)
    write(images, np.zeros((2, 4, 3), dtype=np.uint8), kind=13)
    with pytest.raises(UserError, match=r"must be an IDX file of bytes of 3 dimensions, got type 0xd"):
        load(folder)
    write(images, np.zeros((2, 0, 3), dtype=np.uint8))
    with pytest.raises(UserError, match=r"got type 0x8, shape \[2, 0, 3\]"):
        load(folder)
