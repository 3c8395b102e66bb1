"""Augmentations: pure functions of (seed, view, id), right pixels, and the number of views where it is finite."""

from itertools import permutations

import pytest
import torch

from limbeck.data.image_set import ImageSet
from limbeck.data.own_views import FunctionView
from limbeck.data.shuffled_patches import ShuffledPatches
from limbeck.data.view_catalogue import VIEWS
from limbeck.data.views import Augmentation, Chain, ColourJitter, Identity, PadCrop, ResizedCrop, augmentation
from limbeck.errors import UserError
from limbeck.testing import Check, checks_for


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


ALL = [*list(VIEWS), ["pad-crop-flip", "colour-jitter"]]


@pytest.mark.parametrize("check", [check for name in VIEWS for check in checks_for("views", name)], ids=str)
def test_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("spec", ALL, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_same_triple_gives_same_pixels_in_any_batch(spec: object, channels: int, images: torch.Tensor) -> None:
    augment = augmentation(spec)  # pyright: ignore[reportArgumentType]
    images, ids = images[:, :channels], torch.arange(12) * 7
    among = ImageSet(images, ids=ids)
    whole = augment(images, ids, seed=3, view=5, among=among)
    assert whole.dtype == torch.uint8
    assert whole.shape == images.shape
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    assert torch.equal(augment(images[order], ids[order], seed=3, view=5, among=among), whole[order])
    view = augment(images[4:5], ids[4:5], seed=3, view=torch.tensor([5]), among=among)
    assert torch.equal(view, whole[4:5])


@pytest.mark.parametrize("spec", [spec for spec in ALL if spec != "none"], ids=str)
def test_seed_view_and_id_each_change_the_pixels(spec: object, images: torch.Tensor) -> None:
    augment = augmentation(spec)  # pyright: ignore[reportArgumentType]
    ids = torch.arange(12)
    among, others = ImageSet(images, ids=ids), ImageSet(images, ids=ids + 100)
    base = augment(images, ids, seed=0, view=0, among=among)
    assert not torch.equal(augment(images, ids, seed=1, view=0, among=among), base)
    assert not torch.equal(augment(images, ids, seed=0, view=1, among=among), base)
    assert not torch.equal(augment(images, ids + 100, seed=0, view=0, among=others), base)


def test_pad_crop_equals_padding_and_slicing(images: torch.Tensor) -> None:
    augment = PadCrop(padding=2)
    assert augment.distinct == 50
    for index in range(50):
        mirrored, offset = divmod(index, 25)
        top, left = divmod(offset, 5)
        crop = torch.nn.functional.pad(images, (2, 2, 2, 2))[:, :, top : top + 16, left : left + 16]
        expected = crop.flip(3) if mirrored else crop
        assert torch.equal(augment.render(images, torch.full((12,), index)), expected)


def test_pad_4_with_flip_has_162_views_all_of_which_are_drawn_evenly() -> None:
    augment = augmentation("pad-crop-flip")
    assert augment.distinct == 162
    draws = torch.cat([augment.draw(torch.arange(2000), seed=0, view=view) for view in range(20)])
    counts = torch.bincount(draws, minlength=162)
    assert len(counts) == 162
    expected = 40_000 / 162
    # chi-square of 161 degrees of freedom: mean 161, standard deviation 18
    assert float(((counts - expected) ** 2 / expected).sum()) < 161 + 5 * 18


def test_a_resized_crop_of_everything_is_the_image(images: torch.Tensor) -> None:
    whole = ResizedCrop(area=(1, 1), ratio=(1, 1), flip=False)
    assert torch.equal(whole(images, torch.arange(12), seed=0, view=0), images)


def test_jitter_of_strength_zero_is_the_image(images: torch.Tensor) -> None:
    still = ColourJitter(brightness=0, contrast=0, saturation=0, hue=0)
    change = still(images, torch.arange(12), seed=0, view=0).int() - images.int()
    assert change.abs().max() <= 1


def test_hue_turns_keep_greys_grey() -> None:
    grey = torch.full((4, 3, 8, 8), 100, dtype=torch.uint8)
    turned = ColourJitter(brightness=0, contrast=0, saturation=0, hue=0.5)(grey, torch.arange(4), seed=0, view=0)
    assert (turned.int() - 100).abs().max() <= 1


def test_chain_of_finite_views_is_finite_and_reaches_all_of_them(images: torch.Tensor) -> None:
    chain = Chain([PadCrop(padding=1, flip=False), PadCrop(padding=0, flip=True)])
    assert chain.distinct == 18
    views = {chain.render(images[:1], torch.tensor([index])).numpy().tobytes() for index in range(18)}
    assert len(views) == 18


def test_identity_is_the_image_itself(images: torch.Tensor) -> None:
    assert Identity()(images, torch.arange(12), seed=0, view=0) is images


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("crop", "unknown view 'crop'; did you mean 'pad-crop'"),
        ({"pad-crop": {"pading": 2}}, "unknown option of view 'pad-crop': 'pading'; did you mean 'padding'"),
        ({"pad-crop": {"padding": -1}}, "`padding` must be >= 0, got -1"),
        ({"resized-crop": {"area": [0, 1]}}, "`area` must be .* got \\(0, 1\\)"),
        ({"resized-crop": {"ratio": [2, 1]}}, "`ratio` must be"),
        ({"colour-jitter": {"hue": 0.7}}, "`hue` must be between 0 and 0.5, got 0.7"),
        ({"colour-jitter": {"contrast": -1}}, "`contrast` must be >= 0"),
        ({"shuffled-patches": {"factor": 7}}, "`factor` must be from 1 to 6, got 7"),
        ({"pad-crop": 3}, "options of view 'pad-crop' must be a mapping, got 3"),
        ({"pad-crop": {"padding": "four"}}, "`padding` of views must be a whole number, got 'four'"),
        ({"pad-crop-flip": {"padding": True}}, "`padding` of views must be a whole number, got True"),
        ({"colour-jitter": {"brightness": float("inf")}}, "`brightness` of views must be a finite number, got inf"),
        ({"colour-jitter": {"hue": "red"}}, "`hue` of views must be a finite number, got 'red'"),
        ({"shuffled-patches": {"factor": 2.0}}, "`factor` of views must be a whole number, got 2.0"),
        ({"resized-crop": {"area": 0.5}}, r"`area` must be \(low, high\) with 0 < low <= high <= 1, got 0.5"),
        ({"resized-crop": {"area": "ab"}}, "`area` must be .* got 'ab'"),
        ({"resized-crop": {"area": [0.1, 0.5, 1]}}, r"`area` must be .* got \(0.1, 0.5, 1\)"),
        ({"resized-crop": {"ratio": [0.5, float("inf")]}}, r"`ratio` must be .* 0 < low <= high, got \(0.5, inf\)"),
        ({"resized-crop": {"ratio": [True, 2]}}, r"`ratio` must be .* got \(True, 2\)"),
        ([], "at least one augmentation"),
        (7, "`views` must be a name, a mapping .* got 7"),
    ],
)
def test_wrong_specifications(spec: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        augmentation(spec)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "spec", [*(name for name in VIEWS if not augmentation(name).others), ["pad-crop", "resized-crop"]]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_smooth_views_are_those_that_are_rendered_before_rounding_and_have_gradients(
    spec: object, channels: int, images: torch.Tensor
) -> None:
    views, images = augmentation(spec), images[:, :channels]  # pyright: ignore[reportArgumentType]
    draw = views.draw(torch.arange(len(images)), seed=1, view=2)
    levels = images.float().requires_grad_()
    smooth = views.smooth(levels, draw)
    assert (smooth - views.render(images, draw).float()).abs().max() <= 0.501
    smooth.sum().backward()
    assert levels.grad is not None
    assert levels.grad.abs().sum() > 0
    assert torch.equal(levels, images.float())


@pytest.mark.parametrize(("factor", "height", "width"), [(1, 4, 4), (2, 4, 6), (2, 5, 7), (3, 6, 8)])
def test_shuffled_patches_are_all_orders_of_rows_and_columns(factor: int, height: int, width: int) -> None:
    views = ShuffledPatches(factor=factor)
    image = torch.arange(height * width).view(1, 1, height, width).to(torch.uint8)
    sizes = [[len(part) for part in torch.arange(side).tensor_split(factor)] for side in (height, width)]
    wanted = set()
    for down in permutations(image.split(sizes[0], 2)):
        for along in permutations(torch.cat(down, 2).split(sizes[1], 3)):
            wanted.add(torch.cat(along, 3).numpy().tobytes())
    assert views.distinct == len(wanted)
    assert {views.render(image, torch.tensor([n])).numpy().tobytes() for n in range(len(wanted))} == wanted


def test_patches_need_room(images: torch.Tensor) -> None:
    with pytest.raises(UserError, match="`factor` 3 needs images of at least 3x3, got 2x16"):
        ShuffledPatches(factor=3)(images[:, :, :2], torch.arange(12), seed=0, view=0)


def test_views_that_only_move_pixels_say_so() -> None:
    assert augmentation([{"pad-crop": {"padding": 1}}, "none"]).moves
    assert not augmentation(["pad-crop", "resized-crop"]).moves


def test_views_without_a_gradient_say_so(images: torch.Tensor) -> None:
    class Negative(Augmentation):
        distinct = 1

        def render(self, images: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
            return 255 - images

    own = FunctionView(lambda images, draw: 255 - images, "view 'negative'", {}, 1)
    for views, name in ((Negative(), "'Negative'"), (own, "'negative'")):
        with pytest.raises(UserError, match=f"view {name} has no gradient, which images that are optimised need"):
            views.smooth(images.float(), torch.zeros(len(images), dtype=torch.int64))
