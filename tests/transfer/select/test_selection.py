import os

import hypothesis.strategies as st
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from tests.transfer.conftest import PLAIN, image_set, reordered

from limbeck.data import ImageSet, TransferSet, load
from limbeck.errors import UserError
from limbeck.progress import Silent
from limbeck.transfer.select import CRITERIA, Criterion, select


@st.composite
def labelled_sets(draw) -> ImageSet:
    """Any labels: balanced, missing classes, one class huge."""
    sizes = draw(st.lists(st.integers(0, 12) | st.just(150), min_size=1, max_size=6).filter(any))
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    images = image_set(labels, len(labels), seed=draw(st.integers(0, 99)), classes=len(sizes))
    return reordered(images, seed=draw(st.integers(0, 99)))


@settings(max_examples=60, deadline=None)
@given(labelled_sets(), st.sampled_from([name for name in PLAIN if name != "manifold"]), st.integers(0, 3), st.data())
def test_exact_distinct_balanced_and_independent_of_storage(images, criterion, seed, data):
    classes = int((images.class_counts() > 0).sum())
    least = classes if CRITERIA[criterion].per_class else 1
    n = data.draw(st.integers(least, len(images)))
    selection = select(images, criterion=criterion, budget=n, seed=seed)

    assert len(selection.ids) == len(selection.ids.unique()) == selection.chosen.sum() == n
    assert set(selection.ids.tolist()) <= set(images.ids.tolist())

    if CRITERIA[criterion].per_class:
        taken = torch.bincount(images.subset(selection.ids).labels, minlength=images.num_classes)
        rest = taken[taken < images.class_counts()]
        assert len(rest) == 0 or taken.max() - rest.min() <= 1

    again = select(reordered(images, seed=n), criterion=criterion, budget=n, seed=seed)
    assert torch.equal(again.ids, selection.ids)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 60),
    st.sampled_from([name for name in PLAIN if not CRITERIA[name].per_class and name != "manifold"]),
    st.data(),
)
def test_unlabelled_sets(size, criterion, data):
    images = image_set(None, size)
    n = data.draw(st.integers(1, size))
    selection = select(images, criterion=criterion, budget=n)
    assert len(selection.ids.unique()) == n
    assert selection.table()["label"].null_count == size


@pytest.mark.parametrize("criterion", [name for name in PLAIN if CRITERIA[name].per_class])
def test_classes_need_labels(criterion):
    with pytest.raises(UserError, match="needs labels, and 'toy' has none"):
        select(image_set(None, 10), criterion=criterion, budget=5)


def test_seeds_matter_to_random_criteria_only(toy):
    for name in PLAIN:
        if CRITERIA[name].space:
            continue
        first, second = (select(toy, criterion=name, budget=20, seed=seed).ids for seed in (0, 1))
        assert torch.equal(first, second) == ("random" not in name)


def test_random_is_without_replacement_and_fair():
    images = image_set(None, 20)
    hits = torch.zeros(60)
    for seed in range(400):
        hits[select(images, criterion="random", budget=5, seed=seed).ids] += 1
    hits = hits[images.ids]
    assert hits.sum() == 2000
    assert (hits - 100).abs().max() < 45  # standard deviation 8.7 each


def test_a_larger_random_budget_holds_the_smaller(toy):
    small = select(toy, criterion="random", budget=10).ids
    large = select(toy, criterion="random", budget=25).ids
    assert torch.equal(large[:10], small)


def test_highest_and_lowest_are_the_two_ends(toy):
    highest = select(toy, criterion="entropy-whole", budget=10)
    lowest = select(toy, criterion="entropy-whole-lowest", budget=10)
    best, worst = highest.scores[highest.chosen], lowest.scores[lowest.chosen]
    assert best.min() >= highest.scores[~highest.chosen].max()
    assert worst.max() <= lowest.scores[~lowest.chosen].min()
    ordered = toy.positions(highest.ids)
    assert (highest.scores[ordered].diff() <= 0).all(), "most preferred first"


def test_own_criterion(toy):
    own = Criterion(representation="grayscale-histogram", score="entropy", name="mine")
    selection = select(toy, criterion=own, budget="25%")
    assert torch.equal(selection.ids, select(toy, criterion="entropy", budget=10).ids)
    assert selection.provenance()["maker"] == ["select/mine"] * 10


