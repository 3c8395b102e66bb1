import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.transfer.conftest import OF_PIXELS, ranked

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import average_histogram, representation
from limbeck.transfer.scoring.representations import (
    grayscale,
    grayscale_histogram,
    padded_to,
    patch_entropies,
    rgb_histogram,
    to_gray,
)
from limbeck.transfer.scoring.score import score_function
from limbeck.transfer.scoring.scores import ScoreInputs, entropy, variance
from limbeck.transfer.select import Criterion, select

FOLDER = Path(__file__).parents[2] / "golden" / "select"
GOLDEN = FOLDER / "histograms_grayscale.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def golden_images(golden) -> ImageSet:
    pixels = torch.from_numpy(golden["in.images"]).permute(0, 3, 1, 2).contiguous()
    return ImageSet(pixels, torch.from_numpy(golden["in.labels"]))


def test_histograms_and_entropies_equal_the_golden_ones(golden, golden_images):
    histograms = grayscale_histogram(golden_images.tensor())
    torch.testing.assert_close(histograms, torch.from_numpy(golden["out.representation"]), rtol=0, atol=0)
    torch.testing.assert_close(entropy(histograms), torch.from_numpy(golden["out.score"]).double(), rtol=1e-5, atol=0)


def test_choices_equal_the_golden_ones(golden, golden_images):
    hp = json.loads(str(golden["hp"]))
    classes = len(np.unique(golden["in.labels"]))
    for criterion, budget, expected in (
        ("entropy-whole", hp["n"], "out.top_n"),
        ("entropy", f"{hp['per_class']}/class", "out.per_class_highest"),
        ("entropy-lowest", f"{hp['per_class']}/class", "out.per_class_lowest"),
    ):
        chosen = select(golden_images, criterion=criterion, budget=budget).ids
        assert sorted(chosen.tolist()) == golden[expected].tolist(), criterion
    assert len(golden["out.per_class_highest"]) == hp["per_class"] * classes


def test_gray_by_hand():
    pixels = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]], dtype=torch.uint8)
    assert to_gray(pixels[:, :, None, None]).flatten().tolist() == [76, 150, 29, 255, 0]


def test_gray_images_stay_as_they_are():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_gray(levels), levels[:, 0].int())
    assert torch.equal(to_gray(levels.expand(-1, 3, -1, -1)), levels[:, 0].int())


