"""Every allocation: exact, distinct, independent of storage; and what is special about each."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from tests.transfer.conftest import image_set, natural, reordered
from tests.transfer.scoring.test_representations import FOLDER

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.allocation import proportional_shares, shares, stratum_of
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.scoring.scores import uniform53
from limbeck.transfer.select import Criterion, select

WHOLE = [name for name, entry in ALLOCATIONS.items() if not entry.per_class]
PER_CLASS = [name for name, entry in ALLOCATIONS.items() if entry.per_class]
FEW_CLUSTERS = {"clusters": 4}


def options_for(allocation: str) -> dict[str, int]:
    return FEW_CLUSTERS if "clusters" in ALLOCATIONS[allocation].options else {}


def by(allocation: str, order: str = "highest", **options: float) -> Criterion:
    return Criterion(
        score="entropy", allocation=allocation, order=order, options={**options_for(allocation), **options}
    )


@st.composite
def sets(draw) -> ImageSet:
    sizes = draw(st.lists(st.integers(0, 9) | st.just(30), min_size=1, max_size=5).filter(any))
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return reordered(image_set(labels, len(labels), seed=draw(st.integers(0, 99)), classes=len(sizes)), 1)


@settings(max_examples=80, deadline=None)
@given(sets(), st.sampled_from([*WHOLE, *PER_CLASS]), st.sampled_from(["highest", "lowest", "random"]), st.data())
def test_exact_distinct_and_independent_of_storage(images, allocation, order, data):
    if "manifold" in allocation and len(images) >= 50:
        images = images.subset(images.ids[:49])
    classes = int((images.class_counts() > 0).sum())
    n = data.draw(st.integers(classes if ALLOCATIONS[allocation].per_class else 1, len(images)))
    criterion = by(allocation, order)
    selection = select(images, criterion=criterion, budget=n, seed=3)
    assert len(selection.ids) == len(selection.ids.unique()) == n
    again = select(reordered(images, seed=n), criterion=criterion, budget=n, seed=3)
    assert torch.equal(again.ids, selection.ids)
    if selection.groups is not None:
        assert selection.groups.shape == (len(images),)
        assert selection.table().column_names[-1] == "group"
    if ALLOCATIONS[allocation].per_class:
        quotas = shares(n, images.class_counts())
        taken = torch.bincount(images.subset(selection.ids).labels, minlength=images.num_classes)
        assert torch.equal(taken, quotas)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 45), st.sampled_from(WHOLE), st.data())
def test_unlabelled_images(size, allocation, data):
    n = data.draw(st.integers(1, size))
    assert len(select(image_set(None, size), criterion=by(allocation), budget=n).ids.unique()) == n


@pytest.mark.parametrize("allocation", PER_CLASS)
def test_classes_need_labels(allocation):
    with pytest.raises(UserError, match="needs labels, and 'toy' has none"):
        select(image_set(None, 10), criterion=by(allocation), budget=5)


@pytest.mark.parametrize("allocation", [*WHOLE, *PER_CLASS])
def test_images_all_alike(allocation):
    images = ImageSet(torch.full((12, 1, 8, 8), 9, dtype=torch.uint8), torch.arange(12) % 3)
    assert len(select(images, criterion=by(allocation), budget=7).ids.unique()) == 7


group_sizes = st.lists(st.integers(0, 30) | st.just(500), min_size=1, max_size=12).filter(any)


@given(group_sizes, st.data())
def test_proportional_shares_are_exact(sizes, data):
    """The reference rounds every cluster's quota by itself: its golden numbers hold 17 images for a budget of 16."""
    n = data.draw(st.integers(0, sum(sizes)))
    quotas = proportional_shares(n, torch.tensor(sizes)).tolist()
    assert sum(quotas) == n
    for quota, size in zip(quotas, sizes, strict=True):
        assert 0 <= quota <= size
        assert abs(quota - n * size / sum(sizes)) < 1


def test_k_means_takes_the_share_of_every_cluster():
    images = natural(80)
    criterion = by("k-means", clusters=6)
    selection = select(images, criterion=criterion, budget=23)
    sizes = torch.bincount(selection.groups)
    taken = torch.bincount(selection.groups[selection.chosen], minlength=len(sizes))
    assert torch.equal(taken.sort().values, proportional_shares(23, sizes).sort().values)
    for group in range(len(sizes)):
        inside = selection.groups == group
        if (inside & selection.chosen).any() and (inside & ~selection.chosen).any():
            assert (
                selection.scores[inside & selection.chosen].min() >= selection.scores[inside & ~selection.chosen].max()
            )


def test_the_golden_order_within_clusters():
    """The reference's quotas are wrong by its rounding; within a cluster the same images come first."""
    for name in ("histograms_grayscale", "histograms_rgb", "average_adjusted_histograms", "patch_entropy_vectors"):
        with np.load(FOLDER / f"{name}.npz") as golden:
            scores, clusters = torch.from_numpy(golden["out.score"]).double(), torch.from_numpy(golden["in.clusters"])
            for key, sign in (("out.per_cluster_highest", 1), ("out.per_cluster_lowest", -1)):
                chosen = torch.zeros(64, dtype=torch.bool)
                chosen[torch.from_numpy(golden[key])] = True
                for cluster in clusters.unique():
                    members = (clusters == cluster).nonzero().flatten()
                    first = members[(sign * scores[members]).argsort(descending=True, stable=True)]
                    count = int(chosen[members].sum())
                    assert sorted(first[:count].tolist()) == sorted(members[chosen[members]].tolist())