def test_random_reads_no_pixels(toy, monkeypatch):
    monkeypatch.setattr(ImageSet, "gather", lambda *_: pytest.fail("pixels were read"))
    assert len(select(toy, criterion="balanced-random", budget=8).ids) == 8


def test_progress_counts_images(toy):
    class Watching(Silent):
        def __init__(self):
            self.told = []

        def begin(self, title, total, done=0):
            assert title == "scoring by entropy"
            self.told.append((total, done))

        def update(self, done, note=""):
            self.told.append((self.told[0][0], done))

    watching = Watching()
    select(toy, budget=8, progress=watching)
    assert (watching.told[0], watching.told[-1]) == ((40, 0), (40, 40))


def test_constant_images_have_no_entropy_and_go_by_id():
    images = ImageSet(torch.full((9, 3, 4, 4), 7, dtype=torch.uint8), ids=torch.arange(9).flip(0))
    selection = select(images, criterion="entropy-whole", budget=3)
    assert selection.scores.tolist() == pytest.approx([0.0] * 9, abs=2e-7)
    assert selection.ids.tolist() == [0, 1, 2]


def test_the_table_survives_parquet(toy, tmp_path):
    selection = select(toy, budget=8)
    selection.to_parquet(tmp_path / "selection.parquet")
    table = pq.read_table(tmp_path / "selection.parquet")
    assert table.equals(selection.table())
    assert table.column_names == ["id", "label", "score", "chosen"]
    rows = [row for row in table.to_pylist() if row["chosen"]]
    assert sorted(row["id"] for row in rows) == sorted(selection.ids.tolist())


def test_transfer_set_has_the_chosen_images_and_where_they_come_from(toy, tmp_path):
    selection = select(toy, criterion="entropy", budget=12)
    transfer_set = selection.transfer_set(toy)
    assert torch.equal(transfer_set.images.ids, selection.ids)
    assert torch.equal(transfer_set.images.tensor(), toy.subset(selection.ids).tensor())
    transfer_set.save(tmp_path / "set")
    loaded = TransferSet.load(tmp_path / "set")
    assert torch.equal(loaded.images.ids, selection.ids)
    assert list(loaded.provenance["source"]) == ["toy"] * 12
    assert list(loaded.provenance["maker"]) == ["select/entropy"] * 12
    assert loaded.about["criterion"]["score"] == "entropy"
    assert (loaded.about["budget"], loaded.about["seed"]) == ("12 images", 0)
    assert torch.as_tensor(loaded.provenance["source_id"]).tolist() == selection.ids.tolist()


def test_another_set_is_refused(toy):
    selection = select(toy, budget=12)
    with pytest.raises(UserError, match="`ids` must be ids of 'toy'"):
        selection.transfer_set(toy.subset(selection.ids[1:]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"criterion": "entopy", "budget": 8}, "unknown criterion 'entopy'; did you mean"),
        ({"budget": 0}, "must be > 0"),
        ({"budget": 41}, "at most the 40 images"),
        ({"budget": 3}, "each of the 4 classes"),
        ({"budget": "11/class"}, "more than class 'class 0'"),
        ({"budget": "lots"}, "must be a count"),
    ],
)
def test_wrong_arguments(toy, arguments, message):
    with pytest.raises(UserError, match=message):
        select(toy, **arguments)


@pytest.mark.slow
@pytest.mark.skipif("LIMBECK_DATA" not in os.environ, reason="LIMBECK_DATA names no folder of real data")
@pytest.mark.parametrize("criterion", [name for name in PLAIN if not CRITERIA[name].space])
@pytest.mark.parametrize("in_memory", [True, False])
def test_real_images_in_memory_and_on_disk(criterion, in_memory):
    images = load("cifar10", "test", in_memory=in_memory)
    selection = select(images, criterion=criterion, budget="10%")
    assert len(selection.ids.unique()) == 1000
    if CRITERIA[criterion].per_class:
        assert torch.bincount(images.subset(selection.ids).labels).tolist() == [100] * 10
