from math import floor

import pytest
import torch
from torch import Tensor

from limbeck.data.multi_formation import merge_images, part_boxes, split_images
from limbeck.errors import UserError


def enlarged(part: Tensor, height: int, width: int) -> Tensor:
    """Enlarges a part [h, w] pixel by pixel, linearly between the two nearest pixel centres in each direction."""
    rows, columns = part.shape

    def between(place: int, there: int, here: int) -> tuple[int, int, float]:
        at = max((place + 0.5) * here / there - 0.5, 0.0)
        low = floor(at)
        return low, min(low + 1, here - 1), at - low

    whole = torch.empty(height, width, dtype=part.dtype)
    for y in range(height):
        for x in range(width):
            top, bottom, down = between(y, height, rows)
            left, right, along = between(x, width, columns)
            above = (1 - along) * part[top, left] + along * part[top, right]
            below = (1 - along) * part[bottom, left] + along * part[bottom, right]
            whole[y, x] = (1 - down) * above + down * below
    return whole


@pytest.mark.parametrize(("size", "per_image"), [((8, 8), 4), ((6, 9), 9), ((7, 5), 4), ((4, 4), 1)])
def test_parts_are_cut_and_enlarged_as_the_formula_says(size: tuple[int, int], per_image: int) -> None:
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    boxes = part_boxes(size, per_image)
    slow = [
        torch.stack([enlarged(channel[top:bottom, left:right], *size) for channel in image])
        for image in images
        for top, bottom, left, right in boxes
    ]
    assert torch.allclose(split_images(images, per_image), torch.stack(slow), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(9, 9), (10, 11), (3, 3)])
def test_parts_cover_every_pixel_once(size: tuple[int, int]) -> None:
    covered = torch.zeros(size)
    for top, bottom, left, right in part_boxes(size, 9):
        covered[top:bottom, left:right] += 1
    assert (covered == 1).all()


def test_first_and_second_gradients_reach_the_stored_images() -> None:
    images = torch.rand(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: split_images(x, 4), images)
    assert torch.autograd.gradgradcheck(lambda x: split_images(x, 4), images)


@pytest.mark.parametrize("per_image", [1, 4, 9])
def test_smooth_images_come_back_from_where_they_were_merged(per_image: int) -> None:
    ramp = torch.linspace(0, 1, 36).expand(36, 36)
    shades = torch.linspace(0.1, 1, 2 * per_image).view(-1, 1, 1, 1)
    images = shades * torch.stack([ramp, ramp.T])  # [2 * per_image, 2, 36, 36]
    stored = merge_images(images, per_image)
    assert stored.shape == (2, 2, 36, 36)
    assert (split_images(stored, per_image) - images).abs().max() < 0.06


def test_what_is_merged_are_pixels_of_the_images() -> None:
    """Every second one, from the first on, as by the reference implementation."""
    images = torch.arange(4 * 16).view(4, 1, 4, 4).to(torch.uint8)
    (stored,) = merge_images(images, 4)
    first, second, third, fourth = (image[0, ::2, ::2] for image in images)
    assert torch.equal(stored[0], torch.cat([torch.cat([first, second], 1), torch.cat([third, fourth], 1)]))


def test_bytes_stay_bytes_and_are_rounded() -> None:
    images = torch.randint(0, 256, (3, 3, 6, 6), dtype=torch.uint8)
    parts = split_images(images, 4)
    assert parts.dtype == torch.uint8
    assert torch.equal(parts, split_images(images.float(), 4).round().to(torch.uint8))
    assert merge_images(parts, 4).dtype == torch.uint8
    assert split_images(images, 1) is images


def test_what_cannot_be() -> None:
    images = torch.rand(3, 1, 2, 8)
    for per_image in (0, 2, -4):
        with pytest.raises(UserError, match=f"`per_image` must be a square, as 1, 4 or 9, got {per_image}"):
            split_images(images, per_image)
    with pytest.raises(UserError, match="`per_image` 9 needs images of at least 3x3, got 2x8"):
        split_images(images, 9)
    with pytest.raises(UserError, match="`images` must be 4 for every one that is put together, got 3"):
        merge_images(images, 4)
