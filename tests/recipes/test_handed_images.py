"""Images that Python hands over are found again by what loaded them, and known by their fingerprints."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import limbeck as lb
from limbeck.data.image_set import ImageSet
from limbeck.data.origin import Origin
from limbeck.errors import UserError
from limbeck.recipes.evaluation_images import load_evaluation_images
from limbeck.recipes.exporting import _evaluation_images, _training_set_of
from limbeck.recipes.handed_images import name_of_images, renewing, source_of
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.sources import load_named
from limbeck.report.model_card import model_card

STUDENT = {"model": "convnet_d3", "options": {"width": 4}}
HOW: Any = {"steps": 1, "batch_size": 8, "views": "none"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def flat(count: int = 10) -> str:
    """A folder of two classes without splits, its images of one size."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        Path("flat", name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(f"flat/{name}/{number}.png")
    return "./flat"


def teach(images: Any, out: str, **more: Any) -> Any:
    return lb.distill(None, STUDENT, images, out=out, **{**HOW, **more})


def data_of(run: str) -> dict[str, Any]:
    return yaml.safe_load(Path(run, "recipe.yaml").read_text())["data"]


def as_earlier_versions_wrote(run: str, **parts: ImageSet) -> None:
    path = Path(run, "recipe.yaml")
    content = yaml.safe_load(path.read_text())
    for part, images in parts.items():
        content["data"][part] = {"name": name_of_images(images)}
    path.write_text(yaml.safe_dump(content))


def judged_on(run: str, name: str) -> tuple[ImageSet, str]:
    messages: list[str] = []
    return load_evaluation_images(run, name, None, None, messages.append), " ".join(messages)


def test_what_loaded_images_is_written_down_with_their_fingerprint() -> None:
    test = lb.load("digits", "test", size=(8, 8), classes=[3, "5"], skip_unreadable=True)
    source = source_of(test)
    assert source == {
        "name": "digits",
        "split": "test",
        "size": [8, 8],
        "classes": [3, "5"],
        "skip_unreadable": True,
        "fingerprint": test.fingerprint[:12],
    }
    assert load_named(DatasetSettings(**source), "train").fingerprint == test.fingerprint
    unlabelled = lb.load("dead-leaves", images=4, size=8, seed=1)
    assert load_named(DatasetSettings(**source_of(unlabelled)), "train").fingerprint == unlabelled.fingerprint
    assert source_of(lb.load("digits", "test", labels=False))["labels"] is False
    for other in (test.subset(test.ids[:5]), test.with_labels(None, ()), lb.load(test.tensor())):
        assert source_of(other) == {"name": name_of_images(other)}
    assert source_of(test.with_origin(Origin("digits", "test", {"size": -1})))["name"].startswith("python:")


def test_names_and_loaded_images_are_the_same_run() -> None:
    name = flat()
    images, test = lb.load(name), lb.load("digits", "test", classes=["0", "1"])
    renamed = test.with_labels(test.labels, ("cat", "dog"))
    teach(name, "one", test=renamed)
    data = data_of("one")
    assert (data["train"]["name"], data["train"]["split"]) == (name, "train")
    assert data["test"]["name"].startswith("python:")
    teach(images, "one", test=renamed, resume=True)
    teach(lb.ImageSet(images.tensor(), images.labels, classes=images.classes), "one", test=renamed, resume=True)
    teach(name, "one", test=renamed, resume=True)
    Path("flat/cat/9.png").unlink()
    with pytest.raises(UserError, match=r"it differs in `data\.train\.fingerprint` \('"):
        teach(name, "one", test=renamed, resume=True)


def test_runs_of_earlier_versions_go_on() -> None:
    name = flat()
    images = lb.load(name)
    teach(name, "one", test=name)
    data = data_of("one")
    assert data["test"] == 0.2
    rest, test = images.split(0.2, seed=0)
    as_earlier_versions_wrote("one", train=rest, test=test)
    judged, message = judged_on("one", name)
    assert judged.fingerprint == test.fingerprint
    assert "judged on the 4 images of './flat' that its run held out" in message
    assert teach(name, "one", test=name, resume=True).evaluation.n == 4
    assert data_of("one") == data
    teach(images, "two")
    as_earlier_versions_wrote("two", train=images)
    teach(name, "two", resume=True)
    as_earlier_versions_wrote("two", train=test)
    with pytest.raises(UserError, match=r"it differs in `data\.train\.name` \('python:flat/train#"):
        teach(name, "two", resume=True)


def test_recipes_that_name_other_images_stay_as_they_are() -> None:
    now = {"data": {"train": {"name": "digits", "fingerprint": "0" * 12}, "test": None}}
    for other in ("python:digits/train#111111111111", "digits"):
        recipe = {"data": {"train": {"name": other}}, "of": "an earlier version"}
        assert renewing(now)(recipe) == recipe
    renewed = renewing(now)({"data": {"train": {"name": "python:any#000000000000"}}})
    assert renewed["data"]["train"] == now["data"]["train"]
    assert renewing(now)({"data": "digits"}) == {"data": "digits"}


