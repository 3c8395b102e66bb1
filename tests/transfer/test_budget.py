import pytest
import torch

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.select import Budget, parse_budget


@pytest.mark.parametrize(
    ("written", "budget", "label"),
    [
        (500, Budget(500), "500 images"),
        ("500", Budget(500), "500 images"),
        (1, Budget(1), "1 image"),
        (1.0, Budget(1.0, "share"), "100 %"),
        (0.1, Budget(0.1, "share"), "10 %"),
        ("0.1", Budget(0.1, "share"), "10 %"),
        ("1e-3", Budget(0.001, "share"), "0.1 %"),
        ("10%", Budget(0.1, "share"), "10 %"),
        (" 12.5 % ", Budget(0.125, "share"), "12.5 %"),
        (".5%", Budget(0.005, "share"), "0.5 %"),
        ("50/class", Budget(50, "per-class"), "50/class"),
        ("50 per class", Budget(50, "per-class"), "50/class"),
        (Budget(3), Budget(3), "3 images"),
    ],
)
def test_written_forms(written, budget, label):
    assert parse_budget(written) == budget
    assert parse_budget(written).label == label


@pytest.mark.parametrize("label", ["500 images", "1 image"])
def test_a_count_may_carry_its_unit(label):
    assert parse_budget(label).label == label


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (0, r"`budget` must be > 0, got 0; give a count of images \(500\), a share"),
        (-5, "must be > 0, got -5"),
        ("-10%", "must be > 0, got -0.1"),
        ("0/class", "must be > 0, got 0"),
        (0.0, "must be > 0, got 0"),
        (float("nan"), "must be > 0, got nan"),
        ("nan", "must be > 0, got nan"),
        (1.5, r"must be at most 1 \(100 %\), got 1.5"),
        ("500.0", "whole number without a point: 500"),
        ("110%", r"must be at most 1 \(100 %\), got 1.1"),
        (float("inf"), r"must be at most 1 \(100 %\), got inf"),
        ("many", "`budget` must be a count of images .*'50/class'.*got 'many'"),
        ("", "got ''"),
        ("1,000", "got '1,000'"),
        ("2.5/class", "got '2.5/class'"),
        (True, "got True"),
        ([5], r"got \[5\]"),
        (None, "got None"),
    ],
)
def test_wrong_forms(written, message):
    with pytest.raises(UserError, match=message):
        parse_budget(written)


@pytest.mark.parametrize(
    ("written", "count"), [(7, 7), ("10%", 4), (0.29, 12), (1.0, 40), (40, 40), (1e-4, 1), ("10/class", 40)]
)
def test_resolves_to_an_exact_count(toy, written, count):
    assert parse_budget(written).resolve(toy) == count


def test_classes_without_images_do_not_count():
    images = ImageSet(torch.zeros(6, 1, 2, 2, dtype=torch.uint8), [0, 0, 0, 2, 2, 2], classes=("a", "b", "c"))
    assert parse_budget("2/class").resolve(images) == 4
    assert parse_budget(2).resolve(images, per_class=True) == 2


@pytest.mark.parametrize(
    ("amount", "kind", "message"),
    [
        (2.7, "count", r"`budget` of images must be a whole number, got 2.7; give a count of images \(500\), a share"),
        (0.5, "count", "must be a whole number, got 0.5"),
        (float("inf"), "count", "must be a whole number, got inf"),
        (2.5, "per-class", "must be a whole number, got 2.5"),
        (True, "count", "`budget` must be a count of images .* got True"),
        ("5", "count", "`budget` must be a count of images .* got '5'"),
        (5, "counts", "`kind` of a budget must be 'count', 'share', 'per-class', got 'counts'"),
    ],
)
def test_wrong_amounts_and_kinds(amount, kind, message):
    with pytest.raises(UserError, match=message):
        Budget(amount, kind)


def test_over_the_set(toy):
    with pytest.raises(UserError, match="at most the 40 images of 'toy', got 41 images"):
        Budget(41).resolve(toy)


def test_more_per_class_than_a_class_has():
    images = ImageSet(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), [0, 0, 0, 1, 1], classes=("ant", "bee"))
    with pytest.raises(UserError, match="3/class is more than class 'bee' of 'images' has: 2 images; give at most 2/"):
        parse_budget("3/class").resolve(images)


def test_below_the_number_of_classes(toy):
    assert Budget(3).resolve(toy) == 3
    with pytest.raises(UserError, match="each of the 4 classes of 'toy' an image, got 3 images = 3; raise it"):
        Budget(3).resolve(toy, per_class=True)


def test_labels_are_needed(toy):
    unlabelled = ImageSet(toy.tensor(), name="bare")
    with pytest.raises(UserError, match="`budget` 2/class needs labels, and 'bare' has none"):
        parse_budget("2/class").resolve(unlabelled)
    with pytest.raises(UserError, match="an allocation per class needs labels, and 'bare' has none"):
        Budget(8).resolve(unlabelled, per_class=True)
