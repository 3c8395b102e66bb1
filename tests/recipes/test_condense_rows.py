"""The published rows of condensing: what each says, and that each runs."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from tests.transfer.condense.small import context, pool
from torch import Tensor

import limbeck as lb
from limbeck.data.catalogue import DATASETS
from limbeck.data.normalised_views import normalised_views
from limbeck.data.normalised_views.building import Chain
from limbeck.data.normalised_views.dsa import Dsa
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.objectives import weighted_sum
from limbeck.recipes.inheritance import chosen, load_recipe
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.schema import Recipe
from limbeck.training import TrainingSettings
from limbeck.transfer.condense import Maker, Settings
from limbeck.transfer.condense.crops import crops_per_image
from limbeck.transfer.condense.distribution import DistributionEngine
from limbeck.transfer.condense.engine import MatchingEngine
from limbeck.transfer.condense.expert_settings import Network
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.mask.masks import Masks
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.start import initial_set
from limbeck.transfer.set_evaluation.protocols import PROTOCOLS

HARD = ("mtt", "ftd", "tesla")
MATCHING = (*HARD, "datm", "pad", "edf")
METHODS = (*MATCHING, "dm", "ncfm", "tgdd", "rded")
SMALL = ("cifar10", "cifar100", "tiny-imagenet")
SUBSETS = ("imagenette", "imagewoof", "imagemeow", "imagesquawk", "imagefruit", "imageyellow")
KINDS = ("bird", "car", "dog", "fish", "snake", "insect", "round", "music")
COMP_DD = tuple(f"comp-dd-{kind}-{level}" for kind in KINDS for level in ("easy", "hard"))
PUBLISHED = {
    "mtt": {
        "cifar10": (1, 10, 50),
        "cifar100": (1, 10, 50),
        "tiny-imagenet": (1, 10, 50),
        **dict.fromkeys(SUBSETS, (1, 10)),
    },
    "ftd": {"cifar10": (1, 10, 50), "cifar100": (1, 10, 50), "tiny-imagenet": (1, 10)},
    "tesla": {"cifar10": (1,), "cifar100": (50,)},
    "datm": {"cifar10": (1, 10, 50, 500, 1000), "cifar100": (1, 10, 50, 100), "tiny-imagenet": (1, 10, 50)},
    "pad": {"cifar10": (1, 10, 50, 500, 1000), "cifar100": (1, 10, 50, 100), "tiny-imagenet": (1, 10, 50)},
    "edf": {
        "cifar10": (1, 10, 50, 500, 1000),
        "cifar100": (1, 10, 50, 100),
        "tiny-imagenet": (1, 10, 50, 100),
        **dict.fromkeys((*SUBSETS, *COMP_DD), (1, 10, 50)),
    },
    "dm": dict.fromkeys(SMALL, (1, 10, 50)),
    "ncfm": {**dict.fromkeys(SMALL, (1, 10, 50)), **dict.fromkeys(SUBSETS, (1, 10))},
    "tgdd": dict.fromkeys(SMALL, (1, 10, 50)),
    "rded": dict.fromkeys(("cifar10", "cifar100", "tiny-imagenet", "imagenette", "imagewoof"), (1, 10, 50)),
}


class Row(NamedTuple):
    """T, M, first start, last start, the start that it grows to and the iteration by which it does, batch size,
    learning rates of pixels, of the learning rate and of labels, loss above which a step is skipped, share dropped."""

    steps: int
    expert: int
    first: int
    end: int
    grown: int | None
    until: int | None
    batch: int | None
    image_rate: float
    rate_rate: float
    label_rate: float
    skip: float | None
    drop: float = 0.0


ROWS = {
    ("mtt", "cifar10", 1): Row(50, 2, 0, 2, None, None, None, 100, 1e-7, 0, None),
    ("mtt", "cifar100", 1): Row(20, 3, 0, 20, None, None, None, 1000, 1e-5, 0, None),
    ("mtt", "imagefruit", 1): Row(20, 2, 0, 10, None, None, None, 1e5, 1e-6, 0, None),
    ("mtt", "imagefruit", 10): Row(20, 2, 0, 10, None, None, 20, 1e5, 1e-6, 0, None),
    ("ftd", "cifar10", 1): Row(50, 2, 0, 2, None, None, None, 100, 1e-7, 0, None),
    ("ftd", "cifar10", 10): Row(30, 2, 0, 20, None, None, None, 100, 1e-5, 0, None),
    ("ftd", "cifar10", 50): Row(30, 2, 0, 40, None, None, None, 1000, 1e-5, 0, None),
    ("ftd", "cifar100", 1): Row(40, 3, 0, 20, None, None, None, 1000, 1e-5, 0, None),
    ("ftd", "cifar100", 10): Row(20, 2, 0, 40, None, None, None, 1000, 1e-5, 0, None),
    ("ftd", "cifar100", 50): Row(80, 2, 0, 40, None, None, 1000, 1000, 1e-5, 0, None),
    ("ftd", "tiny-imagenet", 1): Row(30, 2, 0, 10, None, None, None, 1e4, 1e-4, 0, None),
    ("ftd", "tiny-imagenet", 10): Row(20, 2, 0, 40, None, None, 500, 1e4, 1e-4, 0, None),
    ("tesla", "cifar10", 1): Row(50, 2, 0, 5, None, None, None, 1000, 1e-7, 0, None),
    ("tesla", "cifar100", 50): Row(80, 2, 0, 40, None, None, 125, 1000, 1e-5, 0, None),
    ("datm", "cifar10", 1): Row(80, 2, 0, 4, None, None, None, 100, 1e-7, 5, 1.1),
    ("datm", "cifar10", 10): Row(80, 2, 0, 10, 20, 1000, None, 100, 1e-5, 2, 1),
    ("datm", "cifar10", 50): Row(80, 2, 0, 20, 40, 2000, None, 1000, 1e-5, 2, 1),
    ("datm", "cifar10", 500): Row(40, 2, 40, 60, None, None, 1000, 50, 1e-5, 10, 1),
    ("datm", "cifar10", 1000): Row(100, 2, 40, 60, None, None, 1000, 50, 1e-5, 10, 1),
    ("datm", "cifar100", 1): Row(40, 3, 0, 10, 20, 1000, None, 1000, 1e-5, 10, 1),
    ("datm", "cifar100", 10): Row(80, 2, 0, 30, 50, 2000, None, 1000, 1e-5, 10, 1),
    ("datm", "cifar100", 50): Row(80, 2, 20, 70, None, None, 1000, 1000, 1e-5, 10, 1),
    ("datm", "cifar100", 100): Row(80, 2, 30, 70, None, None, 1000, 50, 1e-5, 10, 1),
    ("datm", "tiny-imagenet", 1): Row(40, 2, 0, 15, 20, 2000, None, 1e4, 1e-4, 10, 1),
    ("datm", "tiny-imagenet", 10): Row(40, 2, 10, 50, None, None, 500, 100, 1e-4, 10, 1),
    ("datm", "tiny-imagenet", 50): Row(20, 2, 40, 70, None, None, 1000, 100, 1e-4, 10, 1),
    ("pad", "cifar10", 1): Row(80, 2, 0, 4, None, None, None, 100, 1e-7, 5, 1.1, 0),
    ("pad", "cifar10", 50): Row(80, 3, 0, 20, 40, 2000, None, 1000, 1e-5, 2, 1, 0.25),
    ("pad", "cifar10", 500): Row(40, 2, 40, 60, 70, 2000, 1000, 50, 1e-5, 10, 1, 0.5),
    ("pad", "cifar100", 1): Row(40, 3, 0, 20, 30, 1000, None, 1000, 1e-5, 10, 1, 0.5),
    ("pad", "cifar100", 50): Row(80, 2, 20, 70, None, None, 1000, 1000, 1e-5, 10, 1, 0),
    ("edf", "cifar10", 1): Row(40, 2, 0, 4, None, None, None, 1e4, 1e-7, 5, 1.5),
    ("edf", "cifar10", 10): Row(40, 2, 0, 10, 20, 1000, None, 1000, 1e-5, 2, 1, 0.25),
    ("edf", "cifar10", 50): Row(40, 2, 0, 20, 40, 2000, None, 100, 1e-5, 2, 1, 0.375),
    ("edf", "cifar10", 500): Row(80, 2, 20, 60, None, None, 1000, 50, 1e-5, 10, 2, 0.75),
    ("edf", "cifar10", 1000): Row(80, 2, 40, 60, None, None, 1000, 100, 1e-5, 10, 1.5, 0.25),
    ("edf", "tiny-imagenet", 10): Row(60, 2, 10, 50, None, None, 250, 100, 1e-4, 10, 1.1, 0.5),
    ("edf", "tiny-imagenet", 100): Row(40, 2, 30, 80, None, None, 600, 1000, 1e-4, 10, 1.1, 0.5),
    ("edf", "imagenette", 1): Row(40, 2, 0, 5, 10, 1000, None, 1e4, 1e-5, 2, 1.5),
    ("edf", "imagewoof", 10): Row(40, 2, 0, 10, 20, 1000, None, 1000, 1e-6, 3, 2, 0.25),
    ("edf", "imagesquawk", 50): Row(80, 2, 0, 20, 40, 1000, 128, 100, 1e-5, 5, 1.1, 0.5),
    ("edf", "comp-dd-dog-easy", 10): Row(40, 2, 0, 10, 20, 1000, None, 1000, 1e-5, 5, 2, 0.25),
    ("edf", "comp-dd-bird-hard", 50): Row(40, 2, 0, 20, 40, 2000, 200, 100, 1e-5, 5, 1, 0.25),
    ("edf", "comp-dd-music-hard", 1): Row(40, 2, 0, 5, 10, 1000, None, 1e4, 1e-5, 3, 2),
}


@cache
def content_of(method: str) -> dict[str, Any]:
    return load_recipe(find_recipe(f"condense-{method}"))


@cache
def recipe_of(method: str, dataset: str, images: int) -> Recipe:
    return read_recipe(content_of(method), [f"dataset={dataset}", f"images={images}"])


def settings_of(recipe: Recipe) -> Settings:
    assert isinstance(recipe.transfer, Settings)
    return recipe.transfer


def rows(methods: Sequence[str] = METHODS) -> Iterator[tuple[str, str, int]]:
    for method in methods:
        for dataset, counts in PUBLISHED[method].items():
            for images in counts:
                yield method, dataset, images


@pytest.mark.parametrize(("method", "dataset", "images"), ROWS)
def test_what_a_row_says(method: str, dataset: str, images: int) -> None:
    matching = settings_of(recipe_of(method, dataset, images)).matching
    start = (matching.start_from, matching.start_to, matching.grow_to, matching.grow_until)
    rates = (matching.image_rate, matching.rate_rate, matching.label_rate)
    row = Row(
        matching.synthetic_steps,
        matching.expert_epochs,
        *start,
        matching.batch,
        *rates,
        matching.skip_above,
        matching.drop,
    )
    assert row == ROWS[method, dataset, images]


@pytest.mark.parametrize("method", METHODS)
def test_there_are_choices_for_all_rows(method: str) -> None:
    choices = content_of(method)["choices"]
    assert {*PUBLISHED[method]} <= {*choices["dataset"]}
    assert {count for counts in PUBLISHED[method].values() for count in counts} <= {*choices["images"]}


def test_what_all_rows_have_in_common() -> None:
    for method, dataset, images in rows():
        recipe = recipe_of(method, dataset, images)
        settings, training = settings_of(recipe), recipe.training
        assert settings.method == ("mtt" if method == "tesla" else method)
        assert settings.budget == f"{images}/class"
        assert recipe.name == f"condense-{method}-{dataset}-{images}"
        assert recipe.data.train is not None
        assert recipe.data.test is not None
        assert recipe.data.validation == 0, "all images are condensed"
        assert recipe.data.train.name in DATASETS
        assert recipe.student.model == settings.network.model == depth_for(method, dataset, images)
        assert bool(recipe.student.whitening) == settings.network.whitening
        assert training.batch_size <= images * classes_of(dataset) * settings.per_image, "an epoch has a step at least"


def test_students_see_images_as_their_set_is_for() -> None:
    """Whitened, or normalised alike."""
    for key in rows():
        student, network = recipe_of(*key).student, settings_of(recipe_of(*key)).network
        assert bool(student.whitening) == network.whitening, key
        if not network.whitening:
            assert (tuple(student.mean or ()), tuple(student.std or ())) == (network.mean, network.std), key


def test_learned_pixels_of_cifar_are_normalised_by_published_numbers() -> None:
    """Those of CIFAR-10, whose deviation is the mean one of single images; of CIFAR-100 DM alone has its own."""
    usual = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    own = (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)
    plain = 0
    for method, dataset, images in rows([method for method in METHODS if method != "rded"]):
        network = settings_of(recipe_of(method, dataset, images)).network
        if dataset in ("cifar10", "cifar100") and not network.whitening:
            plain += 1
            published = own if (method, dataset) == ("dm", "cifar100") else usual
            assert (network.mean, network.std) == published, (method, dataset, images)
    assert plain == 3 + 3 * 6


def test_what_rows_of_matching_have_in_common() -> None:
    for method, dataset, images in rows(MATCHING):
        recipe = recipe_of(method, dataset, images)
        settings, training = settings_of(recipe), recipe.training
        assert (training.epochs, training.momentum, training.weight_decay) == (1000, 0.9, 5e-4)
        batch_size = 256 if method in HARD else 128
        assert settings.use.batch_size == batch_size
        assert training.batch_size == min(batch_size, images * classes_of(dataset)), "an epoch has a step at least"
        assert training.learning_rate == "learned"
        assert training.views == "none"
        assert training.normalised_views == settings.use.views
        assert (settings.experts.sharpness is None) == (method in ("mtt", "tesla"))
        assert (settings.matching.gradient == "tesla") == (method == "tesla")
        assert settings.iterations == (5000 if method in ("mtt", "ftd") else 10000)
        assert (settings.experts.curriculum is None) == (method != "pad")
        assert (settings.mask is None) == (method != "edf")
        assert settings.labels == ("hard" if method in HARD else "soft")
        assert (settings.average is None) == (method != "ftd")


OF_PIXELS: Mapping[tuple[str, int] | tuple[str, str, int], Mapping[str, Any]] = {
    ("tgdd", 10): {"image_rate": 0.1},
    ("tgdd", 50): {"image_rate": 0.5},
    ("ncfm", "cifar100", 10): {"optimizer": "sgd", "image_rate": 0.01, "weight_decay": 0.0},
}
"""How pixels are learned in rows where that is not as the method has it."""


@pytest.mark.parametrize("method", ["dm", "ncfm", "tgdd", "rded"])
def test_what_rows_of_other_ways_say(method: str) -> None:
    """Images are learned with the method's defaults, but for how their pixels are, in some rows; and students normalise
    them as the network they are for does."""
    for _, dataset, images in rows([method]):
        recipe = recipe_of(method, dataset, images)
        settings, training = settings_of(recipe), recipe.training
        defaults = Settings(budget=settings.budget, method=method)
        excluded = ("network", "use", "experts")
        of_pixels = OF_PIXELS.get((method, dataset, images), OF_PIXELS.get((method, images), {}))
        learned = defaults.model_copy(update={"distribution": defaults.distribution.model_copy(update=of_pixels)})
        assert settings.model_dump(exclude={*excluded}) == learned.model_dump(exclude={*excluded})
        longer = {"epochs": 80, "milestones": (53, 66)} if dataset in SUBSETS and method == "ncfm" else {}
        assert settings.experts == defaults.experts.model_copy(update=longer)
        assert (recipe.student.mean, recipe.student.std) == (
            list(settings.network.mean or ()),
            list(settings.network.std or ()),
        )
        total = images * classes_of(dataset) * settings.per_image
        rate = (training.optimizer, training.learning_rate, training.schedule)
        if method != "rded":
            assert (training.epochs, training.views) == (settings.use.epochs, settings.use.image_views)
        if method in ("dm", "tgdd"):
            batch_size = 256 if method == "dm" else 64
            assert (settings.use.batch_size, training.batch_size) == (batch_size, min(batch_size, total))
            assert rate == ("sgd", 0.01, "multi-step")
            published = (1000, [0.5], 0.1) if method == "dm" else (1500, [0.6667, 0.8333], 0.2)
            assert (training.epochs, training.milestones, training.decay) == published
            assert training.normalised_views == settings.use.views
        elif method == "ncfm":
            epochs = {10: 300, 50: 40}.get(images, 2000) if dataset == "tiny-imagenet" else 2000
            assert (training.epochs, training.batch_size) == (epochs, min(128, total))
            assert rate == ("adamw", 0.001, "multi-step")
            assert (training.milestones, training.decay, training.weight_decay) == ([0.2, 0.4, 0.6, 0.8], 0.5, 0.01)
            use = settings.use
            assert (use.epochs, use.weight_decay, use.views) == (epochs, 0.01, training.normalised_views)
        else:
            batch_size = {1: 10, 10: 50, 50: 100}[images] * (2 if dataset == "cifar100" else 1)
            batch_size = 100 if dataset == "tiny-imagenet" else batch_size
            assert settings.use.batch_size is None
            assert (training.epochs, training.batch_size, *rate) == (300, batch_size, "adamw", 0.001, "cosine")
            side = 128 if dataset in SUBSETS else 32
            published = PROTOCOLS["rded"].training(images * classes_of(dataset), classes_of(dataset), side)
            assert TrainingSettings(**published) == training.model_copy(update={"validations": 5})
            objective = weighted_sum(recipe.resolved_objective())
            assert objective.weights == {"kd": 20.0**-2}
            assert recipe.teacher is not None
            assert recipe.student.options == settings.network.options == {"norm": "batch"}
            trained = recipe.teacher.training is not None
            assert recipe.teacher.options == ({"norm": "batch"} if trained else {})
            assert trained == (dataset in (*SUBSETS, "tiny-imagenet")), (
                "others are there, or made by a recipe of their own"
            )


def test_rates_of_pixels_by_distribution() -> None:
    """NCFM's is 0.01 times the 0.1 that its authors' code has for AdamW; TGDD's is 0.01 for each image of a class."""
    rates = {key: settings_of(recipe_of(*key)).distribution.image_rate for key in rows(["dm", "ncfm", "tgdd"])}
    for (method, dataset, images), rate in rates.items():
        of_ncfm = 0.01 if (dataset, images) == ("cifar100", 10) else 0.001
        assert rate == pytest.approx({"dm": 1, "ncfm": of_ncfm, "tgdd": 0.01 * images}[method])


