"""The CIFAR-100 recipes say what the authors' scripts and configurations do, pair by pair.

Sources: RepDistiller (train_student.py, scripts/run_cifar_distill.sh, helper/pretrain.py), mdistiller and
logit-standardization-KD (configs/cifar100, names of the logs), Multi-Level-Logit-Distillation (release of March 2023),
EA-KD (mdistiller/distillers/KD.py), image_classification_sota (dist_cifar.yaml), SimKD, SemCKD, ITRD, and, for icd and
rrd, distillers.
"""

from functools import cache
from typing import Any

import pytest
import torch

from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.objective import PREPARING
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.inheritance import load_recipe
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.published import PAIRS
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.schema import Recipe
from limbeck.training.schedule import Phases

EPOCHS, MILESTONES = 240, (150, 180, 210)
SMALL = ("MobileNetV2", "ShuffleV1", "ShuffleV2")

# Weights of the sum, and options that a run of 50,000 images of 100 classes has; the same for every pair.
SUMS: dict[str, dict[str, dict[str, Any]]] = {
    "kd": {"cross_entropy": {"weight": 0.1}, "kd": {"weight": 0.9, "temperature": 4.0}},
    "fitnet": {"cross_entropy": {"weight": 1}, "fitnet": {"weight": 100, "stage": 2}},
    "at": {"cross_entropy": {"weight": 1}, "at": {"weight": 1000, "stages": slice(1, None)}},
    "sp": {"cross_entropy": {"weight": 1}, "sp": {"weight": 3000, "stages": slice(-1, None)}},
    "cc": {"cross_entropy": {"weight": 1}, "cc": {"weight": 0.02, "features": 128}},
    "vid": {"cross_entropy": {"weight": 1}, "vid": {"weight": 1, "stages": slice(1, None)}},
    "rkd": {"cross_entropy": {"weight": 1}, "rkd": {"weight": 1}},
    "pkt": {"cross_entropy": {"weight": 1}, "pkt": {"weight": 30000}},
    "ab": {"cross_entropy": {"weight": 1}, "ab": {"weight": 1, "margin": 1.0, "stages": slice(1, None)}},
    "ft": {"cross_entropy": {"weight": 1}, "ft": {"weight": 200, "factors": 0.5, "power": 2, "norm": 1, "stage": -1}},
    "fsp": {"cross_entropy": {"weight": 1}, "fsp": {"weight": 50, "stages": slice(0, None)}},
    "nst": {"cross_entropy": {"weight": 1}, "nst": {"weight": 50, "stages": slice(1, None)}},
    "kdsvd": {"cross_entropy": {"weight": 1}, "kdsvd": {"weight": 1, "stages": slice(1, None)}},
    "crd": {"cross_entropy": {"weight": 1}, "crd": {"weight": 0.8}},
    "icd": {"cross_entropy": {"weight": 1}, "icd": {"weight": 1}},
    "rrd": {"cross_entropy": {"weight": 1}, "rrd": {"weight": 1}},
    "semckd": {
        "cross_entropy": {"weight": 1},
        "kd": {"weight": 1, "temperature": 4.0},
        "semckd": {"weight": 400, "stages": slice(1, None), "softness": 1.0},
    },
    "srrl": {"cross_entropy": {"weight": 1}, "kd": {"weight": 1, "temperature": 4.0}, "srrl": {"weight": 1}},
    "simkd": {"simkd": {"weight": 1, "factor": 2, "head": "teacher"}},
    "dist": {"cross_entropy": {"weight": 1}, "dist": {"weight": 2, "beta": 1.0, "gamma": 1.0, "temperature": 4.0}},
    "ea_kd": {
        "cross_entropy": {"weight": 0.1},
        "ea_kd": {"weight": 0.9, "temperature": 4.0, "entropy_temperature": 3.0, "entropy_bound": 100},
    },
    "mlkd": {"cross_entropy": {"weight": 0.1}, "mlkd": {"weight": 0.9, "temperature": 4.0}},
    "dkd": {
        "cross_entropy": {"weight": 1},
        "dkd": {"weight": 1, "alpha": 1.0, "temperature": 4.0, "warmup": 20 / 240, "warmup_levels": 20},
    },
    "itrd": {"cross_entropy": {"weight": 1}, "itrd": {"weight": 1, "correlation_weight": 2.0}},
}
WITH_KD = ("crd", "icd", "rrd")

