"""Images of several sets as one set: nothing is copied, whatever each set's storage is."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import ImageSet, load
from limbeck.data.joined import JoinedStorage, content_ids, join
from limbeck.data.storage import TensorStorage, image_digests
from limbeck.errors import UserError

CLASSES = ("cat", "dog")


def made(count: int, seed: int = 0, shape: tuple[int, int, int] = (3, 4, 5)) -> ImageSet:
    pixels = torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return ImageSet(pixels, ids=torch.arange(count) + 1000 * seed, name=f"set{seed}")


PARTS = [made(5, 1), made(1, 2), made(7, 3).subset([3006, 3000, 3003])]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12))
def test_any_images_in_any_order(chosen: list[tuple[int, int]]) -> None:
    places = [place for place, _ in chosen]
    positions = [position % len(PARTS[place]) for place, position in chosen]
    expected = torch.stack([PARTS[place].tensor()[at] for place, at in zip(places, positions, strict=True)])
    ids = list(range(len(chosen)))[::-1]
    both = join(PARTS, places, positions, ids=ids, classes=CLASSES, name="borrowed")
    assert torch.equal(both.tensor(), expected)
    assert torch.equal(both.digests(), image_digests(expected))
    backwards = torch.arange(len(chosen)).flip(0)
    assert torch.equal(both.gather(backwards), expected.flip(0))
    assert both.fingerprint == ImageSet(expected, ids=ids).fingerprint
    assert both.labels is None
    assert both.classes == CLASSES


def test_subsets_batches_and_copies_of_it() -> None:
    both = join(PARTS, [2, 0, 1, 0], [1, 4, 0, 0], ids=[7, 5, 3, 1], classes=CLASSES, name="borrowed")
    part = both.subset([1, 7]).subset([7])
    assert torch.equal(part.tensor()[0], PARTS[2].tensor()[1])
    assert part.ids.tolist() == [7]
    assert torch.equal(torch.cat([images for _, images in both.batches(3)]), both.tensor())
    copy: ImageSet = pickle.loads(pickle.dumps(both.subset([3, 5])))
    assert copy.fingerprint == both.subset([3, 5]).fingerprint
    again = join([both, PARTS[0]], [0, 1, 0], [3, 1, 0], ids=[1, 2, 3], classes=CLASSES, name="joined twice")
    assert torch.equal(again.tensor(), torch.stack([both.tensor()[3], PARTS[0].tensor()[1], both.tensor()[0]]))


class Counting(TensorStorage):
    """Records which images are read."""

    def __init__(self, images: torch.Tensor) -> None:
        super().__init__(images)
        self.read: list[int] = []

    def gather(self, positions: torch.Tensor) -> torch.Tensor:
        self.read += positions.tolist()
        return super().gather(positions)


def test_only_what_is_asked_for_is_read() -> None:
    first, second = (Counting(made(100, seed).tensor()) for seed in (1, 2))
    both = join([ImageSet(first), ImageSet(second)], [0, 1, 1], [40, 7, 90], ids=[0, 1, 2], classes=(), name="few")
    assert (first.read, second.read) == ([], [])
    both.gather(torch.tensor([2, 0]))
    assert (first.read, second.read) == ([40], [90])
    both.subset([1]).digests()
    assert (first.read, second.read) == ([40], [90, 7])


def test_what_is_encoded_stays_so(write_parquet, pixels: np.ndarray) -> None:
    encoded = load(write_parquet("set.parquet", list(pixels), None), in_memory=False)
    decoded = load(write_parquet("other.parquet", list(pixels), None))
    both = join([encoded, decoded], [0, 1], [3, 3], ids=[0, 1], classes=CLASSES, name="both")
    assert not both.is_decoded
    assert torch.equal(both.tensor()[0], both.tensor()[1])
    assert both.digests()[0].tolist() == both.digests()[1].tolist()
    assert join([encoded, decoded], [1], [0], ids=[0], classes=CLASSES, name="held").is_decoded
    storage = both.storage
    assert isinstance(storage, JoinedStorage)
    assert storage.shape == (3, 6, 5)


def test_ids_by_content_are_those_of_equal_pictures() -> None:
    images = made(50)
    ids = content_ids(images.digests())
    assert ids.dtype == torch.int64
    assert int(ids.min()) >= 0
    assert len(ids.unique()) == 50
    assert torch.equal(content_ids(images.subset(images.ids.flip(0)).digests()), ids.flip(0))
    ends = torch.tensor([[0] * 7 + [128] + [9] * 8, [255] * 16, [1, 2] + [0] * 14], dtype=torch.uint8)
    assert content_ids(ends).tolist() == [0, 2**63 - 1, 513]
    assert content_ids(torch.zeros(0, 16, dtype=torch.uint8)).tolist() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sets": []}, "`sets` must be at least one"),
        ({"sets": [PARTS[0], made(2, 9, (1, 4, 5))]}, r"one shape, got \[3, 4, 5\] of 'set1' and \[1, "),
        ({"places": [0, 2]}, r"`places` must lie in 0..1, got 2 for image 1"),
        ({"places": [0, -1]}, r"`places` must lie in 0..1, got -1 for image 1"),
        ({"positions": [5, 0]}, r"`positions` must lie in 0..4, got 5 for image 0"),
        ({"positions": [0, 1]}, r"`positions` must lie in 0..0, got 1 for image 1"),
        ({"positions": [0]}, r"must be \[N\], one of each for every image, got \[2\] and \[1\]"),
        ({"ids": [4, 4]}, "`ids` must be distinct"),
        ({"places": [], "positions": [], "ids": []}, "must hold at least one image"),
    ],
)
def test_what_cannot_be_joined(change: dict[str, object], message: str) -> None:
    arguments: dict[str, Any] = {"sets": PARTS[:2], "places": [0, 1], "positions": [0, 0], "ids": [0, 1], **change}
    with pytest.raises(UserError, match=message):
        join(**arguments, classes=(), name="x")


def test_hashes_of_another_kind_are_refused() -> None:
    with pytest.raises(UserError, match=r"`digests` must be uint8 \[N, 16\], got torch.int64 \[4\]"):
        content_ids(torch.arange(4))
