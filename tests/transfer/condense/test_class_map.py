"""Which class of a network each class of the images stands for."""

import pytest
from torchvision.models import ResNet18_Weights

from limbeck.data.catalogue import DATASETS
from limbeck.data.imagenet_names import imagenet_names
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.transfer.condense.mask import class_map

IMAGENETTE = (
    "tench",
    "English springer",
    "cassette player",
    "chain saw",
    "church",
    "French horn",
    "garbage truck",
    "gas pump",
    "golf ball",
    "parachute",
)
SUBSETS = [name for name, info in DATASETS.items() if info.keep is not None and name.startswith("imagenet-1k:")]


def knowing(classes: tuple[str, ...] = (), count: int = 0) -> Classifier:
    return create("lenet5", num_classes=count or len(classes), classes=classes, input_size=32, channels=3)


THOUSAND = knowing(count=1000)


def test_a_network_of_a_thousand_nameless_classes_knows_imagenets() -> None:
    assert class_map(IMAGENETTE, THOUSAND).tolist() == [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    assert class_map(["n01440764", "n02102040"], THOUSAND).tolist() == [0, 217]
    numbered = knowing(tuple(map(str, range(1000))))
    assert class_map(IMAGENETTE[::-1], numbered).tolist() == [701, 574, 571, 569, 566, 497, 491, 482, 217, 0]


@pytest.mark.parametrize("network", ["nameless", "ids", "names"])
def test_every_subset_of_the_catalogue_finds_its_classes(network: str) -> None:
    ids, names = list(imagenet_names()), list(imagenet_names().values())
    classifier = {"nameless": THOUSAND, "ids": knowing(tuple(ids)), "names": knowing(tuple(names))}[network]
    assert len(SUBSETS) == 7 + 16
    for subset in SUBSETS:
        keep = DATASETS[subset].keep
        assert keep is not None
        for written in (names, ids):
            assert tuple(class_map([written[k] for k in keep], classifier).tolist()) == keep, subset
    assert class_map(names, classifier).tolist() == list(range(1000))


def test_names_are_found_as_they_are_before_their_words() -> None:
    network = knowing(("Cardigan, Cardigan Welsh corgi", "cardigan", "Cardigan"))
    assert class_map(["cardigan", "Cardigan"], network).tolist() == [1, 2]
    assert class_map(["cardigans"], knowing(("cardigan, Cardigan Welsh corgi", "cardigan"))).tolist() == [1]
    assert class_map(["Cat", "auto"], knowing(("truck", "automobile", "cat"))).tolist() == [2, 1]


def test_one_synonym_each_does_for_imagenets_thousand_in_their_order() -> None:
    """Some synonyms are also names of other classes: "crane" is 517 there, and 134 at the hub."""
    short = tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    network, names = knowing(short), list(imagenet_names().values())
    assert short.index("crane") == names.index("crane2")
    for subset in SUBSETS:
        keep = DATASETS[subset].keep
        assert keep is not None
        assert tuple(class_map([names[k] for k in keep], network).tolist()) == keep, subset
    assert class_map(IMAGENETTE, network).tolist() == class_map(IMAGENETTE, THOUSAND).tolist()
    assert class_map(short, THOUSAND).tolist() == list(range(1000))


def test_a_name_that_two_classes_have_is_none() -> None:
    with pytest.raises(UserError, match=r"may be 'crane' \(0\), 'crane' \(1\) of lenet5"):
        class_map(["crane"], knowing(("crane", "crane", "cat")))


def test_as_many_classes_of_which_one_side_has_no_names_are_taken_by_number() -> None:
    assert class_map(["cat", "dog"], knowing(count=2)).tolist() == [0, 1]
    assert class_map(["0", "1"], knowing(("cat", "dog"))).tolist() == [0, 1]
    assert class_map(["cat", "dog"], knowing(("cat", "dog"))).tolist() == [0, 1]


def test_the_mismatch_of_the_reference_is_an_option() -> None:
    with pytest.warns(UserWarning, match=r"by number, and 9 of 10 have another name there"):
        assert class_map(IMAGENETTE, THOUSAND, by_name=False).tolist() == list(range(10))
    with pytest.raises(UserError, match="`class_map` false asks lenet5 for classes by number, and it has 2 for 3"):
        class_map(["a", "b", "c"], knowing(count=2), by_name=False)


@pytest.mark.parametrize(
    ("classes", "network", "message"),
    [
        (["tench", "beagel"], ("tench", "beagle", "cat"), r"class 'beagel' .* none of the 3 of lenet5 \(did you mean "),
        (["tench", "xyz"], ("tench", "beagle", "cat"), "class 'xyz' of the images is none of the 3 of lenet5: tench"),
        (["crane"], ("crane, bird", "crane, machine"), r"may be 'crane, bird' \(0\), 'crane, machine' \(1\)"),
        (["cat", "dog"], 3, "`network` lenet5 must name its classes, so that the 2 of the images are found"),
        (["0", "1"], ("cat", "dog", "cow"), "the images must name their classes, so that the 2"),
    ],
)
def test_a_class_that_is_not_found_is_named(classes: list[str], network: tuple[str, ...] | int, message: str) -> None:
    classifier = knowing(count=network) if isinstance(network, int) else knowing(network)
    with pytest.raises(UserError, match=message):
        class_map(classes, classifier)
