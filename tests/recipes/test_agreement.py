"""Validation images without labels: students are chosen by agreement with the teacher, and it is called so."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison, one_run
from tests.training.tiny import network, stripes

import limbeck as lb
from limbeck.data import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation import predict
from limbeck.evaluation.fidelity import agreement, divergence
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import read_run
from limbeck.report import write_run_report
from limbeck.training.run_folder import RunFolder
from limbeck.training.validation import unpacked

QUICK: dict[str, Any] = {"steps": 8, "batch_size": 8, "views": "none", "validations": 4}


def bare(count: int = 30, seed: int = 0) -> ImageSet:
    return stripes(count, seed).with_labels(None, ())


def strange() -> ImageSet:
    """Labelled images of classes that are none of the target's."""
    return stripes(18, seed=4).with_labels(torch.arange(18) % 3, ("oak", "ash", "elm"))


def validations(folder: Path) -> list[dict[str, Any]]:
    return [row for row in RunFolder(folder).metrics() if row["kind"] == "validation"]


def test_watched_and_chosen_by_agreement(tmp_path: Path) -> None:
    teacher, validation = network(1), bare(20, seed=3)
    result = lb.distill(teacher, network(3), bare(), validation=validation, out=tmp_path / "run", **QUICK)
    rows = validations(result.folder)
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert all(row.keys() == {"kind", "step", "epoch", "agreement", "divergence", "agrees"} for row in rows)
    theirs, ours = predict(teacher, validation), predict(result.student, validation)
    assert rows[-1]["agreement"] == agreement(ours, theirs)
    assert rows[-1]["divergence"] == pytest.approx(divergence(ours, theirs), rel=1e-4)
    assert (unpacked(rows[-1]["agrees"], 20) == (ours.argmax(1) == theirs.argmax(1)).numpy()).all()
    best = max(row["agreement"] for row in rows)
    step = next(row["step"] for row in rows if row["agreement"] == best)
    assert result.chosen is not None
    assert agreement(predict(result.chosen, validation), theirs) == best
    assert result.validation == {
        "measure": "agreement",
        "images": 20,
        "last": rows[-1]["agreement"],
        "best": best,
        "best_step": step,
        "divergence": rows[-1]["divergence"],
    }
    assert read_run(result.folder).validation == result.validation


@pytest.mark.parametrize("held_out", [6, 0.2])
def test_held_out_of_unlabelled_images(tmp_path: Path, held_out: float) -> None:
    result = lb.distill(network(1), network(3), bare(), validation=held_out, out=tmp_path / "run", **QUICK)
    assert result.cost["images"] == 24
    assert result.validation is not None
    assert (result.validation["measure"], result.validation["images"]) == ("agreement", 6)


def test_paused_and_gone_on_with(tmp_path: Path) -> None:
    from fractions import Fraction

    from limbeck.interruption import Paused

    content = one_run(teacher={"weights": "cifar10-resnet20"}, data={"train": "digits", "validation": 6})
    recipe = read_recipe(content, ["training.steps=8", "select=null"])
    objects = PythonObjects(train=bare(), test=stripes(20), teacher=network(1))
    whole = run(recipe, tmp_path / "whole", objects=objects)
    with pytest.raises(Paused):
        run(recipe, tmp_path / "run", objects=objects, until=Fraction(1, 2))
    resumed = run(recipe, tmp_path / "run", objects=objects, resume=True)
    assert whole.validation == resumed.validation
    assert validations(tmp_path / "whole") == validations(tmp_path / "run")


def test_labels_are_left_aside(tmp_path: Path) -> None:
    TransferSet(strange()).save(tmp_path / "strange")
    source = {"name": str(tmp_path / "strange"), "split": "train"}
    content = one_run(teacher={"weights": "cifar10-resnet20"}, data={"train": "digits", "validation": source})
    objects = PythonObjects(train=stripes(30), test=stripes(20, seed=1), teacher=network(1))
    with pytest.raises(
        UserError, match=r"(?s)`data.validation` must have the classes.*`data.validation.labels: false`"
    ):
        run(read_recipe(content, ["select=null"]), tmp_path / "no", objects=objects)
    recipe = read_recipe(content, ["select=null", "data.validation.labels=false"])
    result = run(recipe, tmp_path / "run", objects=objects)
    assert result.validation is not None
    assert (result.validation["measure"], result.validation["images"]) == ("agreement", 18)
    assert lb.load(tmp_path / "strange", labels=False).labels is None
    assert lb.load(tmp_path / "strange", labels=False).classes == ()
    assert len(lb.load(tmp_path / "strange", classes=["elm"], labels=False)) == 6