def test_experts_of_ncfm_and_tgdd_are_taught_as_their_authors_do() -> None:
    views = {"dsa": {"operations": ["colour", "crop"], "mode": "all"}}
    for key in rows(["ncfm", "tgdd"]):
        experts = settings_of(recipe_of(*key)).experts
        assert (experts.count, experts.batch_size) == ((20, 128) if key[0] == "ncfm" else (5, 64))
        thirds = 2 * experts.epochs // 3, 5 * experts.epochs // 6
        assert (experts.milestones, experts.decay, experts.views) == (thirds, 0.2, views)


def test_masks_of_edf_see_images_as_its_authors_have_them() -> None:
    """Those of ImageNet's subsets in their 128 pixels by a network of 224; others by a network of their own size."""
    for _, dataset, images in rows(["edf"]):
        mask = settings_of(recipe_of("edf", dataset, images)).mask
        assert mask is not None
        subset = dataset not in SMALL
        assert (mask.network, mask.size) == (("timm:resnet18.tv_in1k", 128) if subset else ("expert", None)), dataset


def classes_of(dataset: str) -> int:
    return {"cifar100": 100, "tiny-imagenet": 200, "comp-dd-music-hard": 9}.get(dataset, 10)


def depth_for(method: str, dataset: str, images: int) -> str:
    if method == "edf" and dataset == "cifar10" and images <= 50:
        return "convnet_d5"
    return {"cifar10": "convnet_d3", "cifar100": "convnet_d3", "tiny-imagenet": "convnet_d4"}.get(dataset, "convnet_d5")


