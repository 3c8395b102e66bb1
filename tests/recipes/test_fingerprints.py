"""A resume goes on with what the run was begun with: the same teacher, images and selection, or not at all."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison, one_run, training
from tests.training.tiny import CLASSES, network, same, stripes, weights

from limbeck.data import ImageSet, TransferSet
from limbeck.data.transfer_source import FixedSource
from limbeck.errors import UserError
from limbeck.models import save
from limbeck.recipes import run as run_module
from limbeck.recipes.compare import compare
from limbeck.recipes.fingerprints import changed, check_fingerprints, describe_images
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.named_files import files_of, named_by_arms
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import RunResult
from limbeck.training import Interrupted, RunFolder, Silent
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.select.maker import SelectMaker
from limbeck.transfer.select.settings import SelectSettings

Start = Callable[..., dict[str, Any]]


class Listening(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, message: str) -> None:
        self.heard.append(message)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a run in `run` of sets and networks that lie in folders, stops it at step 6, and gives its recipe."""

    def start(**changes: Any) -> dict[str, Any]:
        TransferSet(stripes(60)).save(tmp_path / "train")
        TransferSet(stripes(20, seed=1)).save(tmp_path / "test")
        save(network(9), tmp_path / "teacher")
        save(network(3), tmp_path / "student")
        test = {"name": str(tmp_path / "test"), "split": "train"}
        content = one_run(
            data={"train": str(tmp_path / "train"), "test": test, "validation": 20},
            teacher=str(tmp_path / "teacher"),
            **changes,
        )
        original = RunFolder.append_metrics

        def interrupt(run_folder: RunFolder, **entry: Any) -> None:
            original(run_folder, **entry)
            if entry["step"] == 5:
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(RunFolder, "append_metrics", interrupt)
            with pytest.raises(Interrupted, match="stopped at step 6 of 12"):
                go(tmp_path / "run", content)
        return content

    return start


def go(folder: Path, content: dict[str, Any], *, resume: bool = False, **given: Any) -> RunResult:
    return run(read_recipe(content), folder, resume=resume, objects=PythonObjects(**given))


def replaced(folder: Path, images: ImageSet) -> None:
    shutil.rmtree(folder)
    TransferSet(images).save(folder)


def other_pixel(images: ImageSet) -> ImageSet:
    pixels = images.tensor().clone()
    pixels[-1, 0, 0, 0] ^= 1
    return ImageSet(pixels, images.labels, ids=images.ids, classes=images.classes)


