"""Files with several sets of weights: one that fits is used and reported, the rest offered; ambiguity is refused."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.models.benchmark import shapes
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from limbeck.errors import UserError
from limbeck.models import Classifier, create, load, load_state
from limbeck.models.weights.read import read_state
from limbeck.recipes.reading import parse_recipe

State = dict[str, Tensor]
SIZES = {"num_classes": 4, "mean": (0.5,) * 3, "std": (0.25,) * 3}


def weights(value: float, model: str = "vgg8_w2") -> State:
    state = create(model, num_classes=4).network.state_dict()
    return {key: torch.full_like(tensor, value) for key, tensor in state.items()}


def under(prefix: str, state: State) -> State:
    return {f"{prefix}.{key}": value for key, value in state.items()}


@pytest.fixture
def fresh() -> Classifier:
    return create("vgg8_w2", num_classes=4)


def value(classifier: Classifier) -> float:
    values = {float(tensor.flatten()[0]) for tensor in classifier.network.state_dict().values()}
    assert len(values) == 1
    return values.pop()


RAW, AVERAGE = weights(1), weights(2)
OTHER = weights(3, "vgg8_w4")
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}

AVERAGES: dict[str, tuple[Any, str]] = {
    "DeiT": ({"model": RAW, "model_ema": AVERAGE, "optimizer": OPTIMIZER, "epoch": 3}, "model_ema"),
    "timm": ({"state_dict": RAW, "state_dict_ema": AVERAGE, "arch": "x", "metric": 1.0}, "state_dict_ema"),
    "YOLO": ({"model": RAW, "ema": {"module": AVERAGE, "updates": 7}}, "ema"),
    "averaged": ({"net": under("module", RAW), "averaged_net": under("module", AVERAGE)}, "averaged_net"),
    "SWA": ({"model_state_dict": RAW, "swa_state_dict": under("module", AVERAGE)}, "swa_state_dict"),
    "ema-pytorch": (
        under("online_model", RAW) | under("ema_model", AVERAGE) | {"initted": torch.tensor(True)},
        "ema_model",
    ),
    "Lightning": ({"state_dict": under("model", RAW) | under("model_ema", AVERAGE), "epoch": 1}, "model_ema"),
    "without a prefix": (RAW | under("ema", AVERAGE), "ema"),
    "in a nest": ({"checkpoint": {"weights": RAW, "weights_ema": AVERAGE}}, "weights_ema"),
}


@pytest.mark.parametrize("form", AVERAGES)
def test_raw_weights_are_taken_and_the_average_is_offered(tmp_path: Path, fresh: Classifier, form: str) -> None:
    content, key = AVERAGES[form]
    torch.save(content, tmp_path / "weights.pth")
    with pytest.warns(UserWarning, match=rf"holds several sets of weights: .* was taken; `weights_key` .*{key}"):
        load_state(fresh, tmp_path / "weights.pth")
    assert value(fresh) == 1
    load_state(fresh, tmp_path / "weights.pth", weights_key=key)
    assert value(fresh) == 2


COUNTER = {"n_averaged": torch.tensor(3)}


# Some networks' blocks share names with whole networks (`layer1.0.conv1`); others have other names in the benchmark.
@pytest.mark.parametrize("model", ["resnet8", "wrn_16_1", "MobileNetV2", "ShuffleV1", "vgg8"])
def test_sets_are_told_apart_by_prefixes_in_every_family(tmp_path: Path, model: str) -> None:
    raw, average = ({key: torch.full(sides, number) for key, sides in shapes(model).items()} for number in (1.0, 2.0))
    forms: list[tuple[Any, str]] = [
        (under("student", raw) | under("ema.module", average), "ema"),
        ({"state_dict": under("model", raw) | under("model_ema", average)}, "model_ema"),
        (raw | under("ema", average), "ema"),
        ({"model": under("module", raw), "model_ema": under("module", average) | COUNTER}, "model_ema"),
    ]
    network = create(model, num_classes=100)
    for content, key in forms:
        torch.save(content, tmp_path / "weights.pth")
        with pytest.warns(UserWarning, match=r"several sets of weights: .* was taken; `weights_key` .*: .*ema"):
            load_state(network, tmp_path / "weights.pth")
        assert value(network) == 1
        load_state(network, tmp_path / "weights.pth", weights_key=key)
        assert value(network) == 2
    load_state(network, under("module", raw) | COUNTER)
    assert value(network) == 1
    with pytest.raises(UserError, match=r"under different prefixes \(a, b\), and .*; name one by `weights_key`"):
        load_state(network, under("a", raw) | under("b", average))


ALONE: dict[str, Any] = {
    "EMA alone": {"state_dict_ema": AVERAGE, "optimizer": OPTIMIZER},
    "model_ema": {"model_ema": under("module", AVERAGE), "best": torch.tensor(0.9)},
    "another key": {"encoder_q": AVERAGE, "epoch": 3},
    "scheduler": {"state_dict": AVERAGE, "scheduler_state_dict": {"last": torch.tensor(3.0)}, "lr": torch.tensor(0.1)},
    "counters": {"n_averaged": torch.tensor(5), **under("module", AVERAGE)},
    "deep": {"a": {"b": {"model": {"state_dict": under("module._orig_mod", AVERAGE)}}}},
}


@pytest.mark.parametrize("form", ALONE)
def test_one_set_alone_is_taken_without_a_word(tmp_path: Path, fresh: Classifier, form: str) -> None:
    torch.save(ALONE[form], tmp_path / "weights.pth")
    load_state(fresh, tmp_path / "weights.pth")
    assert value(fresh) == 2


@pytest.mark.parametrize("ema", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_averaged_models_of_torch(tmp_path: Path, fresh: Classifier, ema: bool, compiled: bool) -> None:
    network: Any = create("vgg8_w2", num_classes=4, seed=1).network
    average: Any = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5) if ema else None)
    average.update_parameters(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    average.update_parameters(network)
    state = average.state_dict()
    assert "n_averaged" in state
    if compiled:
        state = {key.replace("module.", "module._orig_mod."): tensor for key, tensor in state.items()}
    torch.save(state, tmp_path / "swa.pth")
    load_state(fresh, tmp_path / "swa.pth")
    assert all(
        torch.equal(tensor, fresh.network.state_dict()[key]) for key, tensor in average.module.state_dict().items()
    )


TWO: dict[str, Any] = {
    "DINO": {"student": under("module", RAW), "teacher": AVERAGE, "dino_loss": {"center": torch.ones(3)}},
    "two nests": {"teacher": AVERAGE, "student": RAW},
    "Lightning": {"state_dict": under("student", RAW) | under("teacher", AVERAGE)},
    "deeper": {"state_dict": under("module.student", RAW) | under("module.teacher", AVERAGE)},
    "flat": under("student", RAW) | under("teacher", AVERAGE),
}


@pytest.mark.parametrize("form", TWO)
def test_a_student_and_its_teacher_are_not_guessed(fresh: Classifier, form: str) -> None:
    with pytest.raises(UserError, match=r"student.*teacher.*does not say which is meant; name one by `weights_key`"):
        load_state(fresh, TWO[form])
    for key, expected in (("student", 1), ("teacher", 2)):
        path = f"module.{key}" if form == "deeper" else key
        load_state(fresh, TWO[form], weights_key=path)
        assert value(fresh) == expected


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ({"student": RAW, "teacher": OTHER}, "teacher"),
        ({"state_dict": under("student", RAW) | under("teacher", OTHER)}, "state_dict.teacher"),
        (under("model", RAW) | {"criterion.center": torch.ones(4)}, "criterion"),
        ({"model": RAW, "model_ema": OTHER}, "model_ema"),
    ],
)
def test_the_one_that_fits_is_taken_and_said(fresh: Classifier, content: Any, left: str) -> None:
    with pytest.warns(UserWarning, match=rf"was taken; `weights_key` takes another: {left}\."):
        load_state(fresh, content)
    assert value(fresh) == 1


def test_safetensors_with_prefixes(tmp_path: Path, fresh: Classifier) -> None:
    safetensors.torch.save_file(TWO["flat"], tmp_path / "both.safetensors")
    with pytest.raises(UserError, match=r"more than once, under different prefixes \(student, teacher\)"):
        load_state(fresh, tmp_path / "both.safetensors")
    load_state(fresh, tmp_path / "both.safetensors", weights_key="teacher.")
    assert value(fresh) == 2


def test_head_of_another_name_beside_an_average(fresh: Classifier) -> None:
    both = [{key.replace("head", "fc"): tensor for key, tensor in state.items()} for state in (RAW, AVERAGE)]
    load_state(fresh, {"model": both[0], "ema": both[1]}, weights_key="ema")
    assert value(fresh) == 2


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        (TWO["DINO"], "techer", r"unknown `weights_key` 'techer'; did you mean 'teacher'"),
        (RAW, "ema", r"unknown `weights_key` 'ema'"),
        ({"a": {"ema": RAW}, "b": {"ema": AVERAGE}}, "ema", r"`weights_key` 'ema' may be a.ema or b.ema .* in full"),
        ({"model": RAW, "ema": OTHER}, "ema", r"do not fit vgg8_w2; .* of another shape"),
        ({"model": OTHER, "ema": OTHER}, None, r"do not fit vgg8_w2; .* of another shape"),
    ],
)
def test_wrong_keys(fresh: Classifier, content: Any, key: str | None, message: str) -> None:
    before = {name: tensor.clone() for name, tensor in fresh.network.state_dict().items()}
    with pytest.raises(UserError, match=message):
        load_state(fresh, content, weights_key=key)
    assert all(torch.equal(tensor, before[name]) for name, tensor in fresh.network.state_dict().items())


def test_reading_without_a_network(tmp_path: Path) -> None:
    torch.save({"model": RAW, "model_ema": AVERAGE, "optimizer": OPTIMIZER}, tmp_path / "weights.pth")
    assert float(read_state(tmp_path / "weights.pth")["head.bias"][0]) == 1
    assert float(read_state(tmp_path / "weights.pth", "model_ema")["head.bias"][0]) == 2
    torch.save(TWO["DINO"], tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"holds several state dicts \(student, teacher\)"):
        read_state(tmp_path / "weights.pth")


def test_load_takes_the_key(tmp_path: Path) -> None:
    torch.save({"model": RAW, "model_ema": AVERAGE}, tmp_path / "weights.pth")
    path = tmp_path / "weights.pth"
    assert value(load(path, model="vgg8_w2", weights_key="model_ema", **SIZES)) == 2
    with pytest.raises(UserError, match=r"`weights_key` is about a file with several sets of weights, and 'cifar10-"):
        load("cifar10-resnet56", weights_key="ema")


def test_recipes_take_the_key() -> None:
    recipe = {
        "name": "a",
        "data": "digits",
        "teacher": {"weights": "a.pth", "model": "vgg8", "weights_key": "model_ema"},
        "student": "lenet5",
        "training": {"epochs": 1},
    }
    parsed = parse_recipe(recipe)
    assert parsed.teacher is not None
    assert parsed.teacher.weights_key == "model_ema"
    with pytest.raises(UserError, match="`weights_key` needs `weights`"):
        parse_recipe({**recipe, "student": {"model": "lenet5", "weights_key": "ema"}})


def test_no_warning_for_files_of_the_zoo(fresh: Classifier) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_state(fresh, {"state_dict": RAW, "epoch": 3, "args": {"lr": 0.1}})