DKD_BETA = {
    **dict.fromkeys(("wrn_40_2-wrn_16_2", "wrn_40_2-wrn_40_1", "vgg13-vgg8", "vgg13-MobileNetV2"), 6),
    **dict.fromkeys(("resnet56-resnet20", "resnet110-resnet32"), 2),
    **dict.fromkeys(("resnet32x4-resnet8x4", "ResNet50-MobileNetV2"), 8),
    **dict.fromkeys(("resnet32x4-ShuffleV1", "resnet32x4-ShuffleV2", "wrn_40_2-ShuffleV1"), 8),
}
# Temperature and weight, for dkd also beta.
STANDARDISED_KD = {
    "wrn_40_2-wrn_16_2": (2, 9),
    "wrn_40_2-wrn_40_1": (2, 9),
    "resnet56-resnet20": (2, 9),
    "resnet110-resnet20": (4, 12),
    "resnet110-resnet32": (2, 9),
    "resnet32x4-resnet8x4": (2, 9),
    "vgg13-vgg8": (3, 9),
    "vgg13-MobileNetV2": (3, 9),
    "ResNet50-MobileNetV2": (3, 1),
    "resnet32x4-ShuffleV2": (2, 9),
}
STANDARDISED_DKD = {
    "wrn_40_2-wrn_16_2": (2, 12, 2),
    "wrn_40_2-wrn_40_1": (2, 12, 2),
    "resnet56-resnet20": (3, 18, 2),
    "resnet110-resnet20": (2, 15, 2),
    "resnet110-resnet32": (2, 15, 2),
    "resnet32x4-resnet8x4": (2, 9, 8),
    "vgg13-vgg8": (2, 15, 2),
    "vgg13-MobileNetV2": (3, 9, 2),
    "ResNet50-MobileNetV2": (2, 15, 2),
    "resnet32x4-ShuffleV2": (2, 9, 8),
}
STANDARDISED_MLKD = {
    "wrn_40_2-wrn_16_2": (2, 9),
    "wrn_40_2-wrn_40_1": (2, 9),
    "resnet110-resnet20": (2, 9),
    "resnet110-resnet32": (2, 9),
    "resnet32x4-resnet8x4": (2, 9),
    "vgg13-vgg8": (2, 6),
    "vgg13-MobileNetV2": (2, 6),
    "ResNet50-MobileNetV2": (2, 9),
    "resnet32x4-ShuffleV2": (2, 6),
}


@cache
def content(method: str) -> dict[str, Any]:
    return load_recipe(find_recipe(f"cifar100-{method}"))


def recipe_of(method: str, pair: str, **choices: str) -> Recipe:
    return read_recipe(content(method), [f"{key}={value}" for key, value in {"pair": pair, **choices}.items()])


