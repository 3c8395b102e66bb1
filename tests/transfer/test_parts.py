"""Defaults, short forms and refusals of the parts of a criterion."""

import json
from functools import partial

import pytest
from tests.transfer.conftest import natural
from torch import Tensor

from limbeck.cli.criterion_flags import criterion_of
from limbeck.errors import UserError
from limbeck.plugins import register, unregister
from limbeck.transfer.allocation import AllocationPlan, top_n
from limbeck.transfer.parts import (
    ALIASES,
    ALLOCATIONS,
    ORDERS,
    REPRESENTATIONS,
    SCORES,
)
from limbeck.transfer.select import CRITERIA, Criterion, find_criterion, select


def test_every_part_has_a_default():
    plain = Criterion()
    assert (plain.representation, plain.score, plain.allocation, plain.order) == (
        "grayscale-histogram",
        "entropy",
        "top-n-per-class",
        "highest",
    )
    for representation, entry in REPRESENTATIONS.items():
        assert Criterion(representation=representation).score == entry.score
    for score, entry in SCORES.items():
        assert Criterion(score=score).representation == entry.representation


@pytest.mark.parametrize("representation", [name for name in REPRESENTATIONS if name != "none"])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_every_representation_goes_with_every_allocation(representation, allocation):
    criterion = Criterion(representation=representation, allocation=allocation)
    assert criterion.space in ("", representation, "pixels")
    assert json.loads(json.dumps(criterion.described()))["allocation"] == allocation


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("hg/tn/hs", ("grayscale-histogram", "entropy", "top-n", "highest")),
        ("aah/tnpc/ls", ("average-adjusted-histogram", "entropy", "top-n-per-class", "lowest")),
        ("hrgb/km/rng", ("rgb-histogram", "entropy", "k-means", "random")),
        ("cfv/kmpc", ("autoencoder-codes", "entropy", "k-means-per-class", "highest")),
        ("lv/ml", ("teacher-logits", "entropy", "manifold", "highest")),
        ("pev", ("patch-entropies", "patch-entropy-sum", "top-n-per-class", "highest")),
        ("km", ("grayscale-histogram", "entropy", "k-means", "highest")),
        ("pev/tn", ("patch-entropies", "patch-entropy-sum", "top-n", "highest")),
        ("variance/top_n_per_category", ("grayscale", "variance", "top-n-per-class", "highest")),
        ("histograms_rgb/kmeans/lowest_score", ("rgb-histogram", "entropy", "k-means", "lowest")),
        ("random/ml", ("none", "random", "manifold", "highest")),
    ],
)
def test_names_of_the_published_command_line(written, parts):
    criterion = find_criterion(written)
    assert (criterion.representation, criterion.score, criterion.allocation, criterion.order) == parts
    assert criterion.name == written


def test_aliases_name_parts():
    names = {*REPRESENTATIONS, *ALLOCATIONS, *ORDERS, *SCORES}
    assert set(ALIASES.values()) <= names
    assert not ALIASES.keys() & names
    assert {
        "tn",
        "tnpc",
        "km",
        "kmpc",
        "ml",
        "hg",
        "aah",
        "hrgb",
        "cfv",
        "lv",
        "pev",
        "hs",
        "ls",
        "rng",
    } < ALIASES.keys()


def test_mappings_hold_parts_and_options():
    criterion = find_criterion({"representation": "hg", "allocation": "km", "fewest": 20, "options": {"sample": 500}})
    assert criterion == Criterion(
        representation="grayscale-histogram", allocation="k-means", options={"fewest": 20, "sample": 500}
    )
    assert (
        criterion.option("clusters"),
        criterion.option("fewest"),
        criterion.option("sample"),
        criterion.option("most"),
    ) == (
        None,
        20,
        500,
        30,
    )
    assert criterion.option("strata") is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hg/kmp", "unknown part of a criterion: 'kmp'; did you mean"),
        ("hg//km", "unknown part of a criterion: ''"),
        ("hg/aah", "names two of representation: 'grayscale-histogram' and 'aah'; give one"),
        ({"representation": "histogram"}, "unknown representation 'histogram'; did you mean 'rgb-histogram' or"),
        ({"score": "entropy", "clusters": 3}, "unknown part of a criterion: 'clusters'"),
        ({"allocation": "km", "clutsers": 3}, "unknown part of a criterion: 'clutsers'; did you mean 'clusters'"),
        ({"allocation": "km", "clusters": 0}, "`clusters` of a criterion must be at least 1, got 0"),
        ({"allocation": "km", "clusters": "3"}, "`clusters` of a criterion must be a whole number, got '3'"),
        ({"allocation": "coverage", "cutoff": 1}, "`cutoff` of a criterion must be a share below 1, got 1"),
        ({"allocation": "coverage", "cutoff": float("nan")}, "`cutoff` of a criterion must be at least 0.0, got nan"),
        ({"allocation": "coverage", "cutoff": "a"}, "`cutoff` of a criterion must be a number, got 'a'"),
        ({"allocation": "km", "clusters": 5, "most": 9}, "`most` of a criterion is for finding how many clusters"),
        ({"eps": -1}, "`eps` of a criterion must be at least 0.0, got -1"),
        ({"allocation": "km", "fewest": 20, "most": 5}, "`fewest` clusters .* must be at most `most`, got 20 and 5"),
        ({"allocation": "coverage", "cutoff": 0.1, "order": "rng"}, "`cutoff` leaves out the hardest images, of which"),
        ({"allocation": "ml", "components": 3}, "`components` of a criterion must be 1 or 2, got 3"),
        ({"allocation": "tn", "space": "hg"}, "allocation 'top-n' measures no distances, so it has no `space`"),
        ({"score": "random", "allocation": "km"}, "allocation 'k-means' measures distances in a `space`; give one of"),
        ({"score": "random", "representation": "hg"}, "score 'random' reads no `representation`, got 'grayscale-h"),
        ({"score": "margin", "representation": "hg"}, "score 'margin' reads a `representation`, got 'grayscale-h"),
        ({"score": "random", "options": 5}, "`options` of a criterion must be a mapping, got 5; give name: value of"),
        ({"score": "random", "options": [1]}, r"`options` of a criterion must be a mapping, got \[1\]"),
        ({"score": 3}, "`score` of a criterion must be a name or a function, got 3"),
    ],
)
def test_refusals(spec, message):
    with pytest.raises(UserError, match=message):
        find_criterion(spec)


