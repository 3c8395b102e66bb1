"""Mixup and CutMix: right pixels and shares, partners from the whole set, the same in every order and batch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from limbeck.data.image_set import ImageSet
from limbeck.data.mixing import WHOLE, CutMix, Mixed, Mixing, Mixup, MixupOrCutMix, cutmix, mixed_labels, mixup, weights
from limbeck.data.views import Chain, PadCrop, augmentation
from limbeck.errors import UserError
from limbeck.randomness import words

DRAWS = words(3, 0, torch.arange(20_000))


def pictures(count: int = 12, channels: int = 3, size: int = 16) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=source)


@given(st.integers(0, WHOLE), st.integers(0, 255), st.integers(0, 255))
def test_mixup_rounds_the_weighted_mean_half_up(weight: int, one: int, other: int) -> None:
    first, second = (torch.full((1, 1, 1, 1), value, dtype=torch.uint8) for value in (one, other))
    expected = (one * weight + other * (WHOLE - weight) + WHOLE // 2) // WHOLE
    assert mixup(first, second, torch.tensor([weight])).item() == expected


def test_cutmix_equals_slicing() -> None:
    images, others = pictures(3), pictures(6)[3:]
    boxes = torch.tensor([[0, 2, 5], [3, 16, 5], [1, 0, 4], [4, 16, 9]])  # each is top, bottom, left, right
    expected = images.clone()
    for number, (top, bottom, left, right) in enumerate(boxes.T.tolist()):
        expected[number, :, top:bottom, left:right] = others[number, :, top:bottom, left:right]
    assert torch.equal(cutmix(images, others, boxes), expected)
    assert torch.equal(expected[2], images[2]), "an empty box changes nothing"


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_weights_are_of_the_beta_distribution(alpha: float) -> None:
    drawn = weights(alpha, 1.0, DRAWS).double().numpy() / WHOLE
    points = np.linspace(0.01, 0.99, 50)
    below = (drawn[:, None] < points).mean(axis=0)
    assert abs(below - stats.beta(alpha, alpha).cdf(points)).max() < 0.015  # 1 sample in 250 is off by more


@pytest.mark.parametrize("alpha", [1e-3, 1e3])
def test_weights_at_the_ends_of_what_is_allowed(alpha: float) -> None:
    drawn = weights(alpha, 1.0, DRAWS)
    assert drawn.min() >= 0
    assert drawn.max() <= WHOLE
    assert abs(drawn.double().mean().item() / WHOLE - 0.5) < 0.02


def test_a_share_is_left_as_it_is() -> None:
    drawn = weights(1.0, 0.25, DRAWS)
    assert abs((drawn == WHOLE).double().mean().item() - 0.75) < 0.02
    images, others = pictures(), pictures().flip(0)
    rare = Mixup(share=1e-9)
    mixed, share = rare.mix(images, others, DRAWS[:12])
    assert torch.equal(mixed, images)
    assert share.tolist() == [1.0] * 12


@pytest.mark.parametrize(
    "mixing", [Mixup(), CutMix(), CutMix(alpha=0.3), MixupOrCutMix()], ids=lambda mixing: mixing.key
)
def test_shares_are_those_of_the_pixels(mixing: Mixing) -> None:
    black = torch.zeros(500, 1, 12, 20, dtype=torch.uint8)
    white = torch.full_like(black, 255)
    mixed, share = mixing.mix(black, white, DRAWS[:500])
    whites = mixed.double().mean(dim=(1, 2, 3)) / 255
    assert (whites - (1 - share.double())).abs().max() < 0.5 / 255 + 1e-6  # mixup rounds
    assert share.min() < 0.35, "boxes are cut at the borders"
    assert share.max() > 0.95


def test_one_of_the_two() -> None:
    black = torch.zeros(2000, 1, 8, 8, dtype=torch.uint8)
    white = torch.full_like(black, 255)
    mixed, _ = MixupOrCutMix(cutmix_share=0.3).mix(black, white, DRAWS[:2000])
    boxes = ((mixed == 0) | (mixed == 255)).all(dim=(1, 2, 3))
    assert abs(boxes.double().mean().item() - 0.3) < 0.05
    for share, alone in ((0.0, Mixup()), (1.0, CutMix())):
        mixed, shares = MixupOrCutMix(cutmix_share=share).mix(black, white, DRAWS[:2000])
        assert torch.equal(mixed, alone.mix(black, white, DRAWS[:2000])[0])
        assert torch.equal(shares, alone.mix(black, white, DRAWS[:2000])[1])


def test_partners_are_uniform_among_the_others() -> None:
    ids = torch.arange(10) * 5 + 2
    views = augmentation("mixup")
    counts = torch.zeros(10, 10)
    for view in range(1000):
        (partners,) = views.partners(ids, views.draw(ids, seed=0, view=view), ids)
        counts[torch.arange(10), (partners - 2) // 5] += 1
    assert counts.diagonal().sum() == 0
    others = counts[~torch.eye(10, dtype=torch.bool)]
    expected = 1000 / 9
    # chi-square of 80 degrees of freedom: mean 80, standard deviation 12.6
    assert float(((others - expected) ** 2 / expected).sum()) < 80 + 5 * 12.6


def test_a_lone_image_mixes_with_itself() -> None:
    images, ids = pictures(1), torch.tensor([7])
    views = augmentation("mixup")
    assert torch.equal(views(images, ids, seed=0, view=0, among=ImageSet(images, ids=ids)), images)


def test_a_partner_is_shown_by_the_parts_before_in_a_view_of_its_own() -> None:
    images, ids = pictures(), torch.arange(12)
    among = ImageSet(images)
    views = augmentation(["pad-crop-flip", "mixup", {"pad-crop": {"padding": 1}}])
    draw = views.draw(ids, seed=0, view=3)
    (partners,) = views.partners(ids, draw, ids)
    shown, shares = views.mix(images, ids, draw, [images[partners]])
    crops, later = PadCrop(), PadCrop(padding=1, flip=False)
    draws_of = lambda part, stream, bits: torch.remainder(words(stream, 1, bits) & 0x7FFF_FFFF_FFFF_FFFF, part.distinct)  # noqa: E731
    own = crops.render(images, draws_of(crops, 0, draw))
    other_bits = words(0, 3, draw)
    other = crops.render(images[partners], draws_of(crops, 0, other_bits))
    mixture, share = Mixup().mix(own, other, words(1, 4, draw))
    assert torch.equal(shown, later.render(mixture, draws_of(later, 2, draw)))
    assert torch.equal(shares, torch.stack([share, 1 - share], dim=1))
    assert (draws_of(crops, 0, draw) != draws_of(crops, 0, other_bits)).any()
    assert torch.equal(views(images, ids, seed=0, view=3, among=among), shown)


def test_two_mixings_have_a_partner_each() -> None:
    images, ids = pictures(), torch.arange(12)
    views = augmentation([["none", "mixup"], "cutmix"])
    assert isinstance(views, Mixed)
    assert [type(part).__name__ for part in views.parts] == ["Identity", "Mixup", "CutMix"]
    draw = views.draw(ids, seed=0, view=0)
    first, second = views.partners(ids, draw, ids)
    assert (first != second).any()
    _, shares = views.mix(images, ids, draw, [images[first], images[second]])
    assert shares.shape == (12, 3)
    assert torch.allclose(shares.sum(1), torch.ones(12))


def test_few_views_are_the_same_ones_for_good() -> None:
    images, ids = pictures(), torch.arange(12) * 3
    among = ImageSet(images, ids=ids)
    augment = augmentation(["pad-crop", "mixup"], per_image=3)
    assert (augment.distinct, augment.others, augment.by_id) == (3, 1, True)
    variants = {
        augment(images[:1], ids[:1], seed=seed, view=view, among=among).numpy().tobytes()
        for seed in range(20)
        for view in range(5)
    }
    assert len(variants) == 3


def test_keys_tell_options_apart_and_old_ones_stay() -> None:
    keys = [
        augmentation(spec).key
        for spec in (
            "mixup",
            {"mixup": {"alpha": 0.5}},
            {"mixup": {"share": 0.5}},
            "cutmix",
            "mixup-or-cutmix",
            ["pad-crop", "mixup"],
            ["mixup", "pad-crop"],
        )
    ]
    assert len(set(keys)) == len(keys)
    assert augmentation({"mixup": {"alpha": 1}}).key == augmentation("mixup").key
    # Keys stay as earlier versions wrote them: teachers' outputs are cached under them.
    crop = "limbeck.data.views.PadCrop({'padding': 4, 'flip': True})"
    assert augmentation("pad-crop-flip").key == crop
    assert augmentation(["pad-crop-flip", "none"]).key == f"limbeck.data.views.Chain({{'parts': [{crop!r}, 'none']}})"
    augment = augmentation("pad-crop-flip", per_image=2)
    assert augment.key == f"limbeck.data.views.Few({{'count': 2, 'base': {crop!r}}})"
    assert isinstance(augmentation(["pad-crop-flip", "none"]), Chain)


def test_targets_of_mixtures() -> None:
    labels = [torch.tensor([0, 1]), torch.tensor([2, 1])]
    shares = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    assert mixed_labels(labels, shares, 3).tolist() == [[0.75, 0.0, 0.25], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"mixup": {"alpha": 0}}, "`alpha` must be > 0, between 0.001 and 1000, got 0; 1 is uniform"),
        ({"cutmix": {"alpha": float("nan")}}, "`alpha` must be > 0, between 0.001 and 1000, got nan"),
        ({"cutmix": {"alpha": True}}, "`alpha` must be > 0, .* got True"),
        ({"mixup-or-cutmix": {"cutmix_alpha": "1"}}, "`cutmix_alpha` must be > 0, .* got '1'"),
        ({"mixup": {"share": 0}}, r"`share` must be in \(0, 1\], got 0; leave the view out to mix none"),
        ({"cutmix": {"share": 1.5}}, r"`share` must be in \(0, 1\], got 1.5"),
        ({"mixup-or-cutmix": {"cutmix_share": -1}}, r"`cutmix_share` must be in \[0, 1\], got -1"),
        ({"mixup-or-cutmix": {"cutmix_share": "half"}}, r"`cutmix_share` must be in \[0, 1\], got 'half'"),
        ({"mixup": {"alpa": 1}}, "unknown option of view 'mixup': 'alpa'; did you mean 'alpha'"),
        ("mix-up", "unknown view 'mix-up'; did you mean 'mixup'"),
    ],
)
def test_wrong_options(spec: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        augmentation(spec)  # pyright: ignore[reportArgumentType]


def test_mixing_needs_a_set() -> None:
    with pytest.raises(UserError, match="`among` must be the image set whose images are mixed into these views"):
        augmentation("mixup")(pictures(), torch.arange(12), seed=0, view=0)


def test_the_same_on_every_device_is_integer_arithmetic() -> None:
    """The rest is square roots and products, which IEEE 754 defines exactly."""
    images, others = pictures(), pictures().flip(0)
    mixed, _ = Mixup().mix(images, others, DRAWS[:12])
    weight = weights(1.0, 1.0, DRAWS[:12]).numpy().astype(np.int64)[:, None, None, None]
    exact = (images.numpy() * weight + others.numpy() * (WHOLE - weight) + WHOLE // 2) // WHOLE
    assert np.array_equal(mixed.numpy(), exact)