def test_manifolds_go_round_without_losing_a_turn():
    """The reference passes over an empty cluster and counts it as a draw, so it returns fewer than asked for."""
    images = natural(49)
    for n in range(1, 50):
        selection = select(images, criterion=by("manifold", clusters=10), budget=n)
        sizes = torch.bincount(selection.groups)
        taken = torch.bincount(selection.groups[selection.chosen], minlength=len(sizes))
        assert int(taken.sum()) == n
        assert all(taken[group] == sizes[group] or taken[group] >= taken.max() - 1 for group in range(len(sizes)))


@pytest.mark.parametrize("allocation", ["manifold", "k-means"])
def test_clusterings_are_seeded(allocation):
    images = natural(49)
    first, same, other = (
        select(images, criterion=by(allocation, clusters=7), budget=15, seed=s).ids for s in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("classes", [1, 3, 13])
def test_any_number_of_classes(classes):
    """The reference divides every budget by ten."""
    images = natural(52, classes=classes)
    for allocation in ("top-n-per-class", "k-means-per-class"):
        assert len(select(images, criterion=by(allocation, **options_for(allocation)), budget=29).ids.unique()) == 29


def test_random_within():
    images = natural(60)
    first, second = (
        select(images, criterion=by("top-n-per-class", "random"), budget=20, seed=seed).ids for seed in (0, 1)
    )
    assert not torch.equal(first, second)


def test_coverage_covers_the_scores_and_leaves_out_the_hardest():
    images = natural(49)
    selection = select(images, criterion=by("coverage", strata=5, cutoff=0.2), budget=20, seed=0)
    hardest = selection.scores.argsort(descending=True)[:9]
    assert not selection.chosen[hardest].any()
    kept = selection.scores[selection.groups < selection.groups.max()]
    assert len(kept) == 40
    taken = torch.bincount(selection.groups[selection.chosen], minlength=5)
    sizes = torch.bincount(selection.groups)[:5]
    assert torch.equal(taken, shares(20, sizes))
    lowest = select(images, criterion=by("coverage", "lowest", strata=5, cutoff=0.2), budget=20, seed=0)
    assert sorted(lowest.ids.tolist()) == sorted(selection.ids.tolist()), "what comes first does not say what is hard"


def test_coverage_leaves_out_no_more_than_the_budget_allows():
    images = natural(40)
    selection = select(images, criterion=by("coverage", cutoff=0.5), budget=35)
    assert len(selection.ids.unique()) == 35


@pytest.mark.parametrize(("budget", "hardest"), [(0.04, 15), (5, 15), (6, 10), (0.2, 10), (11, 0), (50, 0)])
@pytest.mark.parametrize("allocation", ["coverage", "coverage-per-class"])
def test_coverage_leaves_out_what_the_authors_leave_out_at_its_budget(allocation, budget, hardest):
    """30 % where a tenth is kept, 20 % where a fifth is; of one class, it is the same within it."""
    selection = select(natural(50, classes=1), criterion=by(allocation), budget=budget)
    worst = selection.scores.argsort(descending=True)[:hardest]
    assert not selection.chosen[worst].any()
    assert len(set(selection.groups[worst].tolist())) == (hardest > 0)
    beyond = selection.groups == selection.groups[worst[0]] if hardest else torch.zeros(50, dtype=torch.bool)
    assert int(beyond.sum()) == hardest


def test_a_random_order_has_no_hardest():
    images = natural(50)
    selection = select(images, criterion=by("coverage", "random"), budget=5)
    assert selection.criterion.option("cutoff") == 0
    assert len(selection.ids) == 5


def test_strata_are_of_equal_width():
    scores, zero, one = torch.tensor([0.0, 0.1, 0.5, 0.74, 1.0]), torch.tensor(0.0), torch.tensor(1.0)
    assert stratum_of(scores, zero, one, 4).tolist() == [0, 0, 2, 2, 3]
    assert stratum_of(torch.ones(3), one, one, 4).tolist() == [0, 0, 0]


@pytest.mark.parametrize("allocation", ["k-centre", "herding"])
def test_greedy_choices_are_nested(allocation):
    images = natural(40)
    small, large = (select(images, criterion=by(allocation), budget=n).ids for n in (10, 25))
    assert torch.equal(large[:10], small)


_RANDOM = ("random", "balanced-random", "manifold", "hg/tn/rng", "hg/tnpc/rng", "hg/km/rng")


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_random_criteria_of_one_seed_share_what_chance_gives(seed):
    """Of 400 images 100 each: 25 shared on average, with a deviation of 3.8; where one decides both, nearly 100."""
    images = natural(400, size=8, classes=4)
    chosen = [
        set(select(images, criterion=find_criterion(name), budget=100, seed=seed).ids.tolist()) for name in _RANDOM
    ]
    shared = [len(ids & other) for place, ids in enumerate(chosen) for other in chosen[:place]]
    assert all(5 < count < 48 for count in shared), shared


def test_the_control_without_classes_is_drawn_as_ever():
    """By the seed and the id alone: budgets of one seed are nested."""
    images = natural(40)
    small, large = (select(images, criterion="random", budget=n, seed=3).ids.tolist() for n in (5, 20))
    assert large[:5] == small
    expected = uniform53(images.ids, 3, "random")
    assert small == images.ids[expected.argsort(descending=True)[:5]].tolist()