def test_a_transfer_set_without_its_labels(tmp_path: Path) -> None:
    TransferSet(stripes(30)).save(tmp_path / "set")
    source = {"name": str(tmp_path / "set"), "labels": False}
    content = one_run(teacher={"weights": "cifar10-resnet20"}, data={"train": source}, select=None)
    objects = PythonObjects(test=stripes(20, seed=1), teacher=network(1))
    with pytest.raises(UserError, match="the objective cross_entropy needs labels"):
        run(read_recipe(content, ["objective=cross_entropy"]), tmp_path / "no", objects=objects)
    assert run(read_recipe(content, ["objective=null"]), tmp_path / "run", objects=objects).cost["images"] == 30


@pytest.mark.parametrize("teacher", [None, "soft labels"])
def test_neither_label_nor_teacher(tmp_path: Path, teacher: str | None) -> None:
    images: Any = stripes(30) if teacher is None else TransferSet(stripes(30), torch.full((30, 2), 0.5))
    message = "validation images must be labelled where there is no teacher to agree with, got none of 'images'"
    with pytest.raises(UserError, match=message):
        lb.distill(None, network(3), images, validation=bare(10), out=tmp_path / "run", **QUICK)
    assert not validations(tmp_path / "run")


def test_images_of_another_size(tmp_path: Path) -> None:
    large = ImageSet(bare(10).tensor().repeat(1, 1, 2, 2))
    message = r"must be of the shape \[C, H, W\] of those taught on, \[1, 8, 8\], got \[1, 16, 16\] of 'images'; set"
    with pytest.raises(UserError, match=message):
        lb.distill(network(1), network(3), bare(), validation=large, out=tmp_path / "run", **QUICK)


def test_a_teacher_that_is_trained_first_is_not_watched_by_itself(tmp_path: Path) -> None:
    content = one_run(data={"train": "digits", "test": "digits", "validation": {"name": "digits"}})
    objects = PythonObjects(train=stripes(30), test=stripes(20, seed=1), validation=bare(10, seed=3))
    result = run(read_recipe(content, ["select=null"]), tmp_path / "run", objects=objects)
    assert validations(tmp_path / "run" / "teacher") == []
    assert result.validation is not None
    assert result.validation["measure"] == "agreement"


def test_report_and_terminal_call_it_agreement(tmp_path: Path) -> None:
    result = lb.distill(network(1), network(3), bare(), validation=bare(20, seed=3), out=tmp_path / "run", **QUICK)
    page = write_run_report(result.folder).read_text()
    assert "The student agrees with its teacher on" in page
    assert "On 20 validation images whose labels are not used" in page
    assert "Validation agreement with the teacher" in page
    assert "Validation top-1" not in page
    from limbeck.cli.display import console
    from limbeck.cli.results import show_run

    with console.capture() as shown:
        show_run(result)
    text = " ".join(shown.get().split())
    assert "no test images" in text
    assert f"agrees with the teacher on {100 * result.validation['last']:.2f} % of 20 validation images" in text  # pyright: ignore
    content = json.loads((result.folder / "evaluation.json").read_text())
    assert content["last"] is None
    assert content["validation"]["measure"] == "agreement"


def test_a_race_is_decided_by_agreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And controls without the teacher, of which there are some as the training images have labels, are not watched."""
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    arms = {"kd": {"objective": "kd"}, "still": {"objective": "kd", "training": {"learning_rate": 1e-9}}}
    content = comparison(seeds=[0, 1], arms=arms, budgets=None, racing={"confidence": 0.6, "rungs": [0.5]})
    content["training"] = {**content["training"], "steps": 16, "validations": 4}
    content["data"] = {"train": "digits", "test": "digits", "validation": {"name": "digits"}}
    recipe = read_recipe(content)
    objects = PythonObjects(
        train=stripes(30),
        test=stripes(20, seed=1),
        teacher=network(1),
        validation=bare(20, seed=3),
        make_student=network,
    )
    from limbeck.recipes.compare import compare

    results = compare(recipe, tmp_path / "run", objects=objects)
    assert all(row["state"] in ("finished", "dropped") for row in results["runs"])
    assert [row["measure"] for row in results["racing"]["standings"]] == ["agreement", "agreement"]
    assert results["validation_measure"] == "agreement"
    assert any("by agreement with the teacher" in note for note in results["notes"])
    alone = next(row for row in results["runs"] if row["arm"] == "full-no-teacher")
    assert validations(tmp_path / "run" / alone["folder"]) == []
