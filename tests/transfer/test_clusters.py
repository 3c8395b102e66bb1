import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from tests.transfer.conftest import natural

from limbeck.errors import UserError
from limbeck.transfer.clusters import choose_clusters, cluster, in_order_of_appearance, map_of
from limbeck.transfer.parts import IMPLEMENTATIONS
from limbeck.transfer.select import find_criterion, select

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
    monkeypatch.setattr("limbeck.transfer.clusters._MANY", 100)
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


@pytest.mark.parametrize("implementation", ["scikit-learn", "openTSNE"])
def test_maps_are_seeded_and_keep_neighbours(implementation):
    if find_spec(IMPLEMENTATIONS[implementation]) is None:
        pytest.skip(f"{implementation} is not installed")
    features, ids = blobs(3, 60, dimensions=60), torch.arange(60).flip(0)
    places = map_of(features, ids, 2, 0, implementation=implementation)
    assert places.shape == (60, 2)
    assert torch.equal(places, map_of(features, ids, 2, 0, implementation=implementation))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(map_of(features[order], ids[order], 2, 0, implementation=implementation), places[order])
    nearest = torch.cdist(places, places).fill_diagonal_(torch.inf).argmin(1)
    assert (nearest % 3 == torch.arange(60) % 3).float().mean() > 0.9


NAMED = {"allocation": "manifold", "clusters": 9, "implementation": "openTSNE"}


def chosen(criterion, **without):
    images = natural(60)
    with pytest.MonkeyPatch.context() as patch:
        for name in without.get("missing", ()):
            patch.setitem(sys.modules, name, None)
            patch.setattr("importlib.util.find_spec", lambda module, name=name: module != name or None)
            patch.setattr(
                "limbeck.transfer.scoring.context.find_spec", lambda module, name=name: module != name or None
            )
        return select(images, criterion=criterion, budget=20, seed=1)


@pytest.mark.parametrize("criterion", ["manifold", {"allocation": "manifold-per-class", "score": "variance"}])
def test_what_is_installed_does_not_decide_what_a_manifold_chooses(criterion):
    there, missing = chosen(criterion), chosen(criterion, missing=["openTSNE"])
    assert there.ids.tolist() == missing.ids.tolist()
    assert there.criterion.described()["options"]["implementation"] == "scikit-learn"


def test_another_implementation_is_named_recorded_and_other_clusters():
    if find_spec("openTSNE") is None:
        pytest.skip("openTSNE is not installed")
    selection = chosen(NAMED)
    assert selection.ids.tolist() != chosen({**NAMED, "implementation": "scikit-learn"}).ids.tolist()
    about = selection.transfer_set(natural(60)).about
    assert about["criterion"]["options"] == {"clusters": 9, "implementation": "openTSNE"}
    assert selection.criterion.clusters_column.endswith("implementation=openTSNE")


def test_an_implementation_that_is_not_installed_or_unknown_is_refused():
    with pytest.raises(UserError, match=r"draws its map by openTSNE, which is not installed; `pip install 'limbeck"):
        chosen(NAMED, missing=["openTSNE"])
    with pytest.raises(
        UserError, match=r"unknown `implementation` of a criterion: 'opentsne'; did you mean 'openTSNE'"
    ):
        find_criterion({**NAMED, "implementation": "opentsne"})
    with pytest.raises(UserError, match=r"`implementation` of a criterion must be a name, got 1"):
        find_criterion({**NAMED, "implementation": 1})
    with pytest.raises(UserError, match="implementation"):
        find_criterion({"allocation": "k-means", "implementation": "openTSNE"})


def test_few_images_are_their_own_map():
    features = torch.rand(20, 9)
    assert torch.equal(map_of(features, torch.arange(20), 2, 0), features)


def test_in_order_of_appearance():
    assert in_order_of_appearance(torch.tensor([7, 7, 2, 9, 2])).tolist() == [0, 0, 1, 2, 1]
