import pytest
import torch

from limbeck.data.views import augmentation
from limbeck.transfer.generate.synthesis.bits import in_bits, view_of


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize("floor", [False, True])
def test_levels_are_whole_and_gradients_those_of_unrounded_images(images: torch.Tensor, floor: bool) -> None:
    levels, bits = in_bits(images, floor=floor)
    assert bits.dtype == torch.uint8
    assert torch.equal(levels, bits.float())
    assert torch.equal(levels, (images * 255).floor() if floor else (images * 255).round())
    weights = torch.rand_like(images)
    (levels * weights).sum().backward()
    torch.testing.assert_close(images.grad, 255 * weights)


def test_what_is_out_of_range_is_cut() -> None:
    levels, bits = in_bits(torch.tensor([[[[-0.2, 1.3]]]]))
    assert levels.flatten().tolist() == bits.flatten().tolist() == [0, 255]


@pytest.mark.parametrize(
    "name", ["none", "pad-crop-flip", "resized-crop-flip", "colour-jitter", "pad-crop+resized-crop"]
)
def test_views_are_those_of_stored_images_to_the_bit(images: torch.Tensor, name: str) -> None:
    views = augmentation(name.split("+"))
    draw = views.draw(torch.arange(4), seed=3, view=1)
    levels, bits = in_bits(images)
    shown = view_of(levels, bits, views, draw)
    assert torch.equal(shown, views.render(bits, draw).float() / 255)
    shown.sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


def test_what_a_crop_adds_is_black() -> None:
    views = augmentation({"pad-crop": {"padding": 1}})
    levels, bits = in_bits(torch.ones(1, 1, 2, 2))
    assert view_of(levels, bits, views, torch.tensor([0])).flatten().tolist() == [0, 0, 0, 1]
