"""The verbs from Python, on objects and on names."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml
from PIL import Image
from tests.recipes.tiny_recipes import comparison
from tests.training.tiny import CLASSES, network, same, stripes, weights
from torch import nn

import limbeck as lb
from limbeck.api.named_images import with_images_named
from limbeck.errors import UserError
from limbeck.models.weights.adapt import load_state
from limbeck.recipes.run_result import RunResult
from limbeck.transfer.set_evaluation.teaching import network_on

QUICK: dict[str, Any] = {"steps": 12, "batch_size": 8, "views": "none", "validations": 2}


def module(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))


def wrapped(seed: int = 0) -> lb.Classifier:
    mean, std = [0.5], [0.25]
    return lb.wrap(module(seed), num_classes=2, input_size=None, channels=1, mean=mean, std=std, classes=CLASSES)


def broken(seed: int) -> lb.Classifier:
    return network(seed // 0)


def flat(num_classes: int, channels: int = 3, *, width: int = 4) -> nn.Module:
    layers = (nn.AdaptiveAvgPool2d(width), nn.Flatten(), nn.Linear(channels * width**2, num_classes))
    return nn.Sequential(*layers)


@pytest.fixture
def images() -> lb.ImageSet:
    return stripes(40)


@pytest.fixture
def test() -> lb.ImageSet:
    return stripes(20, seed=1)


def teach(teacher: Any, student: Any, images: Any, out: Path, **changes: Any) -> RunResult:
    return lb.distill(teacher, student, images, out=out, **{**QUICK, **changes})


def test_an_empty_objective_is_not_the_default(images: lb.ImageSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`objective` must hold at least one term with a weight above 0, got none"):
        teach(None, network(), images, tmp_path / "run", objective={})


def test_names_and_objects(images: lb.ImageSet, test: lb.ImageSet, tmp_path: Path) -> None:
    taught = teach(None, network(), images, tmp_path / "teacher", test=test)
    assert taught.evaluation is not None
    assert taught.cost["teacher_passes"] == 0
    results = [
        teach(teacher, network(3), images, tmp_path / name, test=test)
        for name, teacher in (
            ("object", taught.student),
            ("folder", tmp_path / "teacher"),
            ("weights", str(tmp_path / "teacher" / "student")),
        )
    ]
    assert all(same(weights(results[0].student), weights(result.student)) for result in results)
    assert results[0].cost["teacher_passes"] == 96
    assert results[0].evaluation is not None
    assert results[0].evaluation.fidelity is not None


def test_data_and_student_by_name(tmp_path: Path) -> None:
    result = teach(None, "convnet_d3", "digits", tmp_path / "run", test="digits", steps=2, validation=0)
    assert result.evaluation is not None
    assert (result.evaluation.n, result.chosen) == (360, None)


def test_given_student_is_not_changed_and_the_seed_makes_another(images: lb.ImageSet, tmp_path: Path) -> None:
    student = network()
    before = weights(student)
    first = teach(None, student, images, tmp_path / "a")
    assert same(weights(student), before)
    assert not same(weights(first.student), before)
    second = teach(None, network, images, tmp_path / "b", seed=1)
    third = teach(None, network, images, tmp_path / "c", seed=1)
    assert same(weights(second.student), weights(third.student))


def test_wrapped_modules_teach_and_learn(images: lb.ImageSet, test: lb.ImageSet, tmp_path: Path) -> None:
    teacher = wrapped(1)
    before = weights(teacher)
    result = teach(teacher, wrapped, images, tmp_path / "run", test=test)
    assert same(weights(teacher), before)
    resumed = teach(teacher, wrapped, images, tmp_path / "run", test=test, resume=True)
    assert same(weights(resumed.student), weights(result.student))
    assert resumed.evaluation == result.evaluation
    fresh = wrapped(5)
    load_state(fresh, tmp_path / "run" / "student" / "model.safetensors")
    assert same(weights(fresh), weights(result.student))
    with pytest.raises(UserError, match=r"holds a Sequential, a module that was made outside .* and no import path"):
        lb.load_model(tmp_path / "run")
    assert same(weights(lb.load_model(tmp_path / "run", model=module)), weights(result.student))


@pytest.mark.filterwarnings("ignore:.* are among those to learn from")
def test_soft_labels_stand_in_for_the_teacher(images: lb.ImageSet, tmp_path: Path) -> None:
    soft = torch.nn.functional.one_hot(1 - stripes(40).labels, 2).float() * 0.8 + 0.1  # the other way round
    result = teach(
        None,
        network(),
        lb.TransferSet(images, soft_labels=soft),
        tmp_path / "run",
        test=images,
        steps=60,
        objective="kd",
    )
    assert result.evaluation is not None
    assert result.evaluation.top1 < 0.2
    assert result.cost["teacher_passes"] == 0
    unlabelled = lb.TransferSet(lb.ImageSet(images.tensor(), classes=images.classes), soft_labels=soft)
    learned = teach(None, network(), unlabelled, tmp_path / "unlabelled", validation=0)
    assert learned.student.num_classes == 2


def test_folder_of_a_transfer_set_keeps_its_soft_labels(images: lb.ImageSet, tmp_path: Path) -> None:
    soft = torch.nn.functional.one_hot(1 - stripes(40).labels, 2).float() * 0.8 + 0.1
    transfer_set = lb.TransferSet(images, soft_labels=soft)
    folder = tmp_path / "set"
    transfer_set.save(folder)
    by_name, path = (
        teach(None, network(), source, tmp_path / name, objective="kd")
        for name, source in (("object", transfer_set), ("folder", folder))
    )
    assert same(weights(path.student), weights(by_name.student))
    with pytest.raises(UserError, match="unknown dataset 'digitz'"):
        teach(None, network(), "digitz", tmp_path / "no")


def test_selection_is_a_transfer_set(images: lb.ImageSet, tmp_path: Path) -> None:
    chosen = lb.select(images, criterion="balanced-random", budget=10)
    transfer_set = chosen.transfer_set(images)
    transfer_set.save(tmp_path / "chosen")
    again = lb.TransferSet.load(tmp_path / "chosen")
    once = teach(None, network(), transfer_set, tmp_path / "one", validation=0)
    two = teach(None, network(), again, tmp_path / "two", validation=0)
    assert once.cost["images"] == 10
    assert same(weights(once.student), weights(two.student))


def test_a_transfer_set_is_taught_whole(images: lb.ImageSet, tmp_path: Path) -> None:
    transfer_set = lb.select(images, criterion="balanced-random", budget=10).transfer_set(images)
    transfer_set.save(tmp_path / "set")
    for number, given in enumerate((transfer_set, tmp_path / "set")):
        result = teach(None, network(), given, tmp_path / f"whole-{number}")
        assert (result.cost["images"], result.chosen) == (10, None)
        with_own = teach(None, network(), given, tmp_path / f"own-{number}", validation=stripes(12, seed=2))
        assert (with_own.cost["images"], with_own.chosen is None) == (10, False)
        split_off = teach(None, network(), given, tmp_path / f"asked-{number}", validation=2)
        assert split_off.cost["images"] == 8
    plain = teach(None, network(), images, tmp_path / "plain")
    assert (plain.cost["images"], plain.chosen is None) == (36, False)
    with pytest.raises(UserError, match=r"`validation` must be images as `lb\.load` gives them, or a data set's name"):
        teach(None, network(), images, tmp_path / "no", validation=["digits"])


@pytest.mark.filterwarnings("ignore:.* are among those to learn from")
def test_soft_labels_that_are_logits_teach_as_their_teacher(images: lb.ImageSet, tmp_path: Path) -> None:
    assert images.labels is not None
    logits = torch.nn.functional.one_hot(1 - images.labels, 2).float() * 6 - 1  # the other way round
    options = {"objective": "kd", "steps": 60, "validation": 0}
    results = [
        teach(None, network(), source, tmp_path / str(number), test=images, **options)
        for number, source in enumerate(
            (
                lb.TransferSet(images, logits, soft_label_kind="logits"),
                lb.TransferSet(images, logits / 2, soft_label_kind="logits", soft_label_temperature=2.0),
                lb.TransferSet(images, logits.softmax(1)),
            )
        )
    ]
    assert all(result.evaluation is not None and result.evaluation.top1 < 0.2 for result in results)
    with pytest.raises(UserError, match="`soft_labels` must be probabilities"):
        lb.TransferSet(images, logits)


def test_soft_labels_beside_a_teacher_are_said_not_to_be_read(images: lb.ImageSet, tmp_path: Path) -> None:
    soft = torch.full((40, 2), 0.5)
    with pytest.warns(UserWarning, match="the soft labels of 'images' are not read, because the teacher convnet_d3 is"):
        first = teach(network(1), network(), lb.TransferSet(images, soft), tmp_path / "one")
    other = teach(network(1), network(), images, tmp_path / "other", validation=0)
    assert same(weights(first.student), weights(other.student))


def test_resuming_with_something_else_is_refused(images: lb.ImageSet, tmp_path: Path) -> None:
    teach(network(1), network(), images, tmp_path / "run")
    with pytest.raises(UserError, match="holds a run already"):
        teach(network(1), network(), images, tmp_path / "run")
    with pytest.raises(UserError, match=r"`teacher.weights` \('python:convnet_d3#"):
        teach(network(2), network(), images, tmp_path / "run", resume=True)
    with pytest.raises(UserError, match=r"`data.train.name` \('python:images#"):
        teach(network(1), network(), stripes(40, seed=4), tmp_path / "run", resume=True)


def test_a_function_of_the_number_of_classes_is_a_student_by_itself_and_in_a_mapping(
    images: lb.ImageSet, tmp_path: Path
) -> None:
    import_path, local = f"{__name__}:flat", partial(flat, width=2)
    by_itself = teach(None, flat, images, tmp_path / "one").student
    mapped = teach(None, {"model": flat}, images, tmp_path / "two").student
    assert by_itself.name == mapped.name == import_path
    assert same(weights(by_itself), weights(mapped))
    narrow = teach(None, local, images, tmp_path / "three").student
    assert narrow.name.startswith("python:partial#")
    assert sum(parameter.numel() for parameter in narrow.parameters()) == 10
    assert network_on(lb.TransferSet(images), flat).model == import_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "training.epoch: unknown key; did you mean 'epochs'"),
        ({"steps": None}, "exactly one of `steps` and `epochs` must be given, got neither"),
        ({"teacher": module()}, r"`teacher` must be a Classifier .* got a bare Sequential; `lb.wrap\("),
        ({"student": module()}, "`student` must be .*, got a bare Sequential; `lb.wrap` makes it a Classifier"),
        ({"student": 3}, "`student` must be a model's name, a Classifier or a function .*, got a int"),
        ({"student": lambda seed: module(seed)}, "`student` must make a Classifier out of a seed, got a Sequential"),
        (
            {"student": lambda: network()},
            "`student` '<lambda>', called with the seed 0, raised TypeError: .* takes 0 .* Write `lambda seed:",
        ),
        (
            {"student": broken},
            r"`student` 'broken', called with the seed 0, raised ZeroDivisionError: .* \(test_api.py:\d+\)\.$",
        ),
        ({"student": "convnet_d33"}, "student.model: unknown model 'convnet_d33'; did you mean 'convnet_d3'"),
        ({"teacher": "cifar10-resnet57"}, "unknown weights 'cifar10-resnet57'; did you mean"),
        ({"objective": "kdd"}, "objective: unknown objective 'kdd'"),
        ({"objective": "kd", "teacher": None}, "the objective kd needs a teacher, and there is none"),
        ({"images": "digitz"}, "unknown dataset 'digitz'; did you mean 'digits'"),
        ({"images": 3}, "`images` must be images as `lb.load` gives them, or a data set's name, got int"),
        ({"test": 3}, "`test` must be images as `lb.load` gives them, or a data set's name, got int"),
        ({"teacher": network(classes=3)}, "teacher and student must have the same classes, got 3 of .* and 2 of"),
        ({"student": network(classes=3)}, "tells 3 classes apart"),
        ({"validation": 41}, "41"),
        ({"validation": -1}, "must be a count of images >= 0"),
    ],
)
def test_messages(changes: dict[str, Any], message: str, images: lb.ImageSet, tmp_path: Path) -> None:
    arguments = {"teacher": network(1), "student": network(), "images": images, **changes}
    with pytest.raises(UserError, match=message):
        teach(out=tmp_path / "run", **arguments)


def test_unlabelled_images(images: lb.ImageSet, tmp_path: Path) -> None:
    unlabelled = lb.ImageSet(images.tensor(), classes=images.classes)
    with pytest.raises(UserError, match=r"cross_entropy needs labels, and images has none; drop that term"):
        teach(network(1), network(), unlabelled, tmp_path / "run", objective={"ce": 1, "kd": 1}, validation=0)
    assert teach(network(1), network(), unlabelled, tmp_path / "run", validation=0).cost["teacher_passes"] == 96
    with pytest.raises(UserError, match=r"`data.test` must be labelled"):
        teach(network(1), network(), images, tmp_path / "other", test=unlabelled)


def test_compare_takes_images_where_the_data_of_a_mapping_has_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)

    def listed(count: int, seed: int) -> datasets.Dataset:
        images = stripes(count, seed=seed)
        return datasets.Dataset.from_dict(
            {"image": [Image.fromarray(picture) for picture in images.tensor()[:, 0].numpy()], "label": images.labels}
        )

    content = comparison(seeds=[0], arms={"entropy": "entropy"}, budgets=[6])
    content["training"] = content["teacher"]["training"] = {"steps": 2, "batch_size": 8, "views": "none"}
    train, test, held_out = listed(40, 0), listed(20, 1), listed(10, 2)
    content["data"] = {"train": train, "test": test, "validation": held_out, "size": 4}
    results = lb.compare(content, out=tmp_path / "all")
    assert (results["train_images"], results["validation_images"], results["test_images"]) == (40, 10, 20)
    assert {row["state"] for row in results["runs"]} == {"finished"}
    written = yaml.safe_load((tmp_path / "all/recipe.yaml").read_text())["data"]
    assert {part: written[part]["name"].partition(":")[0] for part in ("train", "test", "validation")} == dict.fromkeys(
        ("train", "test", "validation"), "python"
    )
    (student,) = (tmp_path / "all/runs").glob("entropy*/seed-0/student/config.json")
    assert json.loads(student.read_text())["input_size"] == [4, 4]
    splits = datasets.DatasetDict({"train": train, "test": test})
    sets: Any
    named, *sets = with_images_named({"data": splits}, None, held_out)
    assert [None if part is None else len(part) for part in sets] == [40, 10, None], "an argument comes first"
    assert isinstance(named, dict)
    assert {*named["data"]} == {"train", "test"}


def test_compare_with_objects_in_place_of_names(
    images: lb.ImageSet, test: lb.ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    content = comparison(seeds=[0], arms={"entropy": {}, "other": {"student": "lenet5"}}, budgets=[6])
    content["data"]["validation"] = 8
    arguments: dict[str, Any] = {"teacher": network(1), "train": images, "test": test, "student": network}
    results = lb.compare(content, out=tmp_path / "all", overrides=["training.steps=3"], **arguments)
    assert (results["train_images"], results["validation_images"], results["test_images"]) == (32, 8, 20)
    assert results["teacher"]["evaluation"]["n"] == 20
    assert all(row["state"] == "finished" for row in results["runs"]), results["runs"]
    config = (tmp_path / "all" / "runs" / "other@6-images" / "seed-0" / "student" / "config.json").read_text()
    assert '"lenet5"' in config  # the arm's own student, not the one handed over
    again = lb.compare(content, out=tmp_path / "all", overrides=["training.steps=3"], resume=True, **arguments)
    assert again["table"] == results["table"]
    with pytest.raises(UserError, match=r"handed over in Python; hand it over again"):
        lb.compare(tmp_path / "all" / "recipe.yaml", out=tmp_path / "all", resume=True, train=images, test=test)
    with pytest.raises(UserError, match=r"holds runs of another recipe: .*`teacher\.weights`"):
        lb.compare(content, out=tmp_path / "all", resume=True, **{**arguments, "teacher": network(7)})