def terms(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Every term's weight and options."""
    objective = weighted_sum(recipe.resolved_objective())
    return {name: {**vars(term), "weight": objective.weights[name]} for name, term in objective.objectives().items()}


def check(recipe: Recipe, expected: dict[str, dict[str, Any]]) -> None:
    got = terms(recipe)
    assert set(got) == set(expected)
    for name, options in expected.items():
        assert {key: got[name][key] for key in options} == options, name


def phases(recipe: Recipe, epochs: int) -> Phases:
    """A step an epoch, of the whole run."""
    assert recipe.training.epochs == epochs
    return Phases.of(weighted_sum(recipe.resolved_objective()), recipe.training, epochs)


def rates(recipe: Recipe, epochs: int) -> list[float]:
    run = phases(recipe, epochs)
    return [run.learning_rate(epoch) for epoch in range(epochs)]


def usual_rates(first: float, epochs: int = EPOCHS) -> list[float]:
    return [first * 0.1 ** sum(epoch >= milestone for milestone in MILESTONES) for epoch in range(epochs)]


def own_rate(pair: str) -> float:
    return 0.01 if pair.split("-")[1] in SMALL else 0.05


@pytest.mark.parametrize("method", SUMS)
def test_sums(method: str) -> None:
    for pair in PAIRS:
        check(recipe_of(method, pair), SUMS[method])


@pytest.mark.parametrize("method", WITH_KD)
def test_sums_with_kd(method: str) -> None:
    for pair in PAIRS:
        check(recipe_of(method, pair, variant="with-kd"), SUMS[method] | {"kd": {"weight": 1, "temperature": 4.0}})


@pytest.mark.parametrize("method", [method for method in SUMS if method not in ("mlkd", "ab", "ft", "fsp")])
def test_schedules(method: str) -> None:
    for pair in PAIRS:
        training = recipe_of(method, pair).training
        assert rates(recipe_of(method, pair), EPOCHS) == pytest.approx(usual_rates(own_rate(pair)))
        assert (training.batch_size, training.momentum, training.nesterov) == (64, 0.9, False)
        assert (training.weight_decay, training.optimizer, training.warmup) == (5e-4, "sgd", 0)
        assert training.views == "pad-crop-flip"


@pytest.mark.parametrize("method", ["ab", "ft", "fsp"])
def test_schedules_with_a_preparing_phase(method: str) -> None:
    """30 epochs at the student's own rate, but 0.01 for ft with students of two families; then the usual 240."""
    assert pytest.approx(30 / 270) == PREPARING
    for pair in PAIRS:
        recipe, student = recipe_of(method, pair), pair.split("-")[1]
        prepared = 0.01 if method == "ft" and student.startswith(("resnet", "wrn")) else own_rate(pair)
        assert phases(recipe, 30 + EPOCHS).preparing == 30
        assert rates(recipe, 30 + EPOCHS) == pytest.approx([prepared] * 30 + usual_rates(own_rate(pair)))


@pytest.mark.parametrize("variant", ["plain", "standardised"])
def test_schedules_of_mlkd(variant: str) -> None:
    for pair in PAIRS:
        small = pair.split("-")[1] in SMALL or (variant == "standardised" and pair == "vgg13-vgg8")
        epochs = 960 if pair in ("resnet32x4-ShuffleV1", "resnet32x4-ShuffleV2") else 480
        expected = usual_rates(0.01 if small else 0.025, epochs)
        assert rates(recipe_of("mlkd", pair, variant=variant), epochs) == pytest.approx(expected)


def test_beta_of_dkd() -> None:
    for pair, beta in DKD_BETA.items():
        check(recipe_of("dkd", pair), {"cross_entropy": {}, "dkd": {"beta": beta}})


def test_dkd_warms_up_by_whole_epochs() -> None:
    run = phases(recipe_of("dkd", "vgg13-vgg8"), EPOCHS)
    steps = Phases(0, EPOCHS * 782, 1.0, run.settings)
    term = weighted_sum(recipe_of("dkd", "vgg13-vgg8").resolved_objective()).objectives()["dkd"]
    inputs = torch.zeros(1, 3), torch.tensor([[4.0, 0.0, 2.0]]), torch.tensor([0])
    full = term(*inputs, 1.0).item()
    for epoch in range(25):
        for step in (0, 1, 781):
            share = term(*inputs, steps.elapsed(epoch * 782 + step)).item() / full
            assert share == pytest.approx(min((epoch + 1) / 20, 1)), (epoch, step)


@pytest.mark.parametrize("pair", PAIRS)
def test_standardised_pairs(pair: str) -> None:
    """Those without a log of their own have the usual temperature, weight and beta."""
    temperature, weight = STANDARDISED_KD.get(pair, (2, 9))
    standardise = {"standardise": True}
    kd = {"weight": weight, "temperature": temperature, **standardise}
    check(recipe_of("kd", pair, variant="standardised"), {"cross_entropy": {"weight": 0.1}, "kd": kd})
    temperature, weight, beta = STANDARDISED_DKD.get(pair, (2, 9, 8))
    dkd = {"weight": weight, "temperature": temperature, "beta": beta, "alpha": 1, "warmup_levels": 20, **standardise}
    check(recipe_of("dkd", pair, variant="standardised"), {"cross_entropy": {"weight": 1}, "dkd": dkd})
    temperature, weight = STANDARDISED_MLKD.get(pair, (2, 9))
    mlkd = {"weight": weight, "temperature": temperature, **standardise}
    check(recipe_of("mlkd", pair, variant="standardised"), {"cross_entropy": {"weight": 0.1}, "mlkd": mlkd})


def test_itrd_has_numbers_of_its_own_for_one_pair() -> None:
    for pair in PAIRS:
        alpha, mutual = (1.01, 1.0) if pair == "wrn_40_2-wrn_16_2" else (1.5, 0.05)
        check(recipe_of("itrd", pair), {"cross_entropy": {}, "itrd": {"alpha": alpha, "mutual_weight": mutual}})


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("crd", {"features": 128, "negatives_count": 16384, "temperature": 0.07, "momentum": 0.5}),
        ("rrd", {"features": 128, "negatives_count": 16384, "student_temperature": 0.1, "teacher_temperature": 0.02}),
        ("rkd", {"distance": 25.0, "angle": 50.0}),
        ("vid", {"variance": 5.0}),
        ("kdsvd", {"vectors": 1}),
    ],
)
def test_options_that_objectives_are_published_with(method: str, options: dict[str, float]) -> None:
    assert {key: OBJECTIVES[method].options[key] for key in options} == options


@pytest.mark.parametrize("network", ["wrn_40_2", "resnet110", "vgg13", "ResNet50", "MobileNetV2", "ShuffleV1"])
def test_teachers(network: str) -> None:
    recipe = read_recipe("cifar100-teacher", [f"network={network}"])
    assert rates(recipe, EPOCHS) == pytest.approx(usual_rates(0.01 if network in SMALL else 0.05))
    assert (recipe.student.mean, recipe.student.std) == ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761])