def test_what_a_run_held_out_is_judged_on() -> None:
    name = flat()
    assert teach(name, "one", test=name).evaluation.n == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lb.evaluate("one", name).n == 4
    rest, test = lb.load(name).split(0.2, seed=0)
    assert judged_on("one", name)[0].fingerprint == test.fingerprint
    Path("flat/cat/9.png").unlink()
    message = judged_on("one", name)[1]
    assert "that its run held out (--split train: all); the images of './flat' are not what they were when" in message
    with pytest.warns(UserWarning, match="that its run held out; the images of './flat' are not what they were when"):
        lb.evaluate("one", name)
    assert len(rest) == 16


def test_images_that_the_network_learned_from_are_told_where_nothing_names_them() -> None:
    images = lb.load(flat())
    array = lb.ImageSet(images.tensor(), images.labels, classes=images.classes)
    teach(array, "whole")
    assert judged_on("whole", "./flat")[1].endswith("has no splits, also those that the network learned from")
    with pytest.warns(UserWarning, match="also those that the network learned from; hand over others to learn how"):
        lb.evaluate("whole", "./flat")
    rest, test = images.split(0.3, seed=1)
    teach(rest, "part", test=test)
    with pytest.warns(UserWarning, match="perhaps also those that the network learned from: its run knows these by th"):
        lb.evaluate("part", "./flat")
    Path("part/inputs.json").unlink()
    assert judged_on("part", "./flat")[1].endswith("for it has no splits")
    Path("part/recipe.yaml").write_text("{")
    assert len(judged_on("part", "./flat")[0]) == 20


def test_images_by_name_are_found_beside_a_function_from_python() -> None:
    name = flat()
    rest, test = lb.load(name).split(0.2, seed=0)
    assert teach(name, "one", test=name, objective=lambda student_logits: student_logits.square().mean(1))
    judged, message = judged_on("one", name)
    assert judged.fingerprint == test.fingerprint
    assert message == "judged on the 4 images of './flat' that its run held out (--split train: all)"
    assert _evaluation_images(Path("one")).fingerprint == test.fingerprint
    assert len(_training_set_of(Path("one"))) == round(0.9 * len(rest)), "without the tenth for validation"


def test_export_and_model_card_find_the_images_by_name() -> None:
    images, test = lb.load("digits"), lb.load("digits", "test")
    teach("digits", "one", test="digits")
    assert _evaluation_images(Path("one")).fingerprint == test.fingerprint
    assert len(_training_set_of(Path("one"))) == 1293, "without the tenth for validation"
    teach(images, "two", test=test)
    assert data_of("two") == data_of("one")
    data = {"train": {"name": "cifar10"}, "test": {"name": "cifar10"}}
    recipe = yaml.safe_load(Path("two/recipe.yaml").read_text())
    Path("two/recipe.yaml").write_text(yaml.safe_dump(recipe | {"data": data}))
    assert "datasets:\n- uoft-cs/cifar10" in model_card("two")


def test_other_images_than_the_fingerprint_tells_are_refused() -> None:
    settings = DatasetSettings(name=flat(), fingerprint="0123456789ab")
    with pytest.raises(
        UserError,
        match=r"the images of './flat' \(flat/train\) are not those that were meant: `fingerprint` must be 0123456789ab"
        r", got [0-9a-f]{12} of 20 images\. Bring back what they were, or leave out `fingerprint` where others will do",
    ):
        load_named(settings, "train")
    with pytest.raises(UserError, match=r"data\.train\.fingerprint"):
        lb.compare({"name": "x", "data": {"train": {"name": "digits", "fingerprint": "zz"}}}, out="x")


def test_a_transfer_set_is_named_by_its_folder() -> None:
    images = lb.load("digits", "test")
    lb.TransferSet(images.subset(images.ids[:40])).save("tenth")
    teach("tenth", "one", test=images)
    train = data_of("one")["train"]
    assert (train["name"], train["fingerprint"]) == ("tenth", images.subset(images.ids[:40]).fingerprint[:12])
    assert len(_training_set_of(Path("one"))) == 40
    teach("tenth", "one", test=images, resume=True)
    shutil.rmtree("tenth")
    lb.TransferSet(images.subset(images.ids[1:41])).save("tenth")
    with pytest.raises(UserError, match=r"it differs in `data\.train\.fingerprint` \('"):
        teach("tenth", "one", test=images, resume=True)
    with pytest.raises(UserError, match=r"images of 'tenth' .* are not those that were meant: `fingerprint` must be"):
        _training_set_of(Path("one"))


def test_comparisons_name_what_was_handed_over() -> None:
    content = {
        "name": "small",
        "student": STUDENT,
        "training": HOW,
        "teacher": {**STUDENT, "training": HOW},
        "compare": {"budgets": [20], "seeds": [0]},
        "latency": False,
    }
    lb.compare(content, train="digits", test=lb.load("digits", "test"), out="runs/small")
    data = data_of("runs/small")
    assert (data["train"]["name"], data["test"]["split"]) == ("digits", "test")
    assert data["train"]["fingerprint"] == lb.load("digits").fingerprint[:12]
    lb.compare(content, train=lb.load("digits"), test="digits", out="runs/small", resume=True)
