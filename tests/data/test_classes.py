"""Class names are compared, not counted."""

import pytest
import torch

from limbeck.data.classes import (
    Classes,
    class_places,
    classes_of,
    few,
    joint_names,
    match_classes,
    place_columns,
    place_labels,
)
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError

TEN = tuple(str(number) for number in range(10))
FILED = ("0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9")  # as folders are sorted


def given(*names: str) -> Classes:
    return Classes("'these'", len(names), names)


def known(*names: str) -> Classes:
    return Classes("the teacher net", len(names), names)


def unnamed(count: int) -> Classes:
    return Classes("the teacher net", count)


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        (given("cat", "dog"), known("cat", "dog"), (0, 1)),
        (given("dog", "cat"), known("cat", "dog"), (1, 0)),
        (given("dog", "cat"), known("ant", "cat", "dog"), (2, 1)),
        (given("emu"), known("ant", "emu", "dog"), (1,)),
        (given(*TEN), known(*TEN), tuple(range(10))),
        (given(*TEN), unnamed(10), tuple(range(10))),
        (given(*FILED), known(*(str(number) for number in range(11))), (0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9)),
        (given("3", "5"), known(*TEN), (3, 5)),
        (given("007", "003"), known("003", "007", "011"), (1, 0)),
        (given("00", "01"), known("0", "1"), (0, 1)),
        (given("été", "猫"), known("猫", "été"), (1, 0)),
        (given("tea", "cafe\u0301"), known("caf\u00e9", "tea"), (1, 0)),
        (Classes("'these'", 2), unnamed(2), (0, 1)),
        (given("crane", "cat", "crane"), known("crane", "cat", "crane"), (0, 1, 2)),
        (given("cat"), known("crane", "cat", "crane"), (1,)),
    ],
)
def test_same_names_are_found_wherever_they_stand(one: Classes, other: Classes, places: tuple[int, ...]) -> None:
    assert class_places(one, other) == (places, "")


@pytest.mark.parametrize(
    ("one", "other", "places", "said"),
    [
        (
            given("cat", "dog"),
            unnamed(2),
            (0, 1),
            "the teacher net has no names for the 2 classes, .*'cat' for 0, 'dog'",
        ),
        (given("cat", "dog"), known("0", "1"), (0, 1), "the teacher net has no names .* 'cat' for '0'"),
        (
            given("0", "1"),
            known("cat", "dog"),
            (0, 1),
            "'these' has no names for the 2 .* '0' for 'cat', '1' for 'dog'",
        ),
        (given(*FILED), unnamed(11), (0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9), "'0' for 0, '1' for 1, '10' for 10, ..."),
        (given("01", "00"), known("cat", "dog"), (1, 0), "'01' for 'dog', '00' for 'cat'"),
        (Classes("the test images", 2), known("cat", "dog"), (0, 1), "the test images have no names .*0 for 'cat'"),
    ],
)
def test_numbers_in_place_of_names_are_said(one: Classes, other: Classes, places: tuple[int, ...], said: str) -> None:
    matched, assumed = class_places(one, other)
    assert matched == places
    with pytest.raises(UserError, match=said):
        raise UserError(assumed)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            given("Katze", "Hund"),
            known("cat", "dog"),
            "'these' has other classes: 'Katze', 'Hund' are none of the 2 of",
        ),
        (given("cat", "doge"), known("cat", "dog"), "'doge' is none of the 2 of the teacher net .*did you mean 'dog'"),
        (given("cat", "emu", "dog"), known("cat", "dog"), "tells 2 classes apart, but 'these' has 3: 'emu' is none of"),
        (given("Cat", "dog"), known("cat", "dog"), "'Cat' is written otherwise than 'cat' of the teacher net"),
        (given("polar bear"), known("polar_bear", "seal"), "'polar bear' is written otherwise than 'polar_bear'"),
        (given(" cat", "dog"), known("cat", "dog"), "' cat' is written otherwise than 'cat'"),
        (given("caf\u00e9", "tea"), known("CAFE\u0301", "tea"), r"'caf\\xe9' is written otherwise than 'CAFE\\u0301'"),
        (given("0", "1", "2"), known(*TEN), "the teacher net tells 10 classes apart, but 'these' has 3; names would"),
        (given("cat", "dog"), unnamed(3), "the teacher net tells 3 classes apart, but 'these' has 2; names would tell"),
        (Classes("the test images", 4), unnamed(3), "tells 3 classes apart, but the test images have 4"),
        (
            given("cat", "crane"),
            known("crane", "cat", "crane"),
            "the teacher net calls two classes 'crane', so",
        ),
        (given("1", "2"), known("cat", "dog"), "'these' has other classes: '1', '2' are none of"),
    ],
)
def test_other_classes_are_refused(one: Classes, other: Classes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        class_places(one, other)


def test_labels_columns_and_names_move_together() -> None:
    images = ImageSet(
        torch.zeros(4, 1, 2, 2, dtype=torch.uint8), [0, 1, 1, 0], ids=[7, 5, 3, 1], classes=("dog", "cat")
    )
    wanted = Classes("the teacher", 3, ("ant", "cat", "dog"))
    places, _ = class_places(classes_of(images), wanted)
    moved = place_labels(images, places, wanted.names)
    assert moved.labels is not None
    assert (moved.labels.tolist(), moved.ids.tolist(), moved.classes) == ([2, 1, 1, 2], [7, 5, 3, 1], wanted.names)
    assert place_labels(moved, (0, 1, 2), wanted.names) is moved
    assert place_labels(images.with_labels(None, ()), (), wanted.names).classes == wanted.names
    order = (2, 0, 1)
    values = torch.tensor([[0.1, 0.2, 0.7]])
    assert all(place_columns(values, order)[0, order[i]] == values[0, i] for i in range(3))


def test_names_of_one_side_serve_both() -> None:
    assert joint_names(given("dog", "cat"), known("cat", "dog"), (1, 0)) == ("cat", "dog")
    assert joint_names(given("cat", "dog"), unnamed(2), (0, 1)) == ("cat", "dog")
    assert joint_names(given("0", "1"), known("cat", "dog"), (0, 1)) == ("cat", "dog")
    assert joint_names(Classes("'these'", 2), unnamed(2), (0, 1)) == ("0", "1")
    assert few(["ant", "bee", "cat"]) == "ant, bee, cat"


def test_some_of_classes_that_have_numbers_for_names_are_found_by_these() -> None:
    images = ImageSet(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), torch.tensor([1, 0, 1]), classes=["3", "5"])
    matched = match_classes(images, Classes("the teacher", 10, tuple(map(str, range(10)))))
    assert matched.labels is not None
    assert (matched.labels.tolist(), matched.num_classes) == ([5, 3, 5], 10)
