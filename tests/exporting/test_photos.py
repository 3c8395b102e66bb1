"""Exports of a run on photos: which images they are checked on, and at which size."""

import json
import shutil
from pathlib import Path

import pytest
from tests.exporting.conftest import command
from tests.photos import write_photos

import limbeck as lb
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run

SAFE = ("--format", "pt2", "--out")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ResNet-8 in `runs/small`, taught at 16x16 on the photos in `photos`."""
    folder = tmp_path_factory.mktemp("taught")
    write_photos(folder / "photos" / "train", 6)
    write_photos(folder / "photos" / "val", 3, seed=1)
    write_photos(folder / "flat", 4, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIMBECK_CACHE", str(folder / "cache"))
        training = {"steps": 2, "batch_size": 4, "learning_rate": 0.05, "views": "none", "validations": 1}
        photos = {"name": "./photos", "size": 16}
        recipe = {"name": "small", "student": "resnet8", "training": training, "latency": False}
        run(read_recipe({**recipe, "data": {"train": photos, "test": {**photos, "split": "validation"}}}), "runs/small")
    return folder


@pytest.fixture
def here(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(taught, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "here"


def checked_on(folder: str) -> tuple[str, list[int]]:
    about = json.loads((Path(folder) / "export.json").read_text())
    return about["check"]["images"], about["input"]["shape"][2:]


@pytest.mark.parametrize(
    ("test", "images", "words"),
    [
        ("./photos", "photos/validation", "the validation images of './photos' are judged on"),
        ("./flat", "flat/train", "all images of './flat' are judged on, for it has no splits"),
    ],
)
def test_what_is_judged_on_is_found_as_evaluate_finds_it_at_the_size_of_the_run(
    test: str, images: str, words: str, here: Path
) -> None:
    assert words in " ".join(command("export", "runs/small", "--test", test, *SAFE, "out").split())
    assert checked_on("out") == (images, [16, 16])


def test_photos_that_are_gone_leave_the_size_they_had(here: Path) -> None:
    (here / "photos").rename(here / "moved")
    with pytest.warns(UserWarning, match=r"(?s)of the run 'runs/small' cannot be read .* of 16x16: what"):
        lb.export("runs/small", "out", format="pt2")
    assert checked_on("out") == ("dead-leaves/train", [16, 16])
    lb.export("runs/small", "two", format="pt2", test="./moved")
    assert checked_on("two") == ("moved/validation", [16, 16])


def test_images_that_are_gone_are_told_before_a_size_that_nobody_knows(here: Path) -> None:
    (here / "photos").rename(here / "moved")
    (here / "runs/small/evaluation.json").unlink()
    config = here / "runs/small/student/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "taught_size": None}))
    with pytest.raises(lb.UserError, match=r"the images of the run .* cannot be read .*, and resnet8 takes images"):
        lb.export("runs/small", "out", format="pt2")
