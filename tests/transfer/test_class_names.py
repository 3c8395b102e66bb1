"""Which classes of a pool bear a name that the teacher knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.catalogue import DATASETS
from limbeck.transfer.class_names import alike, all_spellings, known_as, why_unmatched

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL10 = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")


def test_nine_of_ten_classes_of_stl10_are_known() -> None:
    """This match decided the figure that the reference reports."""
    assert "stl10" in DATASETS
    names = known_as(STL10, CIFAR10)
    assert set(STL10) - set(names) == {"monkey"}
    assert names["car"] == "automobile"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("cat", "cat"),
        ("Cat", "cat"),
        ("CATS", "cat"),
        ("tabby, tabby cat", "cat"),
        ("tiger_cat", "cat"),
        ("tiger-cat", "cat"),
        ("TigerCat", "cat"),
        ("cat (domestic)", "cat"),
        ("cat with a hat", "cat"),
        ("garbage truck, dustcart", "truck"),
        ("pickup_truck", "truck"),
        ("fire trucks", "truck"),
        ("sports car, sport car", "automobile"),
        ("aeroplane", "airplane"),
        ("251.airplanes-101", "airplane"),
        ("105.horse", "horse"),
        ("n02084071 dog", "dog"),
        ("tailed frog, bell toad, ribbed toad, tailed toad, Ascaphus trui", "frog"),
        ("container ship, containership, container vessel", "ship"),
        ("ｃａｔ", "cat"),
    ],
)
def test_names_of_the_same_thing_and_of_its_kinds(name: str, known: str) -> None:
    assert known_as([name], CIFAR10) == {name: known}


@pytest.mark.parametrize(
    "name",
    [
        "catfish",
        "cat fish",
        "seahorse",
        "sea_horse",
        "hotdog, hot dog, red hot",
        "big hot dogs",
        "dogsled",
        "caterpillar",
        "birdhouse",
        "hat of a cat",
        "freight car",
        "plane, carpenter's plane, woodworking plane",
        "shipyard",
        "beagle",
        "n01443537",
        "n99999999",
        "0",
        "_",
    ],
)
def test_names_of_other_things(name: str) -> None:
    assert known_as([name], CIFAR10) == {}


def test_names_of_several_words_are_known_whole_before_their_kind() -> None:
    teacher = ["truck", "pickup truck", "mouse", "Bear_Cat", "foxes", "leaf"]
    pool = ["old Pickup-Trucks", "tow truck", "computer mouse", "mouse", "bear cat", "fox", "leaves"]
    names = known_as(pool, teacher)
    assert names == {
        "old Pickup-Trucks": "pickup truck",
        "tow truck": "truck",
        "mouse": "mouse",
        "bear cat": "Bear_Cat",
        "fox": "foxes",
        "leaves": "leaf",
    }
    assert known_as(["truck"], ["garbage truck"]) == {}, "which says less than the teacher's"
    assert known_as(["cats", "cat"], ["cat", "cats"]) == {"cats": "cats", "cat": "cat"}


@given(st.lists(st.text(min_size=1), unique=True, max_size=5), st.lists(st.text(min_size=1), unique=True, max_size=5))
def test_any_names(pool: list[str], teacher: list[str]) -> None:
    names = known_as(pool, teacher)
    assert set(names) <= set(pool)
    assert set(names.values()) <= set(teacher)
    assert all(names[name] == name for name in set(pool) & set(teacher))
    assert known_as(pool[::-1], teacher) == names
    assert all(name in [pool[number] for number in alike(name, pool)] for name in pool)


def test_wordnet_ids_count_for_their_words() -> None:
    tabby, lion, crane, other_crane = "n02123045", "n02129165", "n02012849", "n03126707"
    assert known_as([tabby, lion, crane], CIFAR10) == {tabby: "cat"}
    assert known_as(["tabby cat", "cat", "Lions"], [tabby, lion]) == {"tabby cat": tabby, "Lions": lion}
    assert known_as([crane, tabby], [other_crane, tabby]) == {tabby: tabby}, "two ids are two things"
    assert alike("tabby", [lion, tabby]) == [1]


def test_names_in_other_writing_are_found_whole() -> None:
    classes = ["Pickup_Truck", "truck", "tabby, tabby cat", "crane", "CRANE"]
    assert alike("pickup truck", classes) == [0]
    assert alike("trucks", classes) == [1]
    assert alike("tabby cat", classes) == [2]
    assert alike("crane", classes) == [3]
    assert alike("Crane", classes) == [3, 4]
    assert alike("cat", classes) == []


@pytest.mark.parametrize(
    ("pool", "teacher", "reason"),
    [
        (["cat"], ["dog"], ""),
        (["n01443537", "n01629819"], ["n01443537"], ""),
        (["0", "1"], ["0", "1"], ""),
        ([], ["cat"], "the pool has no labels"),
        (["cat"], [], "the teacher has no names for its classes"),
        (
            ["n99999998", "n99999999"],
            ["cat"],
            "the pool's classes are WordNet ids (n99999998, n99999999), the teacher's are not",
        ),
        (["cat"], ["n99999999"], "the teacher's classes are WordNet ids (n99999999), the pool's are not"),
        (["n02123045", "n99999999"], ["cat"], ""),
        (["cat"], ["n02123045"], ""),
        (["0", "1", "2", "3"], ["cat"], r"the pool's classes are numbers (0, 1, 2, ...), the teacher's are not"),
    ],
)
def test_where_names_tell_nothing_it_is_said(pool: list[str], teacher: list[str], reason: str) -> None:
    assert why_unmatched(pool, teacher) == reason


def test_wordings_are_equal_where_writing_alone_differs() -> None:
    assert all_spellings("chain saw") == all_spellings("Chain_Saw")
    assert all_spellings("chain saw") < all_spellings("chain saw, chainsaw")
    assert all_spellings("n03000684") == all_spellings("chain saw, chainsaw")
    assert all_spellings("crane").isdisjoint(all_spellings("cranefly"))
