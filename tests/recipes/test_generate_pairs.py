"""The published pairs of data-free distillation: values, teachers, budgets, and that they run."""

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import limbeck as lb
from limbeck.models.catalogue import MODELS
from limbeck.models.weights.folder import save
from limbeck.recipes.inheritance import load_recipe, made_by
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.published import TABLE_WITHOUT_DATA, WITHOUT_DATA, published
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.schema import Recipe
from limbeck.transfer.generate.counting import check_steps, images_per_round, images_wanted, rounds_of
from limbeck.transfer.generate.methods import METHODS
from limbeck.transfer.generate.settings import GenerateSettings

PAIRS = "generate-pairs"


@cache
def content(name: str) -> dict[str, Any]:
    return load_recipe(find_recipe(name))


def choices(name: str) -> dict[str, list[str]]:
    return {choice: [*options] for choice, options in content(name)["choices"].items()}


def recipe_of(**made: str) -> Recipe:
    return read_recipe(content(PAIRS), [f"{choice}={option}" for choice, option in made.items()])


def settings_of(recipe: Recipe) -> GenerateSettings:
    assert isinstance(recipe.transfer, GenerateSettings)
    return recipe.transfer


def test_there_is_every_method_and_every_pair() -> None:
    assert {*choices(PAIRS)["method"]} == {*METHODS, "nayer"}
    assert tuple(choices(PAIRS)["pair"]) == WITHOUT_DATA


@pytest.mark.parametrize("dataset", choices(PAIRS)["dataset"])
@pytest.mark.parametrize("pair", WITHOUT_DATA)
def test_the_teacher_of_every_pair_is_made_by_a_recipe(dataset: str, pair: str) -> None:
    recipe = recipe_of(dataset=dataset, pair=pair)
    assert recipe.name == f"{PAIRS}-{dataset}-{pair}-bsr"
    assert recipe.teacher is not None
    folder = str(recipe.teacher.weights)
    command = made_by(folder)
    teacher, student = pair.split("-")
    assert command == f"limbeck run generate-teacher -s dataset={dataset} -s network={teacher}"
    teacher_recipe = read_recipe(content("generate-teacher"), command.split()[4::2])
    assert f"runs/{teacher_recipe.name}" == folder
    large = dataset.startswith("imagenet")
    names = {"resnet34": "timm:resnet34", "resnet18": "timm:resnet18"} if large else {}
    assert teacher_recipe.student.model == names.get(teacher, teacher)
    assert recipe.student.model == names.get(student, student)
    assert teacher_recipe.data.test == recipe.data.test, "both see images of one size"
    assert settings_of(recipe).generator.network == ("light" if large else "published")


ADVERSARIAL = {"resnet34": 1.33, "vgg11": 1.0, "wrn_40_2": 1.1}
ROUNDS = {"bsr": (420, 107_520), "fast-meta": (220, 56_320), "fast": (220, 56_320)}
ROUNDS |= {"cmi": (200, 51_200), "deep-inversion": (200, 51_200)}


@pytest.mark.parametrize(("dataset", "pair"), [*product(("cifar10", "cifar100"), WITHOUT_DATA)])
def test_values_are_those_published(dataset: str, pair: str) -> None:
    for method in METHODS:
        recipe = recipe_of(dataset=dataset, pair=pair, method=method)
        settings, training = settings_of(recipe), recipe.training
        assert settings.method == method
        steps = training.steps
        assert steps is not None
        settings = settings.settled(10 if dataset == "cifar10" else 100)
        check_steps(settings, images_wanted(settings, 10), steps)
        if method in ROUNDS:
            assert (rounds_of(settings, steps), images_wanted(settings, 10)) == ROUNDS[method]
            assert settings.steps_per_round == 400
            assert settings.warmup_rounds == (20 if method in ("bsr", "fast-meta", "fast") else 0)
            assert settings.generator.renew_once == (140 if method in ("bsr", "fast-meta") else None)
            assert ROUNDS[method][0] * images_per_round(settings) == ROUNDS[method][1]
        else:
            assert steps == 80_000, "200 rounds of 400"
        resnet = pair == "resnet34-resnet18"
        plain = method in ("dafl", "zskt", "dfad", "dfq")  # whose code replaces the loss at --T by one at 1
        assert recipe.resolved_objective() == {"kd": {"weight": 1, "temperature": 1 if plain else 20}}
        rate = {"bsr": 0.2, "fast": 0.2, "fast-meta": 0.2, "dfq": 0.05 if resnet else 0.1}.get(method, 0.1)
        assert (training.learning_rate, training.weight_decay, training.momentum) == (rate, 1e-4, 0.9)
        views = "none" if plain else "pad-crop-flip"
        assert settings.views == training.views == views
        assert training.batch_size == (128 if method == "cmi" else 256)
        if method in ("bsr", "fast-meta", "fast"):
            assert settings.losses.adversarial == ADVERSARIAL[pair.split("-")[0]]
            assert settings.losses.one_hot == (0.4 if method != "bsr" and pair.startswith("wrn") else 0.5)


