import json
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.image_set import ImageSet
from limbeck.transfer.select import select
from limbeck.transfer.select.allocation import rank
from limbeck.transfer.select.catalogue import REPRESENTATIONS as NAMES
from limbeck.transfer.select.representations import REPRESENTATIONS, grayscale_histogram, to_gray
from limbeck.transfer.select.scores import entropy

GOLDEN = Path(__file__).parents[2] / "golden" / "select" / "histograms_grayscale.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope="module")
def golden_images(golden) -> ImageSet:
    pixels = torch.from_numpy(golden["in.images"]).permute(0, 3, 1, 2).contiguous()
    return ImageSet(pixels, torch.from_numpy(golden["in.labels"]))


def test_every_name_is_there():
    assert REPRESENTATIONS.keys() == NAMES.keys()


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
    assert rank(scores, golden_images.ids).tolist() == expected.tolist()
