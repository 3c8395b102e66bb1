"""Every verb means the same class by a name, in whatever order images, teacher and student number their classes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison
from tests.training.tiny import CLASSES, named, network, same, stripes, turned, weights
from torch import nn

import limbeck as lb
from limbeck.errors import UserError
from limbeck.models.weights.reordered import reordered
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run

QUICK: dict[str, Any] = {"steps": 40, "batch_size": 8, "views": "none", "validations": 2, "learning_rate": 0.1}


def teach(teacher: Any, student: Any, images: Any, out: Path, **changes: Any) -> Any:
    return lb.distill(teacher, student, images, out=out, **{**QUICK, **changes})


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> lb.Classifier:
    """It knows rows from columns."""
    result = teach(None, network(), stripes(40), tmp_path_factory.mktemp("teacher") / "run", test=stripes(20, seed=1))
    assert_right(result)
    return result.student


def assert_right(result: Any) -> None:
    """Classes the wrong way round would be right in none."""
    assert result.evaluation.top1 > 0.7
    if result.evaluation.fidelity is not None:
        assert result.evaluation.fidelity["teacher_top1"] > 0.7


@pytest.mark.parametrize("objective", [{"cross_entropy": 0.1, "kd": 0.9}, "kd"])
def test_images_in_another_order(teacher: lb.Classifier, tmp_path: Path, objective: Any) -> None:
    plain = teach(teacher, network(3), stripes(40), tmp_path / "a", test=stripes(20, seed=1), objective=objective)
    other = teach(teacher, network(3), turned(40), tmp_path / "b", test=turned(20, seed=1), objective=objective)
    mixed = teach(teacher, network(3), stripes(40), tmp_path / "c", test=turned(20, seed=1), objective=objective)
    for result in (other, mixed):
        assert same(weights(result.student), weights(plain.student))
        assert result.evaluation == plain.evaluation
        assert result.student.classes == CLASSES
    assert_right(plain)


def test_training_and_test_images_in_another_order_without_a_teacher(tmp_path: Path) -> None:
    result = teach(None, "convnet_d3", stripes(40), tmp_path / "run", test=turned(20, seed=1), steps=60)
    assert_right(result)
    assert [row["class"] for row in result.evaluation.per_class] == list(CLASSES)
    assert json.loads((tmp_path / "run" / "student" / "config.json").read_text())["classes"] == list(CLASSES)


@pytest.mark.parametrize("objective", [{"cross_entropy": 0.1, "kd": 0.9}, "kd"])
def test_student_that_numbers_its_classes_otherwise(teacher: lb.Classifier, tmp_path: Path, objective: Any) -> None:
    student = named("columns", "rows", seed=3)
    images, test = stripes(40), stripes(20, seed=1)
    before = weights(teacher)
    result = teach(teacher, student, images, tmp_path / "run", test=test, objective=objective)
    assert_right(result)
    assert result.student.classes == ("columns", "rows")
    evaluations = [lb.evaluate(result.student, test_set, teacher=teacher) for test_set in (test, turned(20, seed=1))]
    assert evaluations[0] == evaluations[1]
    assert same(weights(teacher), before)
    assert teacher.classes == CLASSES


def test_student_to_go_on_from_without_a_teacher(teacher: lb.Classifier, tmp_path: Path) -> None:
    result = teach(None, teacher, turned(40), tmp_path / "run", test=turned(20, seed=1), steps=1, learning_rate=1e-6)
    assert_right(result)
    assert result.student.classes == CLASSES


def test_teacher_of_more_classes_than_the_images_have(tmp_path: Path) -> None:
    three = named("columns", "dots", "rows", seed=2)
    result = teach(three, "convnet_d3", turned(40), tmp_path / "run", test=stripes(20, seed=1))
    assert (result.student.num_classes, result.student.classes) == (3, ("columns", "dots", "rows"))
    counts = {row["class"]: row["n"] for row in result.evaluation.per_class}
    assert counts == {"columns": 10, "dots": 0, "rows": 10}


@pytest.mark.filterwarnings("ignore:.* are among those to learn from")
def test_a_teacher_that_cannot_be_put_in_order_is_refused(tmp_path: Path) -> None:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    options = {"num_classes": 2, "input_size": 8, "channels": 1, "mean": [0.5], "std": [0.25], "classes": CLASSES}
    student = named("columns", "rows")
    with pytest.raises(UserError, match="numbers its classes as rows, columns, and they are needed as columns, rows"):
        teach(lb.wrap(layers, **options), student, stripes(40), tmp_path / "run", test=stripes(20))
    teach(lb.wrap(layers, embedding="1", **options), student, stripes(40), tmp_path / "run", test=stripes(20))
    resnet = lb.create("resnet8", num_classes=2, channels=1, classes=CLASSES).eval()
    moved = reordered(resnet, (1, 0), ("columns", "rows"), stripes(1).tensor())
    assert torch.allclose(moved(stripes(3).tensor()).logits, resnet(stripes(3).tensor()).logits.flip(1), atol=1e-6)
    mixed = nn.Sequential(*layers, nn.Linear(2, 2))
    with pytest.raises(UserError, match="numbers its classes as rows, columns"):
        reordered(lb.wrap(mixed, embedding="1", **options), (1, 0), ("columns", "rows"), stripes(1).tensor())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": ("ants", "bees")},
            "must have the same classes, got 2 of .* 'ants', 'bees' are none of the 2",
        ),
        ({"images": ("Rows", "columns")}, "'Rows' is written otherwise than 'rows' of the teacher convnet_d3"),
        (
            {"images": ("rows", "columns", "dots")},
            "got 2 of .* and 3 of the images .*: 'dots' is none of the 2",
        ),
        (
            {"test": ("ants", "bees")},
            "`data.test` must have the classes of the teacher .*'ants', 'bees'",
        ),
        (
            {"test": ("rows", "columns", "dots")},
            "`data.test` .*tells 2 classes apart, but the images .* have 3",
        ),
        ({"validation": ("ants", "bees")}, "`data.validation` must have the classes of the teacher convnet_d3"),
        (
            {"teacher": None, "test": ("ants", "bees")},
            "`data.test` must have the classes of `data.train`",
        ),
        (
            {"teacher": None, "student": named("ants", "bees")},
            "'rows', 'columns' are none of the 2 of the student",
        ),
        ({"student": named("ants", "bees")}, "'rows', 'columns' are none of the 2 of the student"),
        ({"student": named("rows", "columns", "dots")}, "the student convnet_d3 tells 3 classes apart, but the test"),
    ],
)
def test_other_classes_are_refused_before_training(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    sets = {name: stripes(20, seed=seed) for seed, name in enumerate(("images", "test", "validation"))}
    for name in sets.keys() & changes.keys():
        sets[name] = sets[name].with_labels(sets[name].labels, changes[name])
    others = {"teacher": network(1), "student": network(), **{k: v for k, v in changes.items() if k not in sets}}
    with pytest.raises(UserError, match=message):
        teach(out=tmp_path / "run", **others, **sets)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def numbered(count: int, seed: int = 0) -> lb.ImageSet:
    images = stripes(count, seed)
    return images.with_labels(images.labels, ("0", "1"))


def unnamed(seed: int = 0) -> lb.Classifier:
    classifier = network(seed)
    classifier.classes = ()
    return classifier


def test_names_on_one_side_alone_are_said(tmp_path: Path) -> None:
    images, test = stripes(20), stripes(20, seed=1)
    with pytest.warns(UserWarning, match=r"the teacher convnet_d3 has no names .* 'rows' for 0") as warned:
        result = teach(unnamed(), "convnet_d3", images, tmp_path / "a", test=test)
    assert sum("no names" in str(warning.message) for warning in warned) == 1
    assert result.student.classes == CLASSES
    with pytest.warns(UserWarning, match=r"the images \(images\) have no names .* '0' for 'rows', '1' for 'columns'"):
        result = teach(network(), unnamed(), numbered(20), tmp_path / "b", test=test)
    assert result.student.classes == CLASSES
    with pytest.warns(UserWarning, match=r"the images \(images\) have no names .* '0' for 'rows'"):
        teach(network(), "convnet_d3", images, tmp_path / "c", test=numbered(20, 1))
    with pytest.warns(UserWarning, match=r"the training images \(images\) have no names .* 'rows' for '0'"):
        teach(None, "convnet_d3", numbered(20), tmp_path / "d", test=test)
    assert teach(unnamed(), unnamed(), numbered(20), tmp_path / "e", test=numbered(20, 1)).student.classes == ("0", "1")


def test_a_teacher_without_names_beside_a_student_in_another_order(teacher: lb.Classifier, tmp_path: Path) -> None:
    nameless = copy.deepcopy(teacher)
    nameless.classes = ()
    with pytest.warns(UserWarning, match="the teacher convnet_d3 has no names"):
        result = teach(
            nameless, named("columns", "rows", seed=3), stripes(40), tmp_path / "run", test=stripes(20, seed=1)
        )
    assert_right(result)


def test_names_in_another_unicode_form_are_the_same(teacher: lb.Classifier, tmp_path: Path) -> None:
    composed, images = copy.deepcopy(teacher), stripes(40).with_labels(1 - stripes(40).labels, ("thé", "cafe\u0301"))
    composed.classes = ("caf\u00e9", "thé")
    student = named("the\u0301", "caf\u00e9")
    test = stripes(20, seed=1).with_labels(stripes(20, seed=1).labels, ("cafe\u0301", "the\u0301"))
    assert_right(teach(composed, student, images, tmp_path / "run", test=test))
    assert lb.evaluate(composed, test).top1 > 0.7


def test_a_student_of_ones_own_keeps_the_names_in_its_folder(tmp_path: Path) -> None:
    def make(seed: int) -> lb.Classifier:
        layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        return lb.wrap(layers, num_classes=2, input_size=8, channels=1, mean=[0.5], std=[0.25])

    first = teach(None, make, turned(20), tmp_path / "run")
    again = teach(None, make, turned(20), tmp_path / "run", resume=True)
    assert first.student.classes == again.student.classes == ("columns", "rows")


def test_soft_labels_move_with_the_names_of_their_classes(tmp_path: Path) -> None:
    images = turned(40)
    soft = nn.functional.one_hot(images.labels, 2).float() * 0.8 + 0.1  # columns first
    for name, labelled in (("labelled", True), ("unlabelled", False)):
        pool = images if labelled else images.with_labels(None, images.classes)
        result = teach(
            None, network(3), lb.TransferSet(pool, soft), tmp_path / name, test=stripes(20, seed=1), objective="kd"
        )
        assert_right(result)
        assert result.student.classes == CLASSES
    three = named("rows", "columns", "dots")
    with pytest.raises(UserError, match=r"the soft labels of the images .* are of 2 classes, and the student knows 3"):
        teach(None, three, lb.TransferSet(images, soft), tmp_path / "three", objective="kd")


def test_comparison_of_images_in_another_order(
    teacher: lb.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    arms = {"entropy": {}, "own": {"student": "lenet5"}, "el2n": {"select": "el2n"}}
    content = comparison(seeds=[0], arms=arms, budgets=[8])
    content["data"]["validation"] = 8
    comparisons = []
    for name, train, test in (("a", stripes, stripes), ("b", turned, stripes), ("c", turned, turned)):
        sets = {"train": train(40), "test": test(20, seed=1)}
        comparisons.append(lb.compare(content, out=tmp_path / name, teacher=teacher, student=network, **sets))
        assert all(row["state"] == "finished" for row in comparisons[-1]["runs"]), comparisons[-1]["runs"]
        assert comparisons[-1]["teacher"]["evaluation"]["top1"] > 0.7
    means = [[row["mean"] for row in results["table"]] for results in comparisons]
    assert means[0] == means[1] == means[2]


def test_probe_of_train_and_test_in_another_order() -> None:
    plain = lb.probe(network(), stripes(40), stripes(20, seed=1))
    assert lb.probe(network(), stripes(40), turned(20, seed=1)).top1 == plain.top1
    other = stripes(20, seed=1)
    with pytest.raises(UserError, match=r"`test` must have the classes of `train`, got 2 \(ants, bees\)"):
        lb.probe(network(), stripes(40), other.with_labels(other.labels, ("ants", "bees")))


def test_recipe_may_name_the_classes_of_a_network(teacher: lb.Classifier, tmp_path: Path) -> None:
    lb.save_model(teacher, tmp_path / "net")
    images = {"train": stripes(20), "test": stripes(20, seed=1)}
    objects = PythonObjects(
        **{name: image_set.with_labels(image_set.labels, ("Reihen", "Spalten")) for name, image_set in images.items()}
    )
    content = {
        "name": "x",
        "data": {"train": "digits", "test": "digits"},
        "teacher": {"weights": str(tmp_path / "net"), "classes": ["Reihen", "Spalten"]},
        "student": {"model": "convnet_d3", "classes": ["Spalten", "Reihen"]},
        "training": QUICK,
    }
    result = run(read_recipe(content), tmp_path / "run", objects=objects)
    assert_right(result)
    assert result.student.classes == ("Spalten", "Reihen")
    with pytest.raises(UserError, match=r"`classes` must hold 2 names \(`num_classes`\), got 1"):
        run(read_recipe(content, ["teacher.classes=[one]"]), tmp_path / "no", objects=objects)
    with pytest.raises(UserError, match=r"teacher\.classes\.0: must be text, got True, which is how YAML reads yes"):
        read_recipe(content, ["teacher.classes=[yes, two]"])
