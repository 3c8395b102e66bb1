"""Transforms of torchvision as views: each image has its own draw, whatever else is in the batch."""

from typing import Any

import pytest
import torch
from torchvision import transforms as v1
from torchvision.transforms import v2

from limbeck.data.views import augmentation
from limbeck.errors import UserError

IMAGES = torch.randint(256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IDS = torch.arange(12) * 7


@pytest.mark.parametrize(
    "spec",
    [
        "torchvision.transforms.v2:RandAugment",
        {"torchvision.transforms.v2:RandomAffine": {"degrees": 30}},
        [{"torchvision.transforms.v2:RandomCrop": {"size": 16, "padding": 2}}, "pad-crop"],
        v2.TrivialAugmentWide(),
        v2.ColorJitter,
        v1.Compose([v1.RandomHorizontalFlip(), v1.ColorJitter(0.4)]),
        v1.RandomChoice([v1.RandomInvert(1.0), v1.RandomVerticalFlip(1.0), v1.Grayscale(3)]),
    ],
    ids=str,
)
def test_a_view_is_a_function_of_seed_number_and_id(spec: Any) -> None:
    views = augmentation(spec)
    before = torch.get_rng_state()
    shown = views(IMAGES, IDS, seed=3, view=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert shown.dtype == torch.uint8
    assert shown.shape == IMAGES.shape
    torch.rand(5)
    alone = torch.cat([views(IMAGES[n : n + 1], IDS[n : n + 1], seed=3, view=2) for n in range(12)])
    assert torch.equal(alone, shown)
    if spec is not v2.ColorJitter:  # it jitters nothing by default
        others = [views(IMAGES, IDS, seed=seed, view=view) for seed, view in ((4, 2), (3, 1))]
        assert not any(torch.equal(other, shown) for other in others)


def test_one_draw_is_what_torchvision_makes_of_that_seed() -> None:
    jitter = v2.ColorJitter(0.4, 0.4, 0.4, 0.1)
    shown = augmentation(jitter).render(IMAGES[:2], torch.tensor([-5, 11]))
    for image, seed, view in zip(IMAGES, (-5, 11), shown, strict=False):
        torch.manual_seed(seed)
        assert torch.equal(jitter(image), view)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision.transforms.v2:RandomAffine", "needs its options `degrees`"),
        ({"torchvision.transforms.v2:RandAugment": {"ops": 3}}, "unknown option .* did you mean 'num_ops'"),
        ({"torchvision.transforms.v2:RandomAffine": {"degrees": "x"}}, "cannot be made: ValueError"),
        (v2.Resize(8), r"must return an image uint8 \[3, 16, 16\], got torch.uint8 \[3, 8, 8\]; leave out"),
        (v2.ToDtype(torch.float32), r"got torch.float32 \[3, 16, 16\]; leave out"),
        (v1.ToTensor(), "raised TypeError"),
    ],
    ids=str,
)
def test_what_is_no_view_is_told(spec: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        augmentation(spec)(IMAGES, IDS, seed=0, view=0)


def test_images_are_not_optimised_through_them() -> None:
    with pytest.raises(UserError, match="has no gradient"):
        augmentation(v2.RandAugment()).smooth(IMAGES.float(), IDS)


def test_what_views_are_is_in_their_key() -> None:
    keys = {
        augmentation(spec).key
        for spec in (
            "torchvision.transforms.v2:RandAugment",
            {"torchvision.transforms.v2:RandAugment": {"num_ops": 3}},
            "torchvision.transforms.v2:TrivialAugmentWide",
        )
    }
    assert len(keys) == 3
    assert None not in keys
    assert augmentation(v2.RandAugment()).key is None  # an object: no file records how it was made
