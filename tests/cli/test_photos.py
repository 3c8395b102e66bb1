"""Photos on the command line: a run on a folder of them, and its student judged on what the run held out."""

from pathlib import Path

import pytest
from tests.photos import write_photos
from typer.testing import CliRunner

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
    limbeck("evaluate", "runs/mine", "--data", "photos", "--split", "train", "--json", "all.json")
    assert '"n": 20' in Path("all.json").read_text()
    write_photos(Path("others/val"), 4, seed=1)
    out = limbeck("evaluate", "runs/mine", "--data", "./others")
    assert "images of './others' are brought to 12x12: what the student in 'runs/mine' was taught with" in out
    assert "the validation images of './others' are judged on, for it has no test images" in out
    assert "all images of 'others/val' are judged on" in limbeck("evaluate", "runs/mine", "--data", "others/val")
