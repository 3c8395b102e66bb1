"""Unlabelled images, a teacher, and labelled images to judge on: teaching on other people's images."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison, one_run, training
from tests.training.tiny import CLASSES, network, stripes, turned

import limbeck as lb
from limbeck.data import ImageSet
from limbeck.errors import UserError
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import RunResult
from limbeck.training import Silent

QUICK: dict[str, Any] = {"steps": 8, "batch_size": 8, "views": "none"}


def bare(count: int = 30, seed: int = 0) -> ImageSet:
    return stripes(count, seed).with_labels(None, ())


def go(folder: Path, content: dict[str, Any], *overrides: str, **given: Any) -> RunResult:
    objects = {"train": bare(), "test": stripes(20, seed=1), "teacher": network(1), **given}
    return run(read_recipe(content, ["data.validation=null", *overrides]), folder, objects=PythonObjects(**objects))


@pytest.mark.parametrize("student", ["convnet_d3", network(3), network])
def test_distilling(tmp_path: Path, student: Any) -> None:
    result = lb.distill(network(1), student, bare(), test=turned(20), out=tmp_path / "run", **QUICK)
    assert result.evaluation is not None
    assert (result.cost["images"], result.chosen, result.student.classes) == (30, None, CLASSES)
    named = bare().with_labels(None, ("other", "names", "altogether"))  # names that no label uses
    other = lb.distill(network(1), student, named, test=turned(20), out=tmp_path / "named", **QUICK)
    assert other.evaluation == result.evaluation


def test_teacher_without_names(tmp_path: Path) -> None:
    teacher = network(1)
    teacher.classes = ()
    with pytest.warns(UserWarning, match=r"the teacher convnet_d3 has no names for the 2 classes, .* 'rows' for '0'"):
        result = lb.distill(teacher, "convnet_d3", bare(), test=stripes(20), out=tmp_path / "run", **QUICK)
    assert result.student.classes == CLASSES
    assert lb.distill(teacher, "convnet_d3", bare(), out=tmp_path / "two", **QUICK).student.classes == ("0", "1")


def test_validation_images_of_their_own(tmp_path: Path) -> None:
    result = lb.distill(
        network(1), network(3), bare(), test=stripes(20), validation=turned(12, 5), out=tmp_path / "run", **QUICK
    )
    assert (result.cost["images"], result.chosen is None) == (30, False)
    with pytest.raises(UserError, match=r"`data\.validation\.name` \('python:images#"):
        lb.distill(
            network(1),
            network(3),
            bare(),
            test=stripes(20),
            validation=turned(13, 5),
            out=tmp_path / "run",
            resume=True,
            **QUICK,
        )
    with pytest.raises(UserError, match=r"validation images must be labelled where .* set `data.validation: 0`"):
        lb.distill(None, network(3), stripes(30), validation=bare(5), out=tmp_path / "no", **QUICK)


def test_recipe_and_its_choice(tmp_path: Path) -> None:
    messages: list[str] = []

    class Listening(Silent):
        def say(self, message: str) -> None:
            messages.append(message)

    recipe = read_recipe(one_run(select={"criterion": "margin/tn", "budget": 12}), ["data.validation=null"])
    objects = PythonObjects(train=bare(), test=stripes(20, seed=1), teacher=network(1))
    result = run(recipe, tmp_path / "run", objects=objects, progress=Listening())
    assert result.cost["images"] == 12
    assert "no images are held out of images for validation: they have no labels" in messages


@pytest.mark.parametrize(
    ("content", "overrides", "given", "message"),
    [
        (
            training(),
            [],
            {"teacher": None},
            "'images' has neither labels nor soft labels, and there is no teacher with",
        ),
        (one_run(), [], {"teacher": None}, "the teacher is to be trained from labels, and 'images' has none; give its"),
        (one_run(), ["teacher=cifar10-resnet20"], {}, "an allocation per class needs labels, and 'images' has none"),
        (one_run(), ["teacher=cifar10-resnet20", "select.criterion=el2n/tn"], {}, "score 'el2n' compares with labels"),
        (one_run(), ["teacher=cifar10-resnet20", "objective=dkd", "select=null"], {}, "the objective dkd needs labels"),
        (
            training(),
            ["data.validation.name=digits"],
            {"train": stripes(30), "teacher": None, "validation": bare()},
            "validation images must be label",
        ),
        (
            one_run(),
            ["teacher=cifar10-resnet20", "select=null"],
            {"test": bare()},
            "`data.test` must be labelled to judge",
        ),
    ],
)
def test_what_needs_labels_is_refused(
    content: dict[str, Any], overrides: list[str], given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        go(tmp_path / "run", content, *overrides, **given)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def compared(folder: Path, arms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    content = comparison(seeds=[0], arms=arms, **changes)
    del content["data"]["validation"]
    return lb.compare(content, out=folder, teacher=network(1), train=bare(), test=stripes(20, seed=1), student=network)


def test_comparison_leaves_out_the_controls_that_need_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    results = compared(tmp_path / "run", {"whole": "entropy-whole", "margin": "margin/tn"}, budgets=[8])
    assert [(row["arm"], row["images"]) for row in results["table"]] == [
        ("whole", 8),
        ("margin", 8),
        ("random", 8),
        ("full", 30),
    ]
    assert all(row["state"] == "finished" for row in results["runs"])
    assert {row["against"] for row in results["differences"]} == {"random", "full"}
    message = "The training images have no labels, so the controls that need them are left out: balanced random images"
    assert any(note.startswith(message) for note in results["notes"])
    assert json.loads((tmp_path / "run" / "networks.json").read_text())["labelled"] is False
    again = lb.compare(
        tmp_path / "run" / "recipe.yaml",
        out=tmp_path / "run",
        resume=True,
        teacher=network(1),
        train=bare(),
        test=stripes(20, seed=1),
        student=network,
    )
    assert again["table"] == results["table"]


def test_comparison_of_objectives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    results = compared(tmp_path / "run", {"kd": {"objective": "kd"}, "usual": {}}, budgets=None)
    assert [(row["arm"], row["control"], row["images"]) for row in results["table"]] == [
        ("kd", False, 30),
        ("usual", False, 30),
    ]
    assert results["table"][0]["mean"] == results["table"][1]["mean"]


def test_comparison_says_all_at_once_which_arms_need_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)arm 'a': the objective cross_entropy needs labels.*allocation per class"):
        compared(
            tmp_path / "run", {"a": {"select": "random", "objective": {"ce": 1, "kd": 1}}, "b": "entropy"}, budgets=[8]
        )


def test_made_into_a_transfer_set_first(tmp_path: Path) -> None:
    chosen = lb.select(bare(), criterion="margin/tn", budget=10, teacher=network(1)).transfer_set(bare())
    chosen.save(tmp_path / "set")
    from_memory = lb.distill(network(1), network(3), chosen, test=stripes(20), out=tmp_path / "one", **QUICK)
    from_folder = lb.distill(network(1), network(3), tmp_path / "set", test=stripes(20), out=tmp_path / "two", **QUICK)
    assert from_memory.cost["images"] == from_folder.cost["images"] == 10
    assert from_memory.evaluation == from_folder.evaluation


def test_soft_labels_in_place_of_labels_and_teacher(tmp_path: Path) -> None:
    with torch.inference_mode():
        logits = network(1)(bare().tensor()).logits.clone()
    for name, options in (("probabilities", {}), ("logits", {"soft_label_kind": "logits"})):
        soft = logits if options else logits.softmax(1)
        transfer_set = lb.TransferSet(bare().with_labels(None, CLASSES), soft, **options)
        transfer_set.save(tmp_path / name)
        content = training(student={"model": "convnet_d3"}, data={"train": str(tmp_path / name)})
        result = run(read_recipe(content), tmp_path / f"run-{name}", objects=PythonObjects(test=stripes(20)))
        assert (result.cost["images"], result.student.classes) == (30, CLASSES)