def test_averages_and_rates_of_ftd() -> None:
    settings = {key: settings_of(recipe_of(*key)) for key in rows() if key[0] == "ftd"}
    averages = [row.average for row in settings.values()]
    assert averages == [0.9999, 0.9995, 0.999, 0.9995, 0.9995, 0.999, 0.999, 0.999]
    alphas = [row.experts.sharpness.alpha for row in settings.values() if row.experts.sharpness is not None]
    assert alphas == [0.3, 0.3, 1, 1, 1, 1, 1, 1]
    assert [row.matching.rate for row in settings.values()] == [0.01, 0.001, *[0.01] * 6]


def test_images_of_cifar100_at_50_a_class_begin_as_any_real_ones() -> None:
    for method in ("datm", "pad", "edf"):
        assert settings_of(recipe_of(method, "cifar100", 50)).initialise == "real"


def test_masks_of_edf() -> None:
    masks = {key: settings_of(recipe_of(*key)).mask for key in rows() if key[0] == "edf"}
    fish = {images: masks["edf", "comp-dd-fish-easy", images] for images in (1, 10, 50)}
    assert [mask.every for mask in fish.values() if mask is not None] == [50, 100, 100]
    woof = [masks["edf", "imagewoof", images] for images in (1, 10, 50)]
    assert [mask.beta for mask in woof if mask is not None] == [1, 2, 2]
    said = {
        ("cifar10", 1000): (200, 0.5),
        ("tiny-imagenet", 50): (100, 0.5),
        ("tiny-imagenet", 100): (200, 0.5),
    }
    for (_, dataset, images), mask in masks.items():
        if dataset in SMALL:
            assert mask is not None
            assert (mask.every, mask.threshold) == said.get((dataset, images), (100, "mean")), (dataset, images)


