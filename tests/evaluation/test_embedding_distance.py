"""The energy distance of embeddings, against its definition and against what is known of it."""

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance

from limbeck.errors import UserError
from limbeck.evaluation.embedding_distance import distance_of_halves, energy_coefficient


def normal(count: int, dimensions: int = 8, mean: float = 0.0, seed: int = 0) -> torch.Tensor:
    return mean + torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def test_it_is_that_of_scipy_but_for_pairs_of_one_image() -> None:
    """scipy's, in one dimension, is the root of a distance whose means count an image with itself."""
    first, other = normal(300, 1), normal(200, 1, 0.5, 1)
    distance = torch.cdist(first.double(), other.double()).mean().item()
    own = [torch.cdist(x.double(), x.double()).sum().item() / (len(x) * (len(x) - 1)) for x in (first, other)]
    biased = [mean * (len(x) - 1) / len(x) for mean, x in zip(own, (first, other), strict=True)]
    assert 2 * distance - sum(biased) == pytest.approx(energy_distance(first[:, 0], other[:, 0]) ** 2, rel=1e-6)
    assert energy_coefficient(first, other) == pytest.approx((2 * distance - sum(own)) / (2 * distance))


def test_samples_of_one_distribution_are_level_whatever_their_sizes() -> None:
    sizes = ((5, 200), (200, 5), (40, 40), (2, 2))
    distances = [[energy_coefficient(normal(n, seed=s), normal(m, seed=s + 900)) for s in range(60)] for n, m in sizes]
    for values in distances:
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)


def test_it_grows_to_one_with_the_distance_and_knows_no_unit() -> None:
    near, far, farther = (energy_coefficient(normal(50), normal(60, mean=mean, seed=1)) for mean in (0.5, 5, 500))
    assert 0 < near < far < farther < 1
    assert farther > 0.99
    assert energy_coefficient(7 * normal(50), 7 * normal(60, mean=0.5, seed=1)) == pytest.approx(near, rel=1e-5)


def test_equal_points_are_no_distance_apart() -> None:
    same = torch.ones(5, 3)
    assert energy_coefficient(same, same) == 0
    assert distance_of_halves(same) == (0, 0)


def test_halves_tell_what_chance_gives() -> None:
    halves = distance_of_halves(normal(100), seed=3)
    assert abs(halves.mean) < halves.highest < energy_coefficient(normal(100), normal(100, mean=1, seed=1))
    assert halves == distance_of_halves(normal(100), seed=3)
    assert halves != distance_of_halves(normal(100), seed=4)
    assert distance_of_halves(normal(4)).highest >= distance_of_halves(normal(4)).mean


def test_too_few_and_other_dimensions() -> None:
    with pytest.raises(UserError, match=r"two or more of each set, of as many dimensions, got \[1, 8\] and \[5, 8\]"):
        energy_coefficient(normal(1), normal(5))
    with pytest.raises(UserError, match=r"got \[5, 8\] and \[5, 4\]"):
        energy_coefficient(normal(5), normal(5, 4))
    with pytest.raises(UserError, match="four or more to be halved, got 3"):
        distance_of_halves(normal(3))