def test_the_same_inputs_resume_to_the_same_student(begun: Start, tmp_path: Path) -> None:
    content = begun()
    inputs = RunFolder(tmp_path / "run").read("inputs.json")
    assert inputs["teacher"]["name"] == "convnet_d3"
    assert [inputs[name]["images"] for name in ("train", "validation", "test", "transfer_set")] == [40, 20, 20, 12]
    assert inputs["student"] is None
    shutil.move(tmp_path / "test", tmp_path / "elsewhere")  # and back: where files lie does not count
    shutil.move(tmp_path / "elsewhere", tmp_path / "test")
    resumed = go(tmp_path / "run", content, resume=True)
    assert same(weights(resumed.student), weights(go(tmp_path / "whole", content).student))


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another teacher": (
        lambda at: save(network(10), at / "teacher"),
        r"the teacher \(convnet_d3, fingerprint \w{12} then, convnet_d3, fingerprint \w{12} now\)",
    ),
    "other noise": (lambda at: replaced(at / "train", stripes(60, seed=5)), "the training images .*the validation"),
    "one pixel": (lambda at: replaced(at / "train", other_pixel(stripes(60))), "the validation images"),
    "fewer images": (
        lambda at: replaced(at / "train", stripes(59)),
        r"the training images \(images, 40 images of 2 classes, fingerprint \w{12} then, images, 39 images",
    ),
    "a test label": (
        lambda at: replaced(at / "test", stripes(20, seed=1).with_labels([0, *[1] * 19], CLASSES)),
        "the test images .*20 images of 2 classes.* then, .*20 images of 2 classes.* now",
    ),
    "soft labels that were not there": (
        lambda at: (shutil.rmtree(at / "train"), TransferSet(stripes(60), torch.full((60, 2), 0.5)).save(at / "train")),
        r"the soft labels \(none then, fingerprint \w{12} now\)",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_inputs_behind_the_same_names_are_refused(begun: Start, tmp_path: Path, change: str) -> None:
    content = begun()
    make, message = CHANGES[change]
    make(tmp_path)
    with pytest.raises(UserError, match=rf"(?s){message}"):
        go(tmp_path / "run", content, resume=True)
    assert RunFolder(tmp_path / "run").checkpoint.exists()


def test_classes_of_other_names_are_other_inputs(tmp_path: Path) -> None:
    images = stripes(4)
    renamed = ImageSet(images.tensor(), images.labels, classes=("columns", "rows"))
    with RunFolder.open(tmp_path / "run", {"name": "tiny"}) as run_folder:
        check_fingerprints(run_folder, {"test": describe_images(images), "train": None}, Silent(), begun=False)
        check_fingerprints(run_folder, {"test": describe_images(images)}, Silent(), begun=True)
        with pytest.raises(UserError, match=r"the test images \(.*of 2 classes.* then, .*of 2 classes.* now\)"):
            check_fingerprints(run_folder, {"test": describe_images(renamed)}, Silent(), begun=True)
        with pytest.raises(UserError, match=r"the training images \(none then, images, 4 images"):
            check_fingerprints(run_folder, {"train": describe_images(images)}, Silent(), begun=True)
        assert run_folder.read("inputs.json") == {"test": describe_images(images), "train": None}


def test_what_was_brought_back_goes_on(begun: Start, tmp_path: Path) -> None:
    content = begun()
    save(network(10), tmp_path / "teacher")
    with pytest.raises(UserError, match=r"not what the run in '.*run' was begun with: the teacher .*choose another"):
        go(tmp_path / "run", content, resume=True)
    save(network(9), tmp_path / "teacher")
    assert go(tmp_path / "run", content, resume=True).evaluation is not None


def test_other_first_weights_of_the_student_are_refused(begun: Start, tmp_path: Path) -> None:
    content = begun(student={"weights": str(tmp_path / "student")})
    save(network(4), tmp_path / "student")
    with pytest.raises(UserError, match=r"the student's first weights \(convnet_d3, fingerprint .* then, .* now\)"):
        go(tmp_path / "run", content, resume=True)


def test_another_selection_is_refused_with_the_versions_that_differ(
    begun: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = begun()
    run_folder = RunFolder(tmp_path / "run")
    environment = run_folder.read("environment.json")
    run_folder.write(
        "environment.json", {**environment, "packages": {**environment["packages"], "scikit-learn": "1.4.0"}}
    )

    def others(self: SelectMaker, settings: SelectSettings, context: MakerContext) -> FixedSource:
        assert context.pool is not None
        return FixedSource(context.pool.subset(context.pool.ids[:12]))

    monkeypatch.setattr(SelectMaker, "load", others)
    with pytest.raises(
        UserError,
        match=r"the transfer set \(.*12 images.* then, .*12 images.* now\)\. Versions differ, too: "
        r"scikit-learn 1\.4\.0 then, \d",
    ):
        go(tmp_path / "run", content, resume=True)


def test_a_run_of_an_earlier_version_goes_on_and_says_so(begun: Start, tmp_path: Path) -> None:
    content = begun()
    (tmp_path / "run" / "inputs.json").unlink()
    listening = Listening()
    run(read_recipe(content), tmp_path / "run", resume=True, progress=listening)
    assert any("run' was begun by an earlier version" in line for line in listening.heard)
    assert RunFolder(tmp_path / "run").read("inputs.json")["transfer_set"]["images"] == 12


def test_inputs_of_what_failed_before_it_began_are_forgotten(tmp_path: Path) -> None:
    content = one_run(teacher=None, objective={"cross_entropy": 1.0})
    with pytest.raises(UserError, match="the student convnet_d3 tells 4 classes apart"):
        go(tmp_path / "run", {**content, "student": {"model": "convnet_d3", "num_classes": 4}, "data": NO_TEST})
    assert go(tmp_path / "run", content).evaluation is not None


NO_TEST = {"train": {"name": "digits", "classes": [0, 1, 2]}, "validation": 0}


def test_a_comparison_notices_other_images_and_another_teacher(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copied"))
    recipe = read_recipe(comparison(seeds=[0, 1]))
    digits = run_module.load_images_of(recipe, PythonObjects())
    assert digits.test is not None
    with pytest.raises(UserError, match=r"the run in '.*copied' was begun with: the test images .*another --out"):
        compare(recipe, folder, resume=True, objects=PythonObjects(test=other_pixel(digits.test)))
    teacher = network(5, classes=3)
    with pytest.raises(UserError, match=r"begun with: the teacher \(convnet_d3"):
        compare(recipe, folder, resume=True, objects=PythonObjects(teacher=teacher))
    assert not list(folder.glob("runs/*/seed-1"))


def test_a_comparison_notices_other_weights_of_an_arm(finished: Path, tmp_path: Path) -> None:
    folder, weights = Path(shutil.copytree(finished, tmp_path / "copied")), tmp_path / "weights"
    save(network(3, classes=3), weights)
    arms = {"entropy": {}, "begun": {"select": "entropy", "student": {"weights": str(weights), "model": None}}}
    recipe = read_recipe(comparison(seeds=[0, 1], arms=arms))
    run_folder = RunFolder(folder)
    check_fingerprints(run_folder, named_by_arms(run.recipe for run in plan(recipe)), Silent(), begun=True)
    save(network(4, classes=3), weights)
    with pytest.raises(UserError, match=rf"begun with: the weights '{weights}' \(fingerprint \w+ then, fingerprint"):
        compare(recipe, folder, resume=True)
    shutil.rmtree(weights)
    assert named_by_arms(run.recipe for run in plan(recipe)) == {}, "the arm itself fails"


def test_files_that_a_maker_names_are_recorded(tmp_path: Path) -> None:
    statistics, experts = tmp_path / "owner.safetensors", tmp_path / "experts"
    generate = {"maker": "generate", "method": "deep-inversion", "budget": 300, "statistics": str(statistics)}
    condense = {"maker": "condense", "method": "mtt", "budget": "1/class", "experts": {"folder": str(experts)}}
    recipes = [read_recipe({**training(), "transfer": transfer}) for transfer in (generate, condense)]
    assert [files_of(recipe) for recipe in recipes] == [{}, {}]
    experts.mkdir()

    def made(content: str, count: int = 2) -> list[dict[str, Any]]:
        statistics.write_text(content)
        (experts / "plan.json").write_text(json.dumps({"images": content, "seed": 0, "count": count}))
        return [files_of(recipe) for recipe in recipes]

    before = made("one")
    assert made("one", count=3) == before, "more experts are the same experts"
    for path, one, two in zip((statistics, experts), before, made("two"), strict=True):
        assert changed(one, two)[0].startswith(f"the file '{path}' (fingerprint ")


def test_a_comparison_of_an_earlier_version_goes_on_and_says_so(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copied"))
    for path in folder.rglob("inputs.json"):
        path.unlink()
    listening = Listening()
    compare(read_recipe(comparison(seeds=[0])), folder, resume=True, progress=listening)
    assert sum("was begun by an earlier version" in line for line in listening.heard) == 1
