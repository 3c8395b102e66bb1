import numpy as np
import pytest
import torch

from limbeck.transfer.select.clusters import choose_clusters, cluster, in_order_of_appearance, map_of

CHOOSING = {"clusters": None, "fewest": 2, "most": 8, "step": 1, "sample": 200}


def blobs(count: int, n: int = 300, *, dimensions: int = 5, seed: int = 0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    centres = 20 * torch.rand(count, dimensions, generator=source)
    return centres[torch.arange(n) % count] + 0.1 * torch.randn(n, dimensions, generator=source)


@pytest.mark.parametrize("count", [3, 5])
def test_the_silhouette_finds_blobs(count):
    groups = cluster(blobs(count), torch.arange(300), CHOOSING, 0)
    assert groups.tolist() == (torch.arange(300) % count).tolist(), "numbered in the order of appearance"


@pytest.mark.parametrize("ks", [range(10, 31, 2), range(3, 20, 5), range(4, 5)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_chosen_number_is_one_of_those_searched(ks, seed):
    """The reference searches 10, 12 ... 30 and returns the place of the best among them, plus 2."""
    rows = torch.rand(120, 4, generator=torch.Generator().manual_seed(seed)).numpy()
    assert choose_clusters(rows, ks, sample=100, seed=seed) in ks


def test_where_no_number_is_possible_all_are_one_cluster():
    rows = np.random.default_rng(0).random((9, 4), dtype=np.float32)
    assert choose_clusters(rows, range(10, 31, 2), sample=100, seed=0) == 1
    assert (
        cluster(torch.from_numpy(rows), torch.arange(9), {**CHOOSING, "fewest": 10, "most": 30}, 0).tolist() == [0] * 9
    )


def test_clusters_do_not_depend_on_the_order_of_the_rows():
    features, ids = blobs(4, 100), torch.randperm(100, generator=torch.Generator().manual_seed(1))
    groups = cluster(features, ids, {"clusters": 7}, 3)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(2))
    again = cluster(features[order], ids[order], {"clusters": 7}, 3)
    assert torch.equal(in_order_of_appearance(groups[order]), again)


def test_many_rows_are_learned_from_in_batches(monkeypatch):
    monkeypatch.setattr("limbeck.transfer.select.clusters._MANY", 100)
    groups = cluster(blobs(3), torch.arange(300), {"clusters": 3}, 0)
    assert groups.tolist() == (torch.arange(300) % 3).tolist()


def test_images_all_alike():
    features = torch.ones(60, 4)
    assert cluster(features, torch.arange(60), {"clusters": 5}, 0).max() <= 4
    assert cluster(features, torch.arange(60), CHOOSING, 0).max() <= 7
    assert torch.equal(map_of(features, torch.arange(60), 2, 0), features)


def test_more_clusters_than_images():
    groups = cluster(blobs(3, 6), torch.arange(6), {"clusters": 100}, 0)
    assert groups.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("installed", [True, False])
def test_maps_are_seeded_and_keep_neighbours(monkeypatch, installed):
    """openTSNE where it is there, scikit-learn elsewhere."""
    real = __import__("importlib.util").util.find_spec
    if installed and real("openTSNE") is None:
        pytest.skip("openTSNE is not installed")
    monkeypatch.setattr("limbeck.transfer.select.clusters.find_spec", lambda name: real(name) if installed else None)
    features, ids = blobs(3, 60, dimensions=60), torch.arange(60).flip(0)
    places = map_of(features, ids, 2, 0)
    assert places.shape == (60, 2)
    assert torch.equal(places, map_of(features, ids, 2, 0))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(map_of(features[order], ids[order], 2, 0), places[order])
    nearest = torch.cdist(places, places).fill_diagonal_(torch.inf).argmin(1)
    assert (nearest % 3 == torch.arange(60) % 3).float().mean() > 0.9


def test_few_images_are_their_own_map():
    features = torch.rand(20, 9)
    assert torch.equal(map_of(features, torch.arange(20), 2, 0), features)


def test_in_order_of_appearance():
    assert in_order_of_appearance(torch.tensor([7, 7, 2, 9, 2])).tolist() == [0, 0, 1, 2, 1]