def test_histogram_counts_each_image_alone():
    images = torch.randint(0, 256, (7, 3, 5, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole = grayscale_histogram(images)
    for index, gray in enumerate(to_gray(images)):
        expected = np.histogram(gray.numpy(), bins=np.arange(257))[0] / 45
        np.testing.assert_allclose(whole[index].numpy(), expected, rtol=1e-6)


def test_batches_change_nothing():
    images = torch.randint(0, 256, (33, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole = entropy(grayscale_histogram(images))
    for size in (1, 2, 5, 32):
        parts = torch.cat([entropy(grayscale_histogram(part)) for part in images.split(size)])
        assert torch.equal(parts, whole), "scores must not depend on the neighbours, or storage order breaks ties"


def test_order_of_golden_scores(golden, golden_images):
    scores = entropy(grayscale_histogram(golden_images.tensor()))
    expected = np.argsort(-golden["out.score"], kind="stable")
    assert ranked(scores, golden_images.ids) == expected.tolist()


PUBLISHED = {
    "rgb-histogram": "histograms_rgb",
    "average-adjusted-histogram": "average_adjusted_histograms",
    "patch-entropies": "patch_entropy_vectors",
}


@pytest.mark.parametrize(("name", "file"), PUBLISHED.items())
def test_the_others_equal_the_golden_ones(name, file):
    with np.load(FOLDER / f"{file}.npz") as golden:
        pixels = torch.from_numpy(golden["in.images"]).permute(0, 3, 1, 2).contiguous()
        images = ImageSet(pixels, torch.from_numpy(golden["in.labels"]))
        features = representation(name, images, ScoringContext())(pixels)
        torch.testing.assert_close(features, torch.from_numpy(golden["out.representation"]), rtol=1e-6, atol=1e-7)
        score = score_function(Criterion(representation=name))(features, ScoreInputs(images.ids, None, 0))
        np.testing.assert_allclose(score.numpy(), golden["out.score"], rtol=1e-6)

        hp = json.loads(str(golden["hp"]))
        for criterion, budget, key in (
            (f"{name}/tn", hp["n"], "out.top_n"),
            (f"{name}/tnpc", f"{hp['per_class']}/class", "out.per_class_highest"),
            (f"{name}/tnpc/ls", f"{hp['per_class']}/class", "out.per_class_lowest"),
        ):
            chosen = select(images, criterion=criterion, budget=budget).ids
            assert sorted(chosen.tolist()) == golden[key].tolist(), criterion


def test_variance_equals_the_golden_one():
    with np.load(FOLDER / "variance.npz") as golden:
        pixels = torch.from_numpy(golden["in.images"]).permute(0, 3, 1, 2).contiguous()
        np.testing.assert_allclose(variance(grayscale(pixels)), golden["out.score"], rtol=1e-12)


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (28, 28), (5, 9), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_patch_entropies_by_hand(size, channels):
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 9, (5, channels, *size), generator=source, dtype=torch.uint8)
    entropies = patch_entropies(images)
    for row, gray in zip(entropies, to_gray(images), strict=True):
        patches = [part for rows in gray.split(8) for part in rows.split(8, dim=1)]
        assert len(row) == len(patches)
        for value, patch in zip(row.tolist(), patches, strict=True):
            shares = torch.bincount(patch.flatten()).double() / patch.numel()
            assert value == pytest.approx(float(torch.special.entr(shares).sum() / np.log(2)), abs=1e-6)


@pytest.mark.parametrize("name", OF_PIXELS)
def test_features_do_not_depend_on_neighbours(name):
    images = torch.randint(0, 256, (33, 3, 12, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole = OF_PIXELS[name](images)
    for size in (1, 2, 5, 32):
        assert torch.equal(torch.cat([OF_PIXELS[name](part) for part in images.split(size)]), whole)


@pytest.mark.parametrize("name", [*OF_PIXELS, "average-adjusted-histogram"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_images_have_finite_scores(name, level):
    images = ImageSet(torch.full((6, 3, 16, 16), level, dtype=torch.uint8))
    features = representation(name, images, ScoringContext())(images.tensor())
    score = score_function(Criterion(representation=name))(features, ScoreInputs(images.ids, None, 0))
    assert score.isfinite().all()
    assert (score == score[0]).all()
    if name != "average-adjusted-histogram" and name != "rgb-histogram":
        assert score[0] == pytest.approx(0, abs=2e-7)


def test_a_flat_histogram_is_shifted_and_not_scaled():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    images = ImageSet(torch.cat([levels, torch.zeros_like(levels)]))
    features = representation("average-adjusted-histogram", images, ScoringContext())(images.tensor())
    assert features.isfinite().all()
    assert features[0].tolist() == pytest.approx((average_histogram(images) - 1).abs().tolist())


def test_gray_images_in_colour_histograms():
    images = torch.randint(0, 256, (4, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.equal(rgb_histogram(images), grayscale_histogram(images))


def test_padding_repeats_the_edge():
    images = torch.arange(6.0).view(1, 1, 2, 3)
    assert padded_to(images, 4)[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
    assert padded_to(torch.ones(1, 1, 8, 8), 8).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("allocation", ["k-centre", "herding", "k-means"])
def test_features_that_are_not_finite_are_refused(toy, allocation):
    def broken(pixels):
        features = pixels.flatten(1).float()
        features[2, 0] = torch.nan
        return features

    criterion = Criterion(score="random", allocation=allocation, space="function")
    first = toy.ids[2].item()
    with pytest.raises(UserError, match=f"features of 'toy' are not finite for id {first}; look at that image .* `spa"):
        select(toy, criterion=criterion, budget=4, function=broken)
