"""Hashes of images: each is computed once, and a subset reads only its own images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.data import ImageSet, load
from limbeck.data.encoded.decode_many import decode_many
from limbeck.data.storage import DigestTable, EncodedStorage, TensorStorage, image_digests


class Counting(TensorStorage):
    """Records which images are read."""

    def __init__(self, images: Tensor) -> None:
        super().__init__(images)
        self.read: list[int] = []

    def gather(self, positions: Tensor) -> Tensor:
        self.read += positions.tolist()
        return super().gather(positions)


@pytest.fixture
def storage() -> Counting:
    return Counting(torch.arange(5000 * 12).remainder(251).to(torch.uint8).view(5000, 3, 2, 2))


def test_a_subset_reads_its_own_images_once(storage: Counting) -> None:
    subset = ImageSet(storage).subset([4000, 3, 77]).subset([77, 4000])
    first = subset.digests()
    assert torch.equal(first, image_digests(subset.tensor()))
    assert sorted(storage.read[:2]) == [77, 4000]
    storage.read.clear()
    assert torch.equal(subset.digests(), first)
    ImageSet(storage).subset([4000, 5]).digests()
    assert storage.read == [5]


def test_images_asked_for_twice_are_read_once(storage: Counting) -> None:
    positions = torch.tensor([9, 9, 4, 9])
    assert torch.equal(storage.digests(positions), image_digests(storage.tensor()[positions]))
    assert storage.read == [4, 9]


def test_no_images_have_no_hashes(storage: Counting) -> None:
    assert storage.digests(torch.zeros(0, dtype=torch.int64)).shape == (0, 16)
    assert storage.read == []


def test_a_table_is_kept_when_much_is_new(storage: Counting) -> None:
    saved: list[Tensor] = []
    table = DigestTable(5000, save=lambda values: saved.append(values.clone()))
    table.lookup(torch.arange(10), storage)
    assert saved == []
    table.lookup(torch.arange(2000), storage)
    assert len(saved) == 1
    assert saved[0].any(dim=1).nonzero().flatten().tolist() == list(range(2000))
    again = DigestTable(5000, saved[0], save=lambda _: pytest.fail("nothing is new"))
    storage.read.clear()
    again.lookup(torch.arange(1000, 2000), storage)
    assert storage.read == []


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records which cells are decoded."""
    rows: list[int] = []

    def noting(cells: object, asked: np.ndarray, *arguments: object) -> object:
        rows.extend(asked.tolist())
        return decode_many(cells, asked, *arguments)  # pyright: ignore[reportArgumentType, reportCallIssue]

    monkeypatch.setattr("limbeck.data.storage.decode_many", noting)
    return rows


def test_of_encoded_sets_a_subset_decodes_its_own_images(write_parquet, pixels: np.ndarray, decoded: list[int]) -> None:
    file: Path = write_parquet("set.parquet", list(pixels), [0, 1] * 6)
    whole = load(file, in_memory=False)
    assert isinstance(whole._storage, EncodedStorage)
    decoded.clear()
    subset = whole.subset([7, 2])
    assert torch.equal(subset.digests(), image_digests(torch.from_numpy(pixels[[7, 2]]).permute(0, 3, 1, 2)))
    assert sorted(decoded) == [2, 7]
    decoded.clear()
    assert torch.equal(load(file, in_memory=False).subset([2]).digests()[0], subset.digests()[1])
    assert decoded == []
