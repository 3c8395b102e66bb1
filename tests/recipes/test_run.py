"""One run: what it leaves behind, what it refuses, how it goes on."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tests.recipes.tiny_recipes import one_run, training
from tests.training.tiny import network, same, stripes, weights

from limbeck.data import ImageSet, TransferSet
from limbeck.errors import UserError
from limbeck.models import load, save
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import RunResult, read_run
from limbeck.recipes.yaml_files import load_mapping
from limbeck.training import RunFolder


def go(folder: Path, content: dict[str, Any], *overrides: str, resume: bool = False) -> RunResult:
    return run(read_recipe(content, overrides), folder, resume=resume)


def test_run_folder_holds_everything_about_it(tmp_path: Path) -> None:
    result = go(tmp_path / "run", one_run())
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files >= {"recipe.yaml", "environment.json", "status.json", "metrics.jsonl", "checkpoint.safetensors"}
    assert files >= {"student", "student-chosen", "teacher", "evaluation.json", "cost.json"}
    assert files >= {"making", "making.json", "evidence"}
    assert result.evaluation is not None
    assert result.evaluation.n == 107
    assert (result.cost["images"], result.cost["teacher_passes"], result.cost["student_steps"]) == (12, 192, 12)
    assert result.cost["real_images"] == 400, "entropy looks at all but the validation images"
    again = read_run(tmp_path / "run")
    assert same(weights(again.student), weights(result.student))
    assert (again.evaluation, again.cost) == (result.evaluation, result.cost)
    assert same(weights(load(tmp_path / "run" / "student")), weights(result.student))


def test_text_in_recipes_that_looks_like_a_number_is_read_back(tmp_path: Path) -> None:
    content = {"name": "123456e78901", "rate": 1e-5}
    with RunFolder.open(tmp_path / "run", content):
        pass
    assert load_mapping(tmp_path / "run" / "recipe.yaml") == content


def test_loss_curve_is_pinned(tmp_path: Path) -> None:
    """Any change to views, order, initialisation, losses, optimiser or schedule shows here."""
    go(tmp_path, training(), "training.precision=fp32", "student.input_size=32")
    entries = [entry for entry in RunFolder(tmp_path).metrics() if entry["kind"] == "train"]
    assert [entry["step"] for entry in entries] == list(range(1, 13))
    pinned = {1: 1.28233, 4: 1.01104, 12: 0.64639}
    assert {step: entries[step - 1]["loss"] for step in pinned} == pytest.approx(pinned, rel=2e-3)
    assert entries[0]["learning_rate"] == pytest.approx(0.05)
    assert entries[-1]["learning_rate"] == pytest.approx(0.05 * (1 + math.cos(math.pi * 11 / 12)) / 2)


def test_network_built_for_one_size_takes_that_of_the_images(tmp_path: Path) -> None:
    assert go(tmp_path / "own", training()).student.input_size == (8, 8)
    assert go(tmp_path / "given", training(), "student.input_size=16").student.input_size == (16, 16)
    assert go(tmp_path / "deep", training(), "student.model=convnet_d6").student.input_size == (8, 8)
    assert go(tmp_path / "any", training(), "student={model: resnet8}").student.input_size is None
    assert load(tmp_path / "own" / "student").input_size == (8, 8)


def test_finished_run_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = go(tmp_path / "run", training())
    with pytest.raises(UserError, match=r"holds a run already \(finished\); .* add --resume .* choose another --out"):
        go(tmp_path / "run", training())
    monkeypatch.setattr("limbeck.recipes.run.fit", None)
    assert same(weights(go(tmp_path / "run", training(), resume=True).student), weights(first.student))
    with pytest.raises(UserError, match=r"cannot go on beyond 12 steps: .* `training.schedule: cosine` hangs on"):
        go(tmp_path / "run", training(), "training.steps=13", resume=True)


def test_resume_says_which_defaults_were_others(tmp_path: Path) -> None:
    go(tmp_path / "run", training(), "data.validation=0.25", "training.channels_last=true", "training.views=none")
    with pytest.raises(UserError, match=r"defaults of limbeck have changed since; what was then is (.*)\.$") as refused:
        go(tmp_path / "run", training(), "data.validation=null", "training.views=none", resume=True)
    overrides = str(refused.value).removesuffix(".").split(" then is ")[1].split(" ")
    assert overrides == ["data.validation=0.25", "training.channels_last=true"]
    go(tmp_path / "run", training(), *overrides, "training.views=none", resume=True)


def test_recipe_of_an_earlier_version_resumes(tmp_path: Path) -> None:
    go(tmp_path / "run", training())
    path = tmp_path / "run" / "recipe.yaml"
    lines = [line for line in path.read_text().splitlines() if "compile" not in line and "latency" not in line]
    path.write_text("\n".join(lines))
    go(tmp_path / "run", {**training(), "latency": True}, resume=True)
    path.write_text("{")
    with pytest.raises(UserError, match=r"recipe\.yaml' is damaged"):
        go(tmp_path / "run", training(), resume=True)


def test_run_that_failed_before_it_began_leaves_its_folder_to_the_next(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="`budget` must be at most the 400 images of 'digits/train', got 401 images"):
        go(tmp_path / "run", one_run(), "select.budget=401")
    assert RunFolder(tmp_path / "run").state == "failed"
    assert not (tmp_path / "run" / "teacher").exists()  # known before the teacher is trained
    assert go(tmp_path / "run", one_run()).evaluation is not None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["select.budget=2"], "`budget` must give each of the 3 classes .* an image, got 2 images"),
        (["select.budget=200/class"], "200/class is more than class '[012]' .* has"),
        (["data.train=digits", "select=null"], "`data.test` must have the classes of `data.train`, got 3 .* and 10"),
        (["student.num_classes=4"], "the student convnet_d3 tells 4 classes apart, but the test images have 3"),
        (["teacher.num_classes=4"], "the student convnet_d3 tells 4 classes apart, but the images .* have 3"),
        (["data.validation=430"], "430"),
        (["data.train.classes=[0, 11]"], "`classes` .*11"),
        (["data.train.split=trian"], "`split` of 'digits' must be 'train' or 'test', got 'trian'"),
        (["teacher=nowhere/at-all"], "no classifier at 'nowhere/at-all'"),
    ],
)
def test_what_does_not_fit_is_said_before_training(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=message):
        go(tmp_path / "run", one_run(), *overrides)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_teacher_that_does_not_fit(tmp_path: Path) -> None:
    save(network(classes=4), tmp_path / "four")
    with pytest.raises(UserError, match=r"teacher and student must have the same classes, got 4 .* and 3"):
        go(tmp_path / "run", one_run(), f"teacher={tmp_path}/four")
    with pytest.raises(UserError, match="holds a convnet_d3, so `model` must be that"):
        go(tmp_path / "run", one_run(), f"teacher={{weights: {tmp_path}/four, model: lenet5}}")
    with pytest.raises(UserError, match=r"do not fit convnet_d3; 19 of another shape: layers\.0"):
        go(tmp_path / "run", one_run(), f"teacher={{weights: {tmp_path}/four, options: {{width: 8}}}}")


def test_nan_in_the_teachers_weights(tmp_path: Path) -> None:
    teacher = network(classes=3)
    with torch.no_grad():
        next(teacher.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="the teacher's weights hold NaN or infinity in network"):
        run(read_recipe(one_run()), tmp_path / "run", objects=PythonObjects(teacher=teacher))


def test_unlabelled_test_images(tmp_path: Path) -> None:
    digits = stripes(20)
    unlabelled = ImageSet(digits.tensor(), classes=digits.classes)
    with pytest.raises(UserError, match=r"`data\.test` must be labelled .*; choose others, or another `split`"):
        run(read_recipe(training()), tmp_path / "run", objects=PythonObjects(train=digits, test=unlabelled))


def test_teacher_may_be_a_run_folder(tmp_path: Path, finished: Path) -> None:
    teacher = finished / "teacher"
    result = go(tmp_path / "run", one_run(), f"teacher={teacher}")
    assert result.evaluation is not None
    assert result.evaluation.fidelity is not None
    with pytest.raises(UserError, match="is a comparison of many networks; name one of its runs"):
        go(tmp_path / "other", one_run(), f"teacher={finished}")
    with pytest.raises(UserError, match="has no student yet; finish it with --resume"):
        go(tmp_path / "third", one_run(), f"teacher={tmp_path}/other")


def test_transfer_set_by_its_folder_keeps_its_soft_labels(tmp_path: Path) -> None:
    images = stripes(40)
    folder = tmp_path / "set"
    TransferSet(images, soft_labels=torch.full((40, 2), 0.5)).save(folder)
    changes = {"student": {"model": "convnet_d3", "options": {"width": 4}}, "objective": {"kd": 1}}
    content = training(**changes, data={"train": str(folder), "validation": 10})
    cost = go(tmp_path / "run", content).cost
    assert (cost["images"], cost["real_images"]) == (30, None)
    with pytest.raises(UserError, match="whose soft labels are of its images as they are; drop `size`"):
        go(tmp_path / "resized", content, "data.train.size=16")
    TransferSet(images).save(tmp_path / "bare")
    with pytest.raises(UserError, match="the objective kd needs a teacher, and there is none"):
        go(tmp_path / "none", content, f"data.train={tmp_path / 'bare'}")


@pytest.mark.filterwarnings("ignore:.* are among those to learn from")
def test_recipe_on_a_transfer_set_teaches_it_whole_by_default(tmp_path: Path) -> None:
    TransferSet(stripes(40)).save(tmp_path / "set")
    content = training(student={"model": "convnet_d3"}, data={"train": str(tmp_path / "set")})
    assert go(tmp_path / "whole", content).cost["images"] == 40
    own = go(tmp_path / "own", content, f"data.validation={{name: {tmp_path / 'set'}, split: train}}")
    assert (own.cost["images"], own.chosen is None) == (40, False)
    assert go(tmp_path / "asked", content, "data.validation=10").cost["images"] == 30
    plain = go(tmp_path / "plain", training(data={"train": {"name": "digits", "classes": [0, 1, 2]}}))
    assert (plain.cost["images"], plain.cost["real_images"]) == (387, 387)  # of 430


def test_budget_is_of_what_is_left_without_the_validation_images(tmp_path: Path) -> None:
    for budget, images in ((30, 30), ("10%", 40), ("7/class", 21), (1.0, 400)):
        result = go(
            tmp_path / f"{images}", one_run(), f"select.budget={budget}", "data.validation=30", "training.steps=1"
        )
        assert result.cost["images"] == images


@pytest.mark.filterwarnings("ignore:.* are among those to learn from")
def test_usual_objective_on_soft_labels_alone(tmp_path: Path) -> None:
    images = stripes(40)
    assert images.labels is not None
    turned = torch.nn.functional.one_hot(1 - images.labels, 2).float()
    TransferSet(images.with_labels(None, images.classes), turned).save(tmp_path / "set")
    content = training(student={"model": "convnet_d3"}, data={"train": str(tmp_path / "set")})
    result = run(read_recipe(content, ["training.steps=60"]), tmp_path / "run", objects=PythonObjects(test=images))
    assert result.evaluation is not None
    assert result.evaluation.top1 < 0.3


def test_run_folder_in_use(tmp_path: Path) -> None:
    recipe = read_recipe(training()).model_dump(mode="json", exclude={"compare"})
    with (
        RunFolder.open(tmp_path / "run", recipe),
        pytest.raises(UserError, match="is in use by another process; wait for it, or choose another --out"),
    ):
        go(tmp_path / "run", training(), resume=True)


def test_places_that_are_no_run_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        with pytest.raises(UserError, match=r"cannot write .*file' is in its way"):
            go(out, training())
    with pytest.raises(UserError, match=r"holds files that are no run \(file\); nothing is ever overwritten"):
        go(tmp_path, training())
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "recipe.yaml").write_text("mine")
    with pytest.raises(UserError, match=r"holds files that are no run \(recipe.yaml\)"):
        go(folder, training())
    assert (file.read_text(), (folder / "recipe.yaml").read_text()) == ("mine", "mine")


def test_a_run_folder_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # as root, who runs tests in containers, never is

    monkeypatch.setattr("filelock.FileLock.acquire", forbidden)
    with pytest.raises(UserError, match=r"cannot write .*run': Permission denied. Choose a folder you may write to"):
        go(tmp_path / "run", training())


def test_unexpected_error_leaves_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("limbeck.recipes.run.fit", broken)
    with pytest.raises(RuntimeError):
        go(tmp_path / "run", training())
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed"
    assert re.fullmatch(r"RuntimeError: a fault of ours \(test_run.py:\d+\)", status["error"])
    assert "in broken" in status["traceback"]


def test_reading_a_run_that_has_not_finished(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no finished run \(state: missing\)"):
        read_run(tmp_path)


@pytest.mark.parametrize("resume", [False, True])
def test_simkd_judges_and_saves_what_it_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool) -> None:
    network = {"model": "resnet8"}
    content = one_run(student=network, objective={"simkd": 1})
    content["teacher"] = {**content["teacher"], **network, "options": {}}
    if resume:
        monkeypatch.setattr("limbeck.recipes.run.evaluate_student", stop)
        with pytest.raises(RuntimeError, match="power cut"):
            go(tmp_path, content)
        monkeypatch.undo()
    result = go(tmp_path, content, resume=resume)
    saved, chosen = load(tmp_path / "student"), load(tmp_path / "student-chosen")
    assert same(weights(saved), weights(result.student))
    assert {name for name, _ in saved.network.named_children()} == {"body", "projector", "head"}
    teacher = load(tmp_path / "teacher" / "student")
    assert teacher.taps.embedding is not None
    head = teacher.network.get_submodule(teacher.taps.embedding)
    assert same(saved.network.get_submodule("head").state_dict(), head.state_dict())
    assert result.chosen is not None
    assert same(weights(chosen), weights(result.chosen))


def stop(*_: object) -> None:
    raise RuntimeError("power cut")


def test_run_with_a_teacher_keeps_what_its_report_looks_inside(tmp_path: Path) -> None:
    result = go(tmp_path / "run", one_run())
    with safe_open(tmp_path / "run" / "inside.safetensors", framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
        about = json.loads(file.metadata()["about"])
    assert {key: tuple(value.shape) for key, value in tensors.items()} == {
        **{f"correlation.{who}": (3, 3) for who in ("student", "teacher")},
        **{f"embedding.{who}": (107, 4) for who in ("student", "teacher")},
        **{f"says.{who}": (107,) for who in ("student", "teacher")},
        "ids": (107,),
        "labels": (107,),
    }
    assert result.evaluation is not None
    accuracy = (tensors["says.student"] == tensors["labels"]).double().mean().item()
    assert accuracy == pytest.approx(result.evaluation.top1)
    assert (about["n"], about["classes"], about["neighbours"]["k"]) == (107, ["0", "1", "2"], 10)
    assert about["neighbours"]["chance"] == pytest.approx(10 / 106)
    few = go(tmp_path / "few", one_run(), "inside=30")
    assert few.evaluation == result.evaluation
    with safe_open(tmp_path / "few" / "inside.safetensors", framework="pt") as file:
        assert file.get_tensor("labels").bincount().tolist() == [10, 10, 10]
        assert torch.equal(file.get_tensor("correlation.student"), tensors["correlation.student"])


def test_runs_that_have_nothing_to_look_inside(tmp_path: Path, finished: Path) -> None:
    go(tmp_path / "off", one_run(), "inside=0")
    go(tmp_path / "alone", training())
    assert not [*tmp_path.glob("*/inside.safetensors"), *finished.rglob("inside.safetensors")]