def test_students_of_ncfm_see_two_operations_always_and_one_of_three() -> None:
    views = normalised_views(settings_of(recipe_of("ncfm", "cifar10", 1)).use.views)
    assert isinstance(views, Chain)
    always, one = views.parts
    assert isinstance(always, Dsa)
    assert isinstance(one, Dsa)
    assert (always.options.operations, always.options.mode) == (("flip", "colour"), "all")
    assert (one.options.operations, one.options.mode) == (("crop", "scale", "rotate"), "one")


def narrow(network: Network) -> Network:
    return network.model_copy(update={"options": {**network.options, "width": 2}})


def stand_in(settings: Settings, **experts: Any) -> Settings:
    """The same row on a few small images, with few steps: every other value as it is."""
    mask = None if settings.mask is None else settings.mask.model_copy(update={"network": "expert"})
    changes: dict[str, Any] = {
        "budget": "1/class",
        "iterations": min(2, settings.iterations),
        "keep": "uint8",
        "network": narrow(settings.network).model_copy(update={"mean": None, "std": None}),
        "experts": settings.experts.model_copy(update={"count": 1, "epochs": 100, **experts}),
        "matching": settings.matching.model_copy(update={"synthetic_steps": 2, "skip_above": 1e6}),
        "mask": mask,
    }
    return Settings.model_validate(settings.model_copy(update=changes).model_dump(mode="json"))


