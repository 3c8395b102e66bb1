"""Photos on the command line: a run on a folder of them, and its student judged on what the run held out."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.photos import write_photos
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app

RECIPE = """
name: mine
data: ./photos
student: {model: resnet8}
training: {steps: 1, batch_size: 4, views: none}
latency: false
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def limbeck(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_a_run_on_photos_and_its_student_judged_on_what_was_held_out() -> None:
    write_photos(Path("photos"), 10)
    Path("mine.yaml").write_text(RECIPE)
    assert "`data: {name: ./photos, size: 12}` in the recipe, or -s data.size=12" in limbeck("run", "mine.yaml", code=2)
    out = limbeck("run", "mine.yaml", "-s", "data.size=12")
    assert "found in './photos': 14 images to learn from (train), 2 images for validation (held out" in out
    assert "images are brought to 12x12, as `size` says" in out
    out = limbeck("evaluate", "runs/mine", "--data", "./photos", "--json", "one.json")
    assert "judged on the 4 images of './photos' that its run held out (--split train: all)" in out
    assert '"n": 4' in Path("one.json").read_text()
    assert lb.evaluate("runs/mine", "./photos").to_dict() == json.loads(Path("one.json").read_text())
    limbeck("evaluate", "runs/mine", "--data", "photos", "--split", "train", "--json", "all.json")
    assert '"n": 20' in Path("all.json").read_text()
    write_photos(Path("others/val"), 4, seed=1)
    out = limbeck("evaluate", "runs/mine", "--data", "./others")
    assert "images of './others' are brought to 12x12: what the student in 'runs/mine' was taught with" in out
    assert "the validation images of './others' are judged on, for it has no test images" in out
    assert "all images of 'others/val' are judged on" in limbeck("evaluate", "runs/mine", "--data", "others/val")
    for number in range(6):
        folder = Path("alike/test") / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (40 * number, 90, 30)).save(folder / f"{number}.png")
    evaluations = {}
    for student, size in (("runs/mine", ()), ("runs/mine", ("--size", "12")), ("elsewhere", ())):
        if student == "elsewhere":
            shutil.copytree("runs/mine/student", student)
        out = limbeck("evaluate", student, "--data", "./alike", *size, "--json", "alike.json")
        assert ("images of './alike', which are 20x20, are brought to 12x12: what the student in" in out) == (not size)
        evaluations[student, size] = Path("alike.json").read_text()
    assert len({*evaluations.values()}) == 1
    with pytest.warns(UserWarning, match=r"are 20x20, and the student was taught with 12x12; `lb.load\(..., size"):
        lb.evaluate("elsewhere", "./alike")
    limbeck("export", "elsewhere", "--format", "safetensors", "--test", "./alike", "--no-latency", "--out", "device")
    assert "brought to 12x12: what the student in 'device' was" in limbeck("evaluate", "device", "--data", "./alike")


@pytest.mark.parametrize("network", ["runs/mine/student", "runs/mine/student-chosen"])
def test_a_network_in_a_run_is_judged_on_what_the_run_held_out_loaded_as_its_recipe_says(network: str) -> None:
    write_photos(Path("photos"), 10)
    Path("photos/cat/broken.jpg").write_bytes(b"no image")
    Path("mine.yaml").write_text(RECIPE.replace("./photos", "{name: ./photos, size: 12, skip_unreadable: true}"))
    limbeck("run", "mine.yaml")
    out = limbeck("evaluate", network, "--data", "./photos", "--json", "one.json")
    assert "judged on the 4 images of './photos' that its run held out (--split train: all)" in out
    assert lb.evaluate(network, "./photos").to_dict() == json.loads(Path("one.json").read_text())


def test_judging_on_what_was_learned_from_is_said() -> None:
    write_photos(Path("photos"), 10)
    write_photos(Path("others/test"), 4, seed=1)
    Path("mine.yaml").write_text(RECIPE.replace("./photos", "{train: ./photos, test: ./others, size: 12}"))
    limbeck("run", "mine.yaml")
    message = "all images of './photos' are judged on, for it has no splits, also those that the network learned from"
    assert message in limbeck("evaluate", "runs/mine", "--data", "./photos")
    with pytest.warns(UserWarning, match=f"{message}; hand over others"):
        assert lb.evaluate("runs/mine", "./photos").n == 20


