"""Arrays, tensors, lists and pairs: which axis is which, and which number is white."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.objects.conftest import LABELS
from torch import Tensor

import limbeck as lb
from limbeck.errors import UserError


def test_every_form_is_the_same_images(pixels: np.ndarray, images: Tensor, pictures: list[Image.Image]) -> None:
    forms: dict[str, Any] = {
        "array": pixels,
        "tensor": images,
        "floats": images.double() / 255,
        "float32": images.float() / 255,
        "numbers": images.long(),
        "graph": (images.float() / 255).requires_grad_(),
        "channels last": images.contiguous(memory_format=torch.channels_last),
        "list": pictures,
        "list of arrays": list(pixels),
        "list of tensors": list(images),
        "array of pictures": _objects(pictures),
        "fortran": np.asfortranarray(pixels),
    }
    loaded = {name: lb.load((form, LABELS)) for name, form in forms.items()}
    assert {image_set.fingerprint for image_set in loaded.values()} == {lb.ImageSet(images, LABELS).fingerprint}
    assert all(
        image_set.classes == ("0", "1", "2") and image_set.ids.tolist() == list(range(12))
        for image_set in loaded.values()
    )
    assert all(lb.load(form).labels is None for form in forms.values())


def _objects(pictures: list[Image.Image]) -> np.ndarray:
    array = np.empty(len(pictures), dtype=object)
    array[:] = pictures
    return array


def test_gray_images_have_no_axis_for_channels(pixels: np.ndarray) -> None:
    assert lb.load(pixels[..., 0]).shape == (1, 6, 5)
    assert torch.equal(lb.load(torch.from_numpy(pixels[..., 0])).tensor()[:, 0], torch.from_numpy(pixels[..., 0]))
    assert lb.load((np.zeros((3, 8, 8)), [0, 1, 1])).shape == (1, 8, 8)  # by its labels, these are three images
    assert lb.load(np.zeros((3, 8, 8)), layout="NHW").shape == (1, 8, 8)
    assert lb.load(np.ones((2, 4, 9, 9), np.uint8)).shape == (3, 9, 9)  # the fourth channel is transparency


def test_labels_are_whatever_is_a_label(pixels: np.ndarray) -> None:
    texts = ["cat", "dog", "ant"] * 4
    assert lb.load((pixels, texts)).classes == ("ant", "cat", "dog")
    assert lb.load((pixels, np.array(texts))).labels is not None
    labels = [
        torch.tensor(LABELS),
        np.array(LABELS),
        [torch.tensor(label) for label in LABELS],
        np.array(LABELS, float),
    ]
    assert all(lb.load((pixels, form)).labels.tolist() == LABELS for form in labels)  # pyright: ignore[reportOptionalMemberAccess]
    assert lb.load((pixels, LABELS, ["a", "b", "c", "d"])).classes == ("a", "b", "c", "d")
    assert lb.load((pixels, None)).labels is None


def test_options_of_load(pixels: np.ndarray) -> None:
    labelled = (pixels, LABELS, ["a", "b", "c"])
    assert lb.load(labelled, size=4, channels=1).shape == (1, 4, 4)
    assert lb.load(labelled, classes=["c", "a"]).class_counts().tolist() == [4, 4]
    assert lb.load(labelled, labels=False).classes == ()
    late = lb.load(labelled, in_memory=False)
    assert not late.is_decoded
    assert late.fingerprint == lb.load(labelled).fingerprint
    assert torch.equal(lb.load(pixels.astype(np.float32), scale=255).tensor(), lb.load(pixels).tensor())
    wide = lb.load(pixels.astype(np.int32) * 257)
    assert torch.equal(wide.tensor(), lb.load(pixels).tensor())


def test_an_image_set_is_loaded_as_it_is_or_in_another_shape(pixels: np.ndarray) -> None:
    images = lb.load((pixels, LABELS))
    assert lb.load(images) is images
    assert lb.load(images, size=3).shape == (3, 3, 3)
    assert lb.load(images, classes=["1"]).ids.tolist() == [1, 4, 7, 10]
    with pytest.raises(UserError, match=r"`layout` must be left out beside images that are loaded already"):
        lb.load(images, layout="NHW")


def test_memory_maps_are_read_as_they_are_needed(pixels: np.ndarray, tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", pixels)
    late = lb.load(np.load(tmp_path / "x.npy", mmap_mode="r"), in_memory=False)
    assert torch.equal(late.gather(torch.tensor([5])), lb.load(pixels).gather(torch.tensor([5])))


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (np.zeros((5, 3, 8, 3), np.uint8), r"\[5, 3, 8, 3\] can be read as \[N, C, H, W\] and as \[N, H, W, C\]; say"),
        (np.zeros((3, 8, 8), np.uint8), r"can be read as 3 gray images and as one of several channels; say"),
        (np.zeros((8, 8, 3), np.uint8), r"can be read as 8 gray images and as one of several channels"),
        (
            np.zeros((9, 64)),
            r"got \[9, 64\]\. Rows of flat images must be reshaped, as `images\.reshape\(-1, 28, 28\)`",
        ),
        (np.zeros((9, 5, 8, 8)), r"must be \[N, C, H, W\], \[N, H, W, C\] or \[N, H, W\] with C 1, 3 or 4, got \[9, 5"),
        (np.zeros((0, 8, 8)), r"at least one image of at least one pixel, got \[0, 8, 8\]"),
        (np.full((9, 8, 8), np.nan), r"must be finite numbers, got NaN or infinity"),
        (
            torch.randn(9, 3, 8, 8),
            r"must be floats in \[0, 1\], got -.*normalised\. Leave `Normalize` out of the transf",
        ),
        (torch.full((9, 8, 8), 200.0), r"got 200\.\.200; if they are normalised, leave `Normalize` out.*`scale=255`"),
        (torch.full((9, 8, 8), 4095.0), r"divide them by 4095 or say that it is white, as `scale=4095`"),
        (torch.full((9, 8, 8), -1), r"must be numbers from 0, got -1\.\.-1, which no pixels are"),
        (np.full((9, 8, 8), 70000), r"must lie in 0\.\.65535, got 70000\.\.70000; say which value is white"),
        (np.zeros((9, 8, 8), "datetime64[s]"), r"`images` must be an array of numbers, got datetime64"),
        (torch.zeros(9, 8, 8, dtype=torch.complex64), r"must be a dense tensor of real numbers, got torch\.complex64"),
        ((np.zeros((9, 8, 8)), [0, 1]), r"labels of the array must be 9, one for each image, got 2"),
        (
            (np.zeros((3, 8, 8)), np.eye(3)),
            r"got one-hot rows.*`lb\.TransferSet\(images, soft_labels\)` takes soft label",
        ),
        ((np.zeros((3, 8, 8)), [0, 2, 2]), r"without 1.*Give \(images, labels, names of all classes\)"),
        ((np.zeros((3, 8, 8)), [0, "a", 2]), r"one integer or string for each image, all of one kind"),
        (
            (np.zeros((3, 8, 8)),),
            r"must be \(images, labels\) or \(images, labels, names of all classes\), got a tuple",
        ),
        (([(np.zeros((8, 8)), 1)], [1]), r"gives labels to images that have their own"),
        ([], r"`images` must be at least one, got none: the list is empty"),
        (["digits"], r"a string or `Path`, got \['digits'\]; the folder at hand is '\.', and a `datasets\.Dataset`"),
        (
            {"images": np.zeros((9, 8, 8))},
            r"`split` of the dict must be 'images', got 'train'; a mapping is taken for sp",
        ),
        ({}, r"`split` of the dict must be the name of one, got 'train'"),
    ],
)
def test_what_cannot_be_read(images: Any, why: str) -> None:
    with pytest.raises(UserError, match=why):
        lb.load(images)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layout": "NHWC"}, r"`layout` must be 'NCHW', 'NHWC' or 'NHW' with C 1, 3 or 4.*got 'NHWC' for the shape"),
        ({"layout": "HW"}, r"`layout` must be 'NCHW' or 'NHWC' or 'NHW', got 'HW'"),
        ({"root": "."}, r"`root` belongs to data sets by name; leave it out beside an object, got '\.'"),
        ({"seed": 1}, r"`seed` belongs to data sets by name"),
        ({"images": 5}, r"`images` is how many of a stream are read.*the ndarray has its own number"),
        ({"split": "test"}, r"`split` chooses among several.*the ndarray is one by itself.*got 'test'"),
    ],
)
def test_options_that_arrays_do_not_have(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        lb.load(np.zeros((9, 8, 8)), **options)


def test_layout_is_for_arrays() -> None:
    with pytest.raises(UserError, match=r"`layout` is for arrays and tensors, and 'digits' is none; leave it out"):
        lb.load("digits", layout="NHW")


def test_splits_are_chosen_by_name(pixels: np.ndarray) -> None:
    splits = {"train": (pixels, ["cat", "dog", "ant"] * 4), "val": (pixels[:2], ["dog", "cat"])}
    loaded = lb.load(splits, "validation")
    assert (loaded.name, loaded.classes, len(loaded)) == ("array/val", ("ant", "cat", "dog"), 2)
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [2, 1]
