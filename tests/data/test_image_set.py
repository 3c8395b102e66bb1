import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import ImageSet, TensorStorage
from limbeck.errors import UserError


def blank(count: int, *labels: int) -> ImageSet:
    return ImageSet(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), list(labels) or None)


def test_accepts_arrays_and_names_classes(pixels: np.ndarray):
    images = ImageSet(pixels.transpose(0, 3, 1, 2), np.arange(12) % 3)
    assert images.shape == (3, 6, 5)
    assert images.classes == ("0", "1", "2")
    assert images.class_counts().tolist() == [4, 4, 4]
    assert repr(images) == "ImageSet('images', 12 images 3x6x5, 3 classes)"


def test_tensor_is_not_copied():
    pixels = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    assert ImageSet(pixels).tensor().data_ptr() == pixels.data_ptr()


def test_subset_keeps_ids_and_order(small_set: ImageSet):
    subset = small_set.subset([30, 110, 0])
    assert subset.ids.tolist() == [30, 110, 0]
    assert subset.labels is not None
    assert subset.labels.tolist() == [1, 0, 2]
    assert torch.equal(subset.tensor(), small_set.tensor()[[8, 0, 11]])
    assert torch.equal(subset.gather(torch.tensor([2, 0])), small_set.tensor()[[11, 8]])
    assert torch.equal(subset.subset([0, 30]).tensor(), small_set.tensor()[[11, 8]])
    assert subset.classes == small_set.classes
    assert small_set.subset(small_set.ids[::5]).ids.tolist() == [110, 60, 10]


def test_batches_cover_all_in_order(small_set: ImageSet):
    parts = list(small_set.batches(5))
    assert [len(positions) for positions, _ in parts] == [5, 5, 2]
    assert torch.equal(torch.cat([images for _, images in parts]), small_set.tensor())


def test_fingerprint_is_of_content_not_of_form(small_set: ImageSet):
    assert small_set.labels is not None
    positions = torch.tensor([3, 1])
    subset = small_set.subset(small_set.ids[positions])
    copied = ImageSet(small_set.tensor()[positions].clone(), small_set.labels[positions], ids=small_set.ids[positions])
    assert subset.fingerprint == copied.fingerprint
    assert subset.subset(subset.ids).fingerprint == subset.fingerprint
    assert small_set.subset(small_set.ids).fingerprint == small_set.fingerprint


def test_fingerprint_tells_pixels_labels_ids_order_and_shape_apart(small_set: ImageSet):
    pixels, labels, ids = small_set.tensor(), small_set.labels, small_set.ids
    assert labels is not None
    other_pixels = pixels.clone()
    other_pixels[5, 0, 0, 0] ^= 1
    variants = [
        ImageSet(pixels, labels, ids=ids),
        ImageSet(other_pixels, labels, ids=ids),
        ImageSet(pixels, labels.flip(0), ids=ids),
        ImageSet(pixels, ids=ids),
        ImageSet(pixels, labels),
        ImageSet(pixels.flip(0), labels.flip(0), ids=ids.flip(0)),
        ImageSet(pixels.reshape(12, 3, 2, 8), labels, ids=ids),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)
    assert variants[0].fingerprint == small_set.fingerprint


def test_known_fingerprint_is_taken():
    images = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    assert ImageSet(TensorStorage(images), fingerprint="known").fingerprint == "known"


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**40),
)
def test_split_is_exact_disjoint_and_stratified(sizes: list[int], share: float, seed: int):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    images = blank(len(labels), *labels)
    count = round(share * len(labels))
    if not 0 < count < len(labels):
        return
    rest, held_out = images.split(share, seed=seed)
    assert len(held_out) == count
    assert sorted(rest.ids.tolist() + held_out.ids.tolist()) == list(range(len(labels)))
    for size, count_held_out in zip(sizes, held_out.class_counts().tolist(), strict=False):
        assert abs(count_held_out - size * count / len(labels)) < 1


def test_split_depends_on_ids_and_seed_alone(small_set: ImageSet):
    _, first = small_set.split(4, seed=7)
    _, shuffled = small_set.subset(small_set.ids[torch.randperm(12)]).split(4, seed=7)
    assert set(first.ids.tolist()) == set(shuffled.ids.tolist())
    assert any(set(small_set.split(4, seed=seed)[1].ids.tolist()) != set(first.ids.tolist()) for seed in range(5))


def test_unlabelled_set_splits_and_has_no_classes():
    images = blank(10)
    rest, held_out = images.split(3, seed=0)
    assert (len(rest), len(held_out), images.num_classes) == (7, 3, 0)
    with pytest.raises(UserError, match="`class_counts` needs labels, 'images' has none"):
        images.class_counts()


PIXELS = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": PIXELS.float()}, r"`images` must be uint8 in 0..255, got torch.float32; multiply floats"),
        ({"images": PIXELS[0]}, r"`images` must be \[N, C, H, W\] with C 1 or 3, got \[1, 2, 2\]"),
        ({"images": PIXELS.expand(3, 2, 2, 2)}, r"with C 1 or 3, got \[3, 2, 2, 2\]"),
        ({"images": PIXELS[:0]}, "must hold at least one image"),
        ({"images": PIXELS, "labels": [0, 1]}, r"`labels` must be \[3\], one for each image, got \[2\]"),
        ({"images": PIXELS, "labels": [0.0, 1.0, 1.0]}, "`labels` must be integers, got torch.float32"),
        ({"images": PIXELS, "labels": [0, 1, 2], "classes": ["a", "b"]}, r"`labels` must lie in 0..1 .*, got 0..2"),
        ({"images": PIXELS, "labels": [0, -1, 2]}, r"`labels` must lie in 0..2 .*, got -1..2"),
        ({"images": PIXELS, "ids": [4, 5, 4]}, "`ids` must be distinct, got 4 more than once"),
        ({"images": PIXELS, "ids": [4, 5]}, r"`ids` must be \[3\]"),
        ({"images": PIXELS, "labels": [0, 1, 1], "classes": ["a", "a"]}, "`classes` must be distinct, got 'a' twice"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str):
    with pytest.raises(UserError, match=message):
        ImageSet(**arguments)


def test_wrong_calls_are_named(small_set: ImageSet):
    with pytest.raises(UserError, match=r"`ids` must be ids of 'small' \(12 images, ids 0 to 110\); 2 are not, .* 7"):
        small_set.subset([10, 7, 999])
    with pytest.raises(UserError, match="`ids` must be distinct, got 10 more than once"):
        small_set.subset([10, 10])
    with pytest.raises(UserError, match="`images` of 'small' must hold at least one image"):
        small_set.subset([])
    for held_out in (0, 12, 13, 0.0, 1.0, -1):
        with pytest.raises(UserError, match=r"`held_out` must be a count in 1..11 or a share"):
            small_set.split(held_out, seed=0)
    with pytest.raises(UserError, match="`batch_size` must be at least 1, got 0"):
        next(small_set.batches(0))