def test_nayer_is_fast_with_a_noisy_layer() -> None:
    recipe = recipe_of(method="nayer", dataset="cifar100")
    settings, training = settings_of(recipe).settled(100), recipe.training
    assert training.steps is not None
    assert settings.warmup_rounds == 20
    assert rounds_of(settings, training.steps) * images_per_round(settings) == images_wanted(settings, 100) == 176_000
    assert settings.generator.noisy
    assert settings.generator.renew == 10 * settings.calls_per_round, "every ten rounds"
    assert (settings.inner_steps, settings.labels, settings.meta, settings.losses.adversarial) == (
        40,
        "even",
        "none",
        1.33,
    )
    assert settings_of(recipe_of(method="nayer")).inner_steps == 30


@pytest.mark.parametrize("dataset", [name for name in choices(PAIRS)["dataset"] if name.startswith("imagenet")])
def test_large_images_of_bsr_are_made_through_the_views_that_they_are_taught_through(dataset: str) -> None:
    recipe = recipe_of(dataset=dataset, method="bsr")
    assert settings_of(recipe).views == recipe.training.views == {"resized-crop-flip": {"area": [0.75, 1]}}
    assert settings_of(recipe_of(dataset=dataset, method="fast-meta")).views == "pad-crop-flip"  # at any size
    assert settings_of(recipe_of(dataset=dataset, method="dafl")).views == "none"


def test_quirks_of_the_reference_are_another_choice() -> None:
    corrected, reference = (settings_of(recipe_of(details=details)) for details in ("corrected", "reference"))
    assert not corrected.floor
    assert (reference.floor, reference.keep, reference.exact) == (True, "best-batch", False)
    assert reference.adversary_early
    assert reference.generator.gain_near_zero
    assert reference.homogenise is not None
    assert reference.homogenise.one_more
    assert reference.losses == corrected.losses
    corrected, reference = (
        settings_of(recipe_of(details=details, method="deep-inversion")) for details in ("corrected", "reference")
    )
    assert (corrected.keep, corrected.adversarial) == ("best-image", "js")
    assert (reference.keep, reference.adversarial, reference.floor) == ("last", "js-clamped", True)
    assert reference.losses == corrected.losses


@pytest.mark.parametrize("method", [*METHODS, "nayer"])
def test_every_method_has_its_quirks(method: str) -> None:
    settings = settings_of(recipe_of(details="reference", method=method))
    assert (settings.floor, settings.exact) == (True, False)
    kept = {"deep-inversion": "last"} | dict.fromkeys(("bsr", "fast-meta", "fast", "nayer", "cmi"), "best-batch")
    assert settings.keep == kept.get(method, "best-image"), "fresh images are not chosen among"
    assert settings.adversary_early == (method in ("bsr", "fast-meta", "fast")), "NAYER's begins after the warm-up"


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet34", 21_282_122),
        ("vgg11", 9_231_114),
        ("wrn_40_2", 2_243_546),
        ("resnet18", 11_173_962),
        ("wrn_16_1", 175_066),
        ("wrn_40_1", 563_930),
        ("wrn_16_2", 691_674),
    ],
)
def test_networks_are_of_the_published_sizes(name: str, parameters: int) -> None:
    """Parameters at ten classes; the catalogue's are those at a hundred."""
    assert name in choices("generate-teacher")["network"]
    head = {"resnet34": 512, "resnet18": 512, "vgg11": 512}.get(name, 64 * int(name[-1]) if name[-1].isdigit() else 0)
    count = MODELS[name].parameters
    assert count is not None
    assert count - 90 * (head + 1) == parameters


def test_what_others_report() -> None:
    options = {"dataset": "cifar10", "pair": "wrn_40_2-wrn_16_1", "method": "bsr", "details": "corrected"}
    assert published(PAIRS, options) == "89.90 % (at the best test epoch of one run, README of BSR)"
    assert published(PAIRS, {**options, "dataset": "cifar100"}).startswith("56.11 %")
    assert published(PAIRS, {**options, "method": "dfad"}) == ""
    assert published(PAIRS, {**options, "dataset": "imagenette-160"}) == ""
    for table in TABLE_WITHOUT_DATA.values():
        assert {*table} <= {*METHODS}
        assert all(len(values.split()) == len(WITHOUT_DATA) for _, values in table.values())


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "weights"
    classes = [str(digit) for digit in range(10)]
    options = {"width": 8, "norm": "batch"}
    save(lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, classes=classes, **options), folder)
    return folder


@pytest.mark.parametrize("method", ["bsr", "dfq", "deep-inversion"])
def test_it_runs(method: str, teacher: Path, tmp_path: Path) -> None:
    tiny = [
        "data={test: {name: digits, classes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}",
        f"teacher={teacher}",
        "student={model: convnet_d3, options: {width: 4}}",
        "training.steps=3",
        "training.batch_size=8",
        "training.views=none",
        "transfer.views=none",
        "transfer.steps_per_round=1",
        "transfer.batch_size=8",
        "transfer.inner_steps=2",
        f"transfer.budget={80 if method == 'dfq' else 16}",
        "latency=false",
    ]
    tiny += [] if method == "deep-inversion" else ["transfer.generator.width=8"]
    tiny += ["transfer.warmup_rounds=1"] if method in ("bsr", "fast-meta", "fast") else []
    result = run(read_recipe(content(PAIRS), [f"method={method}", *tiny]), tmp_path / "run")
    assert result.evaluation is not None
    assert result.cost["student_steps"] == 3
