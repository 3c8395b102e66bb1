"""The published CIFAR-100 pairs: every recipe fits every pair, or says before training why it does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.errors import UserError
from limbeck.models.classifier import Outputs
from limbeck.models.zoo import create
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.setup import Setup
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Silent
from limbeck.recipes.inheritance import load_recipe, made_by
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.networks import load_network
from limbeck.recipes.packaged import find_recipe, packaged_recipes
from limbeck.recipes.published import OTHER_PAIRS, OTHER_TABLE, TABLE, published
from limbeck.recipes.published import PAIRS as PUBLISHED_PAIRS
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import gather_inputs, run
from limbeck.recipes.schema import Recipe

FAMILIES = [name for name in packaged_recipes() if name.startswith("cifar100-") and name != "cifar100-teacher"]
PAIRS = list(load_recipe(find_recipe("cifar100-pairs"))["choices"]["pair"])
OF_UNEQUAL_WIDTHS = {"wrn_40_2-wrn_40_1", *PAIRS[7:]}


def variants(family: str) -> list[list[str]]:
    choices = load_recipe(find_recipe(family))["choices"].get("variant")
    return [[f"variant={choice}"] for choice in choices] if choices else [[]]


RECIPES = [(family, variant) for family in FAMILIES for variant in variants(family)]


@cache
def content(family: str) -> dict[str, Any]:
    """The content of a recipe, read once for its many pairs."""
    return load_recipe(find_recipe(family))


def recipe_of(family: str, pair: str, variant: list[str]) -> Recipe:
    return read_recipe(content(family), [f"pair={pair}", *variant])


@cache
def answer(name: str) -> tuple[Outputs, torch.nn.Module]:
    """The outputs of a network for an image, as shapes only, and its head."""
    classifier = create(name, num_classes=100).eval()
    assert classifier.taps.embedding is not None
    want = ("embedding", "stages", "pre_activations", "last_map")
    with torch.no_grad():
        outputs = classifier(torch.zeros(1, 3, 32, 32), want=want)
    return outputs.map(lambda tensor: tensor.to("meta")), classifier.network.get_submodule(classifier.taps.embedding)


@contextmanager
def without_weights(seed: int, *purpose: str | int) -> Iterator[None]:
    """Replaces `own_randomness`: parts of objectives get shapes only, which takes no time and no memory."""
    with torch.device("meta"):
        yield


def test_every_objective_has_its_recipe_and_every_pair_its_networks() -> None:
    assert {f"cifar100-{name}" for name in OBJECTIVES if name != "cross_entropy"} == {*FAMILIES} - {"cifar100-pairs"}
    assert len(PAIRS) == 13
    for pair in PAIRS:
        recipe = recipe_of("cifar100-pairs", pair, [])
        assert recipe.teacher is not None
        teacher = str(recipe.teacher.weights)
        assert recipe.name == f"cifar100-pairs-{pair}"
        assert pair == f"{teacher.removeprefix('runs/cifar100-teacher-')}-{recipe.student.model}"
        command = made_by(teacher).split()
        assert read_recipe(content(command[2]), [command[4]]).student.model == pair.split("-")[0]
        small = recipe.student.model in ("MobileNetV2", "ShuffleV1", "ShuffleV2")
        assert recipe.training.learning_rate == (0.01 if small else 0.05)
        with pytest.raises(UserError, match=rf"there is no run in '{teacher}' yet; `limbeck run cifar100-teacher -s"):
            load_network(teacher)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "cross_entropy"])
def test_weights_are_those_published(name: str) -> None:
    assert weighted_sum(read_recipe(f"cifar100-{name}").resolved_objective()).weights == OBJECTIVES[name].typical


@pytest.mark.parametrize(("family", "variant"), RECIPES)
def test_it_fits_every_pair(family: str, variant: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.objectives.sums.own_randomness", without_weights)
    for pair in PAIRS:
        recipe = recipe_of(family, pair, variant)
        (teacher, head), (student, _) = (answer(name) for name in pair.split("-"))
        setup = Setup(student, teacher, torch.arange(20_000), torch.arange(20_000) % 100, teacher_head=head)
        objective = weighted_sum(recipe.resolved_objective())
        if family in ("cifar100-fsp", "cifar100-kdsvd") and pair in OF_UNEQUAL_WIDTHS:
            with pytest.raises(UserError, match="compares stages of equal channels, but these differ: stage"):
                objective.build(setup, seed=0)
        else:
            objective.build(setup, seed=0)


TINY = [
    "data={train: {name: digits, classes: [0, 1, 2]}, test: {name: digits, classes: [0, 1, 2]}, validation: 0}",
    "teacher={model: resnet8, training: {steps: 2, batch_size: 16}}",
    "student={model: resnet8}",
    "training.steps=4",
    "training.batch_size=16",
    "latency=false",
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return gather_inputs(read_recipe("cifar100-pairs", TINY), tmp_path_factory.mktemp("inputs"), Silent())


@pytest.mark.parametrize(("family", "variant"), RECIPES)
def test_it_runs(family: str, variant: list[str], inputs: Inputs, tmp_path: Path) -> None:
    recipe = read_recipe(family, [*variant, *TINY])
    result = run(recipe, tmp_path / "run", inputs=inputs)
    assert result.evaluation is not None
    assert result.chosen is None
    assert result.cost["student_steps"] == 4


@pytest.mark.parametrize("variant", ["alone", "with-kd"])
def test_rrd_has_the_options_that_its_published_accuracies_come_from(variant: str) -> None:
    objective = read_recipe("cifar100-rrd", [f"variant={variant}"]).objective
    assert isinstance(objective, dict)
    released_2024 = {"student_temperature": 0.04, "teacher_temperature": 0.1, "enqueue": "after"}
    assert objective["rrd"].items() >= released_2024.items()


def test_what_others_report() -> None:
    assert published("cifar100-kd", {"pair": PAIRS[2], "variant": "plain"}).startswith("70.66 % (after the last epoch,")
    assert published("cifar100-rrd", {"pair": PAIRS[12], "variant": "with-kd"}).startswith("76.31 % (epoch not said")
    assert published("cifar100-dist", {"pair": PAIRS[11]}).startswith("77.35 %")
    assert (
        published("cifar100-at", {"pair": PAIRS[7]})
        == "59.40 % (after the last epoch, README of HobbitLong/RepDistiller)"
    )
    assert published("cifar100-nst", {"pair": PAIRS[12]}).startswith("74.89 %")
    assert published("cifar100-mlkd", {"pair": PAIRS[8], "variant": "standardised"}).startswith(
        "71.19 % (at the best test"
    )
    assert published("cifar100-kd", {"pair": "wrn_40_2-resnet8x4", "variant": "standardised"}).startswith("77.11 %")
    for missing in (("cifar100-dist", PAIRS[0]), ("cifar100-fsp", PAIRS[7]), ("cifar100-simkd", PAIRS[0]), ("x", "y")):
        assert published(missing[0], {"pair": missing[1]}) == ""


def test_tables_of_what_others_report_are_whole() -> None:
    assert list(TABLE["kd"][1].split()) == [published("cifar100-kd", {"pair": pair})[:5] for pair in PAIRS]
    for table, pairs in ((TABLE, PUBLISHED_PAIRS), (OTHER_TABLE, OTHER_PAIRS)):
        for name, (_, values) in table.items():
            assert len(values.split()) <= len(pairs)
            assert all(value == "-" or 50 < float(value) < 80 for value in values.split())
            family, _, variant = name.partition(", ")
            assert [f"variant={variant}"] in variants(f"cifar100-{family}") or not variant
    # Twelve methods on seven pairs, one of them on six, and eleven on six more.
    last = [values for source, values in TABLE.values() if "RepDistiller" in source]
    assert sum(value != "-" for values in last for value in values.split()) == 13 * 7 - 1 + 12 * 6
    assert list(PUBLISHED_PAIRS) == PAIRS
