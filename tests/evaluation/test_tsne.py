from importlib.util import find_spec

import numpy as np
import pytest
import torch

from limbeck.evaluation.neighbours import same_class_share
from limbeck.evaluation.tsne import fastest_installed, tsne, tsne_map, turned_onto


@pytest.fixture(params=["scikit-learn", *(["openTSNE"] if find_spec("openTSNE") else [])])
def by(request: pytest.FixtureRequest) -> str:
    return request.param


def clouds(count: int = 90, dimensions: int = 8) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    return (random.normal(0, 4, (3, dimensions))[labels] + random.normal(0, 1, (count, dimensions))), labels


@pytest.mark.parametrize("dimensions", [1, 8, 80])
def test_clouds_stay_apart(by: str, dimensions: int) -> None:
    embedding, labels = clouds(dimensions=dimensions)
    places = tsne_map(embedding, implementation=by, seed=1)
    assert places.shape == (90, 2)
    assert places.dtype == np.float32
    assert np.allclose(places.mean(0), 0, atol=1e-5)
    assert np.linalg.norm(places, axis=1).mean() == pytest.approx(1)
    if dimensions > 1:
        assert same_class_share(torch.from_numpy(places), torch.from_numpy(labels)) > 0.95
    assert np.array_equal(places, tsne_map(embedding, implementation=by, seed=1))


def test_few_and_equal_images(by: str) -> None:
    assert np.isfinite(tsne_map(clouds(10)[0], implementation=by)).all()
    assert np.array_equal(tsne_map(np.ones((12, 5)), implementation=by), np.zeros((12, 2)))


def test_turning_is_undone() -> None:
    places = np.random.default_rng(0).normal(size=(40, 2))
    angle = 1.1
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.diag([1, -1])
    assert np.allclose(turned_onto(places @ rotation, places), places, atol=1e-6)


def test_implementation_is_what_is_installed() -> None:
    assert fastest_installed() == ("openTSNE" if find_spec("openTSNE") else "scikit-learn")


@pytest.mark.parametrize("components", [2, 3])
def test_fewer_dimensions_than_the_map_has(by: str, components: int) -> None:
    rows = np.random.default_rng(0).normal(size=(60, components - 1)).astype(np.float32)
    places = tsne(rows, components=components, implementation=by, seed=5)
    assert places.shape == (60, components)
    assert np.isfinite(places).all()
