"""Normalised views: equal to slow versions of the published ones, and pure functions of a draw."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.data.normalised_views import Draw, NormalisedViews, normalised_views
from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS, check_normalised_views
from limbeck.data.normalised_views.operations import scaled, turned
from limbeck.data.normalised_views.options import OPERATIONS
from limbeck.errors import UserError
from limbeck.testing import Check, checks_for

EVERY: list[Any] = [
    *({"dsa": {"operations": [name]}} for name in OPERATIONS),
    {"dsa": {"mode": "all"}},
    "crop-scale-rotate",
    ["dsa", "crop-scale-rotate"],
    "none",
]


CASES = [case for name in NORMALISED_VIEWS.built_in for case in checks_for("normalised_views", name)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conforms(case: Check) -> None:
    case()


def some(batch: int = 5, channels: int = 3, size: tuple[int, int] = (8, 8), dtype: Any = torch.float64) -> Tensor:
    return torch.randn(batch, channels, *size, dtype=dtype, generator=torch.Generator().manual_seed(batch))


def only(name: str, **options: Any) -> tuple[NormalisedViews, Draw, Tensor]:
    """DSA of a single operation, a draw for 1500 images, and its views of 1500 equal images."""
    views = normalised_views({"dsa": {"operations": [name], **options}})
    draw = views.draw(1500, seed=1, step=2)
    return views, draw, views.apply(some(1).expand(1500, -1, -1, -1), draw)


def test_colour_adds_and_then_scales_distances_to_grey_and_to_the_mean() -> None:
    views, image = normalised_views({"dsa": {"operations": ["colour"]}}), some(3)
    draw = views.draw(3, seed=0, step=0)
    for original, view, (added, saturation, contrast) in zip(
        image, views.apply(image, draw), draw.numbers(3), strict=True
    ):
        expected = original + (added.double() - 0.5)
        grey = torch.stack([expected.mean(0)] * 3)
        expected = (expected - grey) * (2 * saturation.double()) + grey
        expected = (expected - expected.mean()) * (0.5 + contrast.double()) + expected.mean()
        torch.testing.assert_close(view, expected)


@pytest.mark.parametrize(("shift", "pixels"), [(0.125, 1), (0.25, 2)])
def test_crop_moves_by_whole_pixels_up_to_its_share(shift: float, pixels: int) -> None:
    _, _, shown = only("crop", shift=shift)
    padded = F.pad(some(1)[0], (pixels,) * 4)
    offsets = range(2 * pixels + 1)
    moved = {padded[:, y : y + 8, x : x + 8].numpy().tobytes() for y in offsets for x in offsets}
    assert {view.numpy().tobytes() for view in shown} == moved


def test_cutout_takes_a_square_of_half_the_side_with_its_centre_anywhere() -> None:
    _, _, shown = only("cutout")
    expected = set()
    for y in range(9):
        for x in range(9):
            cut = some(1)[0].clone()
            cut[:, max(0, y - 2) : y + 2, max(0, x - 2) : x + 2] = 0
            expected.add(cut.numpy().tobytes())
    assert {view.numpy().tobytes() for view in shown} == expected


def test_flip_mirrors_half_of_the_images() -> None:
    _, _, shown = only("flip")
    mirrored = (shown == some(1).flip(3)).all(dim=(1, 2, 3))
    assert (shown[~mirrored] == some(1)).all()
    assert 650 < int(mirrored.sum()) < 850


@pytest.mark.parametrize("size", [(8, 8), (6, 9)])
def test_scale_and_rotate_are_bilinear_with_zeros_around(size: tuple[int, int]) -> None:
    image, zero = some(4, size=size), torch.zeros(4, dtype=torch.float64)
    wide, high = torch.rand(2, 4, dtype=torch.float64) + 0.5
    map_ = torch.stack([wide, zero, zero, zero, high, zero], 1).view(4, 2, 3)
    grid = F.affine_grid(map_, list(image.shape), align_corners=False)
    torch.testing.assert_close(scaled(image, wide, high), F.grid_sample(image, grid, align_corners=False))
    angle = torch.linspace(-1, 1, 4, dtype=torch.float64)
    height, width = size
    for original, rotated, radians in zip(image, turned(image, angle), angle.tolist(), strict=True):
        for y in range(height):
            for x in range(width):
                # in pixels, so that images that are not square are not distorted
                dx, dy = x - (width - 1) / 2, y - (height - 1) / 2
                at_x = math.cos(radians) * dx - math.sin(radians) * dy + (width - 1) / 2
                at_y = math.sin(radians) * dx + math.cos(radians) * dy + (height - 1) / 2
                torch.testing.assert_close(rotated[:, y, x], bilinear(original, at_y, at_x))


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    total = torch.zeros(3, dtype=image.dtype)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                total += image[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_dsa_draws_from_its_published_ranges() -> None:
    wide, high = 1 / 1.2 + only("scale")[1].numbers(2).T * (1.2 - 1 / 1.2)
    assert wide.min() < 0.84
    assert wide.max() > 1.19
    assert not torch.equal(wide, high)
    views, draw, shown = only("rotate")
    assert views.key is not None
    degrees = (2 * draw.numbers(1)[:, 0].double() - 1) * 15
    assert degrees.min() < -14.5
    assert degrees.max() > 14.5
    torch.testing.assert_close(shown, turned(some(1).expand(1500, -1, -1, -1), degrees / 180 * math.pi))


def test_dsa_gives_a_batch_one_operation_and_all_are_drawn_alike_often() -> None:
    views: Any = normalised_views("dsa")
    drawn = [views.operation(views.draw(2, seed=0, step=step)) for step in range(600)]
    assert all(60 < drawn.count(name) < 140 for name in OPERATIONS)


def test_crop_scale_rotate_gives_each_image_one_of_three() -> None:
    views = normalised_views("crop-scale-rotate")
    image = some(1, size=(16, 16))
    draw = views.draw(300, seed=0, step=0)
    shown = views.apply(image.expand(300, -1, -1, -1), draw)
    operation, down, right, degrees = draw.integers((3, 5, 5, 90))
    padded = F.pad(image[0], (2, 2, 2, 2))
    for number in range(300):
        if operation[number] == 0:
            y, x = 4 - int(down[number]), 4 - int(right[number])
            torch.testing.assert_close(shown[number], padded[:, y : y + 16, x : x + 16])
        elif operation[number] == 1:
            wide, high = 1 / (0.8 + 0.4 * draw.numbers(2)[number].double())
            assert 1 / 1.2 <= wide <= 1 / 0.8
            torch.testing.assert_close(shown[number], scaled(image, wide[None], high[None])[0])
        else:
            angle = torch.deg2rad(degrees[number].double() - 45)
            torch.testing.assert_close(shown[number], turned(image, angle[None])[0])
    assert int(degrees.min()) == 0
    assert int(degrees.max()) == 89
    assert all(70 < int((operation == index).sum()) < 130 for index in range(3))


@pytest.mark.parametrize("spec", EVERY, ids=str)
def test_a_view_is_a_function_of_seed_step_and_position(spec: Any) -> None:
    views, images = normalised_views(spec), some(6)
    whole = views.apply(images, views.draw(6, seed=3, step=4))
    assert whole.shape == images.shape
    assert whole.dtype == images.dtype
    assert torch.equal(whole, views.apply(images, views.draw(6, seed=3, step=4)))
    # The same for any share of the batch, and with a slice of the draw.
    assert torch.equal(whole[2:], views.apply(images[2:], views.draw(4, seed=3, step=4, first=2)))
    assert torch.equal(whole[:2], views.apply(images[:2], views.draw(6, seed=3, step=4).rows(slice(2))))
    if views.changes:
        others = [views.draw(6, seed=seed, step=step) for seed in range(4) for step in (5, 6, 7)]
        assert not any(torch.equal(whole, views.apply(images, draw)) for draw in others)


@pytest.mark.parametrize("spec", EVERY, ids=str)
def test_shared_views_change_all_images_alike(spec: Any) -> None:
    views = normalised_views(spec)
    real, synthetic = some(1).expand(7, -1, -1, -1), some(1).expand(3, -1, -1, -1)
    shown = torch.cat(
        [views.apply(batch, views.draw(len(batch), seed=0, step=1, shared=True)) for batch in (real, synthetic)]
    )
    torch.testing.assert_close(shown, shown[:1].expand(10, -1, -1, -1), rtol=0, atol=0)


@pytest.mark.parametrize("spec", EVERY, ids=str)
def test_gradients_of_first_and_second_order_are_right(spec: Any) -> None:
    views, images = normalised_views(spec), some(3, 2, (4, 4)).requires_grad_()
    draw = views.draw(3, seed=0, step=1)
    assert torch.autograd.gradcheck(lambda pixels: views.apply(pixels, draw), images, fast_mode=True)
    try:
        assert torch.autograd.gradgradcheck(lambda pixels: views.apply(pixels, draw).square(), images, fast_mode=True)
    except RuntimeError:
        # Matching goes backwards through a view once; older torch has no second derivative of sampling at all.
        if sampling_has_a_second_derivative():
            raise


def sampling_has_a_second_derivative() -> bool:
    image, grid = some(1, 1, (2, 2)).requires_grad_(), torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    shown = F.grid_sample(image, grid, align_corners=False).square().sum()
    (first,) = torch.autograd.grad(shown, image, create_graph=True)
    try:
        torch.autograd.grad(first.sum(), image)
    except RuntimeError as error:
        return "not implemented" not in str(error)
    return True


@pytest.mark.parametrize("spec", EVERY, ids=str)
def test_half_precision_and_gray_images_are_computed_in_float32(spec: Any) -> None:
    views, images = normalised_views(spec), some(4, 1, dtype=torch.bfloat16)
    draw = views.draw(4, seed=0, step=1)
    with torch.autocast("cpu", torch.bfloat16):
        shown = views.apply(images, draw)
        in_float32 = views.apply(images.float(), draw)
    assert shown.dtype == torch.bfloat16
    assert torch.equal(shown, in_float32.bfloat16())
    torch.testing.assert_close(in_float32.double(), views.apply(images.double(), draw), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", [spec for spec in EVERY if spec != "none"], ids=str)
def test_a_network_that_sees_images_larger_sees_the_same_views(spec: Any) -> None:
    """A teacher of another input size does so."""
    views, patches = normalised_views(spec), some(6, size=(4, 4))  # smooth, so that both sizes show the same details
    small, large = (F.interpolate(patches, (size, size), mode="bilinear") for size in (32, 64))
    for step in range(6):
        draw = views.draw(6, seed=0, step=step)
        apart = F.avg_pool2d(views.apply(large, draw), 2) - views.apply(small, draw)
        assert apart.abs().mean() < 0.2 * (views.apply(small, draw) - small).abs().mean()


@pytest.mark.parametrize("spec", EVERY, ids=str)
def test_the_order_in_memory_is_that_of_the_images(spec: Any) -> None:
    views = normalised_views(spec)
    for order in (torch.contiguous_format, torch.channels_last):
        images = some(4).contiguous(memory_format=order)
        assert views.apply(images, views.draw(4, seed=0, step=1)).is_contiguous(memory_format=order)


def test_a_draw_is_refused_for_another_batch_and_views_for_8_bits() -> None:
    views = normalised_views("dsa")
    with pytest.raises(UserError, match=r"`draw` must be of 4 images, as many as there are, got 3\."):
        views.apply(some(4), views.draw(3, seed=0, step=0))
    with pytest.raises(UserError, match=r"must be floating \[B, C, H, W\], after normalisation, got torch\.uint8"):
        views.apply(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), views.draw(1, seed=0, step=0))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("das", "unknown normalised view 'das'; did you mean 'dsa'"),
        (3, "normalised views must be a name, a mapping from name to options, or a list of these, got 3"),
        ({"dsa": 3}, "the options of normalised view 'dsa' must be a mapping, got 3"),
        ({"dsa": {"shifts": 1}}, "unknown option of normalised view 'dsa': 'shifts'; did you mean 'shift'"),
        ({"none": {"shift": 1}}, "unknown option of normalised view 'none': 'shift'.*it takes none"),
        ({"dsa": {"shift": "far"}}, "`shift` of normalised view 'dsa' must be a finite number, got 'far'"),
        ({"dsa": {"shift": float("nan")}}, "`shift` of normalised view 'dsa' must be a finite number, got nan"),
        ({"dsa": {"shift": 1.5}}, "`shift` of normalised view 'dsa' must be from 0 to 1, got 1.5"),
        ({"dsa": {"scale": 0.9}}, "`scale` of normalised view 'dsa' must be >= 1, got 0.9"),
        ({"dsa": {"brightness": -1.0}}, "`brightness` of normalised view 'dsa' must be >= 0, got -1.0"),
        ({"dsa": {"operations": ["color"]}}, "unknown operation of normalised view 'dsa': 'color'; did you mean"),
        ({"dsa": {"operations": "colour"}}, "must be a list of colour, crop, .*, got 'colour'"),
        ({"dsa": {"operations": []}}, r"must be one or several, each once, got \[\]"),
        ({"dsa": {"operations": ["crop", "crop"]}}, r"must be one or several, each once, got \['crop', 'crop'\]"),
        ({"dsa": {"mode": "some"}}, "`mode` of normalised view 'dsa' must be 'one' or 'all', got 'some'"),
        ({"crop-scale-rotate": {"scale": 1.0}}, "'crop-scale-rotate' must be at least 0 and below 1, got 1.0"),
        ({"crop-scale-rotate": {"rotate": 4.5}}, "`rotate` of normalised view .* must be a whole number, got 4.5"),
        ({"crop-scale-rotate": {"shift": -1}}, "`shift` of normalised view 'crop-.* must be from 0 to 1, got -1"),
    ],
)
def test_what_is_misspelt_or_out_of_range_is_refused(spec: Any, message: str) -> None:
    for read in (check_normalised_views, normalised_views):
        with pytest.raises(UserError, match=message):
            read(spec)


def test_none_is_the_images_themselves_and_keys_tell_views_apart() -> None:
    for spec in (None, "none", [], ["none", None], {"none": None}):
        views = normalised_views(spec)
        images = some(2)
        assert not views.changes
        assert views.apply(images, views.draw(2, seed=0, step=0)) is images
    keys = [normalised_views(views_spec).key for views_spec in [*EVERY, "dsa", {"dsa": {"shift": 0.25}}]]
    assert len(set(keys)) == len(keys)
    whole = [*OPERATIONS]
    assert normalised_views({"dsa": {"operations": whole, "shift": 0.125}}).key == normalised_views("dsa").key
    views = normalised_views("dsa")
    assert normalised_views(views) is views
    assert normalised_views([views, "none"]) is views