def test_a_folder_named_from_elsewhere_and_a_copy_are_judged_on_what_was_held_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_photos(Path("photos"), 10)
    Path("mine.yaml").write_text(RECIPE.replace("./photos", "{name: ./photos, size: 12}"))
    limbeck("run", "mine.yaml")
    shutil.copytree("photos", "copy")
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    for name in ("../photos", "../copy"):
        out = limbeck("evaluate", "../runs/mine", "--data", name)
        assert f"judged on the 4 images of '{name}' that its run held out (--split train: all)" in out
        assert lb.evaluate("../runs/mine", name).n == 4
    out = limbeck("evaluate", "../runs/mine", "--data", "../copy", "--split", "train")
    assert "'../copy' in its split 'train' are judged on, also those that the network learned from" in out
    Path("../copy/cat/00.JPG").unlink()
    assert "learned from" not in limbeck("evaluate", "../runs/mine", "--data", "../copy", "--split", "train")


def test_the_training_split_of_a_run_is_told_under_every_name() -> None:
    write_photos(Path("photos/train"), 10)
    write_photos(Path("photos/val"), 4, seed=1)
    Path("mine.yaml").write_text(RECIPE.replace("./photos", "{name: ./photos, size: 12}"))
    limbeck("run", "mine.yaml")
    shutil.copytree("photos/train", "copy")
    doubt = "are judged on, for it has no splits, also those that the network learned from"
    for name in ("./photos/train", "./copy"):
        assert f"all images of '{name}' {doubt}" in limbeck("evaluate", "runs/mine", "--data", name)
    with pytest.warns(UserWarning, match=f"{doubt}; hand over others"):
        assert lb.evaluate("runs/mine", "./copy").n == 20
    out = limbeck("evaluate", "runs/mine", "--data", "./photos", "--split", "train")
    assert "'./photos' in its split 'train' are judged on, also those that the network learned from" in out
    out = limbeck("evaluate", "runs/mine", "--data", "./photos", "--split", "validation")
    assert "learned from" not in out


PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8").partition("## Names and paths")[0]
RECIPES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", PAGE, re.MULTILINE)]
FEWER = {
    "epochs: 60": "epochs: 1, batch_size: 8",
    "resnet56": "resnet8",
    "input_size: 64": "input_size: 12",
    "[25%, 50%]": "[50%]",
    "[0, 1, 2]": "[0]",
    "size: 64": "size: 12",
}


def test_validating_says_what_of_a_folder_cannot_be_read() -> None:
    write_photos(Path("photos"), 10)
    for number in range(3):
        Path(f"photos/cat/phone{number}.HEIC").write_bytes(b"")
    Path("mine.yaml").write_text(RECIPE)
    with pytest.warns(UserWarning, match=r"3 images are passed over, 3 in 'photos/cat': .heic \(3\) cannot be read"):
        limbeck("validate", "mine.yaml", "-s", "data.size=12")
    shutil.rmtree("photos/dog")
    Path("photos/labels.csv").write_text("file,label\n")
    out = limbeck("validate", "mine.yaml", "-s", "data.size=12", code=2)
    assert "one folder, 'cat', which would be the only class. 'photos/labels.csv' beside images is not read" in out


def fewer(text: str) -> str:
    for long, short in FEWER.items():
        text = text.replace(long, short)
    return text


def test_the_worked_example_of_the_page() -> None:
    example, options = map(fewer, RECIPES)
    write_photos(Path("photos/train"), 16)
    write_photos(Path("photos/val"), 4, seed=1)
    Path("my.yaml").write_text(f"{example}latency: false\ninside: 0\n")
    assert [line.split()[1] for line in LINES] == ["validate", "compare", "evaluate"]
    for line in LINES:
        shown = limbeck(*line.split()[1:])
        if "evaluate" not in line:
            assert "8 images to judge on (its validation images, for want of test images) of 2 classes" in shown
            assert "images are brought to 12x12: `student.input_size` (`data.size` says another)" in shown
    Path("my.yaml").write_text(options)
    assert "valid: a recipe to train" in limbeck("validate", "my.yaml")