@pytest.mark.parametrize(("allocation", "option"), [("k-means", "clusters"), ("coverage-per-class", "cutoff")])
def test_an_option_may_be_its_default_in_words(allocation, option):
    plain, said = Criterion(allocation=allocation), find_criterion({"allocation": allocation, option: None})
    assert said.parts == plain.parts
    assert (said.column, said.clusters_column) == (plain.column, plain.clusters_column)
    assert criterion_of(allocation, {}, [f"{option}=null"]).parts == plain.parts
    with pytest.raises(UserError, match="`strata` of a criterion must be a whole number, got None"):
        find_criterion({"allocation": "coverage", "strata": None})
    with pytest.raises(UserError, match="`clusters` of a criterion must be a whole number, got None"):
        find_criterion({"allocation": "manifold", "clusters": None})


def test_parts_that_share_an_option_keep_the_default_of_each():
    parts = {"score": "forgetting", "allocation": "k-means", "space": "autoencoder-codes"}
    criterion = find_criterion(parts)
    assert criterion.options_of(SCORES["forgetting"])["epochs"] == 10
    assert criterion.options_of(REPRESENTATIONS["autoencoder-codes"]) == {"epochs": 50}
    assert criterion.column == Criterion(score="forgetting").column == "forgetting"
    assert criterion.clusters_column == "clusters:k-means:autoencoder-codes"
    assert criterion.parts["options"]["epochs"] == {"score 'forgetting'": 10, "representation 'autoencoder-codes'": 50}
    with pytest.raises(UserError, match=r"`epochs` must be an option of one part .*'forgetting' and rep.*; leave it"):
        find_criterion({**parts, "epochs": 3})
    alone = find_criterion({**parts, "score": "random", "epochs": 3, "clusters": 4})
    assert alone.options_of(REPRESENTATIONS["autoencoder-codes"]) == {"epochs": 3}
    assert alone.clusters_column == "clusters:k-means:autoencoder-codes:clusters=4:epochs=3"


def test_a_space_of_its_own():
    criterion = Criterion(score="entropy", allocation="k-means", space="teacher-embedding")
    assert criterion.represented == ("grayscale-histogram", "teacher-embedding")
    assert criterion.needs_teacher
    assert not Criterion(score="entropy", allocation="k-means").needs_teacher


def test_columns_name_what_was_scored():
    assert CRITERIA["entropy"].column == CRITERIA["entropy-whole-lowest"].column == "entropy:grayscale-histogram"
    assert CRITERIA["random"].column == "random"


def mean_colour(pixels: Tensor) -> Tensor:
    return pixels.flatten(2).float().mean(2)


def brightness(features: Tensor) -> Tensor:
    return features.mean(1).double()


def all_but_classes(candidates, quotas) -> AllocationPlan:
    return top_n(candidates, quotas)


def test_a_new_part_is_a_function_and_a_line(request):
    for family, name, part, options in (
        ("representations", "mean-colour", mean_colour, {"score": "brightness"}),
        ("scores", "brightness", brightness, {"representation": "mean-colour"}),
        ("allocations", "plain", all_but_classes, {"summary": "the first"}),
    ):
        register(family, name, part, **options)
        request.addfinalizer(partial(unregister, family, name))
    images = natural(30)
    selection = select(images, criterion="brightness/plain", budget=5)
    assert selection.criterion.column == "brightness:mean-colour"
    expected = images.tensor().float().mean((1, 2, 3)).argsort(descending=True)[:5]
    assert selection.ids.tolist() == images.ids[expected].tolist()