class Wandering:
    """An expert whose parameters go somewhere in every epoch."""

    count, snapshots, kept = 1, 101, range(101)

    def __init__(self, network: FlatNetwork) -> None:
        self.start = network.vector(network.classifier)

    def theta(self, expert: int, snapshot: int) -> Tensor:
        return self.start * (1 + 0.01 * snapshot)


@cache
def looking(size: int | None) -> Classifier:
    """An expert; or, where images are resized, a network that takes any size and tells a thousand classes apart, as an
    ImageNet network does, numbered in another order."""
    if size is None:
        expert: Any = {"num_classes": 3, "channels": 1, "classes": pool().classes, "input_size": 8, "width": 2}
        return create("convnet_d3", **expert).eval()
    names = tuple(f"class {number}" for number in reversed(range(1000)))
    return create("resnet8", num_classes=1000, channels=1, classes=names).eval()


def run_two(settings: Settings) -> list[Mapping[str, float]]:
    """Two iterations of a row, from its initial images."""
    images = pool()
    fresh = FreshNetworks.of(settings.network, images)
    classifier = fresh(0)
    network, count = FlatNetwork(classifier), 3
    start = initial_set(settings, images, classifier, [classifier], count=count, seed=0)
    if settings.by == "distribution":
        matched = DistributionEngine(
            settings, network, Wandering(network), start.synthetic, images, fresh=fresh, classes=start.classes, seed=0
        )
        return [matched.step(0), matched.step(1)]
    mask = None if settings.mask is None else Masks(settings.mask, looking(settings.mask.size), images.classes, seed=0)
    engine = MatchingEngine(
        settings, network, Wandering(network), start.synthetic, mask=mask, seed=0, device=torch.device("cpu")
    )
    return [engine.step(0), engine.step(settings.matching.grow_until or 1)]


@pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")
def test_every_row_runs_two_iterations() -> None:
    tried: list[Settings] = []
    for key in rows([method for method in METHODS if method != "rded"]):  # which has no iterations
        settings = stand_in(settings_of(recipe_of(*key)))
        if settings in tried:  # most of Comp-DD's sets have the same
            continue
        tried.append(settings)
        for numbers in run_two(settings):
            assert numbers["loss"] > 0, key
            assert not numbers.get("skipped"), key
    assert len(tried) > 60


@pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_a_row_of_every_method_runs_from_experts_to_a_set(method: str, tmp_path: Path) -> None:
    quick = {"epochs": 21, "steps_per_snapshot": 1, "batch_size": 6, "format": "float32"}
    settings = stand_in(settings_of(recipe_of(method, "cifar10", 1 if method == "tesla" else 10)), **quick)
    images = pool()
    teacher = FreshNetworks.of(settings.network, images)(0) if settings.needs_teacher else None
    condensed = Maker().make(settings, context(tmp_path, images, teacher=teacher)).source.images(0)
    assert len(condensed) == 3


@pytest.mark.parametrize("dataset", PUBLISHED["rded"])
def test_a_row_of_rded_on_every_data_set_is_made_and_taught_on(dataset: str, tmp_path: Path) -> None:
    """With few images, narrow networks and one step; the size is kept, as it decides how many crops make an image."""
    recipe = recipe_of("rded", dataset, 1)
    settings = settings_of(recipe)
    settings = settings.model_copy(update={"network": narrow(settings.network)})
    side = 128 if dataset in SUBSETS else 64 if dataset == "tiny-imagenet" else 32
    images = pool(each=4, channels=3, size=side)
    options: Any = {"num_classes": 3, "classes": images.classes, "input_size": side, "norm": "batch", "width": 2}
    teacher = create(settings.network.model, mean=settings.network.mean, std=settings.network.std, **options).eval()
    condensed = Maker().make(settings, context(tmp_path, images, teacher=teacher)).source.images(0)
    assert len(condensed.images) == 3
    assert condensed.images.shape == (3, side, side)
    assert ("shuffled-patches" in str(recipe.training.views)) == (crops_per_image(side, side) > 1)
    assert condensed.use is not None
    training = TrainingSettings(**condensed.use["training"])
    assert training == recipe.training.model_copy(update={"validations": 5, "batch_size": 3})
    (evaluation,) = lb.evaluate_set(condensed, images, seeds=1, teacher=teacher, training={"steps": 1})
    assert evaluation.steps == 1


def test_pairs_without_a_published_row_are_refused() -> None:
    for method in METHODS:
        content = load_recipe(find_recipe(f"condense-{method}"))
        options = content["choices"]
        for dataset, images in product(options["dataset"], options["images"]):
            recipe = {**content, "dataset": dataset, "images": images}
            if images in PUBLISHED[method].get(dataset, ()):
                chosen(recipe, "it", Recipe.model_fields)
                continue
            with pytest.raises(
                UserError, match=rf"it does not go with dataset {dataset}, images {images}: there is no"
            ):
                chosen(recipe, "it", Recipe.model_fields)
