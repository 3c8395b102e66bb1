from typing import Any

import pytest
import torch

from limbeck.data import ImageSet, load
from limbeck.data.procedural.arguments import is_procedural
from limbeck.data.procedural.kinds import KINDS
from limbeck.errors import UserError


@pytest.mark.parametrize("kind", KINDS)
def test_by_name(kind: str):
    images = load(kind, images=20, size=16, channels=1, seed=2)
    assert (len(images), images.shape, images.name) == (20, (1, 16, 16), f"{kind}/train")
    assert images.labels is None
    assert images.classes == ()
    assert images.ids.tolist() == list(range(20))
    assert load(kind, images=1).shape == (3, 32, 32)


def test_size_is_that_of_the_images_themselves():
    assert load("dead-leaves:flat", images=3, size=(12, 20)).shape == (3, 12, 20)


def test_seeds_and_splits_share_no_image():
    sets = [load("noise", split, images=50, size=8, seed=seed) for split in ("train", "validation") for seed in (0, 1)]
    rows = torch.cat([image_set.tensor().flatten(1) for image_set in sets])
    assert len(rows.unique(dim=0)) == 200


def test_seed_is_0_unless_told():
    assert load("noise", images=5).fingerprint == load("noise", images=5, seed=0).fingerprint


def test_held_in_memory_they_are_the_same():
    decoded = load("shaders", images=30, size=8, in_memory=True)
    assert decoded.is_decoded
    assert not load("shaders", images=30, size=8).is_decoded
    assert decoded.fingerprint == load("shaders", images=30, size=8).fingerprint


def test_variants_are_names():
    pink = load("noise:pink", images=4)
    assert pink.name == "noise:pink/train"
    assert pink.fingerprint != load("noise", images=4).fingerprint


def test_names_of_procedural_images():
    assert is_procedural("fractals")
    assert not any(map(is_procedural, ("cifar10", "imagenette:320px", "owner/name", "./noise")))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "noise",
            {},
            "`images` must say how many of 'noise' to make, which has no end: `lb.load.'noise', images=50_000.`,",
        ),
        ("noise", {"images": 0}, "`images` must be a whole number, at least 1, got 0"),
        ("noise", {"images": 2.0}, "`images` must be a whole number, at least 1, got 2.0"),
        ("noise", {"images": True}, "`images` must be a whole number, at least 1, got True"),
        ("noise", {"images": 5, "seed": "x"}, "`seed` must be a whole number, got 'x'"),
        ("noise:pinc", {"images": 5}, "unknown variant of 'noise': 'pinc'; did you mean 'pink'.*`limbeck ls datasets`"),
        ("nose", {"images": 5}, "`images` is for procedural images, as 'dead-leaves', and 'nose' are none"),
        ("nose", {}, "unknown dataset 'nose'; did you mean 'noise'"),
        ("noise", {"images": 5, "split": "test"}, "`split` of 'noise' must be 'train' or 'validation', got 'test'"),
        ("noise", {"images": 5, "classes": ["cat"]}, "`classes` must be left out for 'noise', whose images are made"),
        ("noise", {"images": 5, "image_column": "a"}, "`image_column` must be left out for 'noise'"),
        ("noise", {"images": 5, "label_column": "a"}, "`label_column` must be left out for 'noise'"),
        ("noise", {"images": 5, "scale": 4095}, "`scale` must be left out for 'noise'"),
        ("noise", {"images": 5, "size": 2000}, "1 to 1024 pixels a side, got 3x2000x2000"),
        ("digits", {"images": 5}, "`images` is for procedural images, as 'dead-leaves', and 'digits' are none"),
        ("digits", {"seed": 5}, "`seed` is for procedural images, as 'dead-leaves', and 'digits' are none"),
    ],
)
def test_what_is_wrong_is_told(name: str, options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        load(name, **options)


def test_a_set_of_one():
    assert isinstance(load("fractals", images=1, size=8), ImageSet)
