"""An engineer's hour: docs/photos_to_device.md, followed word for word from a folder of photos to a device."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from tests.page_steps import Command, File, follow, python_without, steps
from tests.photos import write_photos

import limbeck as lb
from limbeck.recipes.reading import read_recipe

PAGE = (Path(__file__).parents[1] / "docs" / "photos_to_device.md").read_text(encoding="utf-8")
QUICK = {
    "resnet20": "resnet8",
    "epochs: 30": "epochs: 1",
    "name: photos\n": "name: photos\nlatency: false\ninside: 0\n",
}
TEACHER = PAGE.partition("`teacher: {model")[2].partition("`")[0]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of networks that learned for one epoch
def test_an_hour_by_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos_of_the_page()
    (tmp_path / "device-python").mkdir()
    on_device = python_without("torch", "limbeck", folder=tmp_path / "device-python")
    outputs = follow(PAGE, QUICK, {"python": on_device})
    assert sorted(path.name for path in Path("device").iterdir()) == [
        "README.md",
        "export.json",
        "model.int8.onnx",
        "model.onnx",
    ]
    record = json.loads(Path("device/export.json").read_text())
    assert record["files"]["model.int8.onnx"]["top1"] is not None
    assert f"{100 * record['files']['model.int8.onnx']['top1']:.2f}" in next(
        v for k, v in outputs.items() if "export" in k
    )
    assert "latency_ms" in record["files"]["model.int8.onnx"]
    assert_the_device_says_what_the_student_says(record, on_device)


def photos_of_the_page() -> None:
    """Photos of all sizes and modes, among them those that the page names, one of which is to be rotated."""
    for seed, (split, count) in enumerate((("train", 20), ("test", 8))):
        for folder in write_photos(Path("photos", split), count, seed=seed).glob("[a-z]*"):
            (folder / "00.JPG").rename(folder / "IMG_0001.jpg")


def assert_the_device_says_what_the_student_says(about: dict, on_device: Callable[[list[str]], str]) -> None:
    """Over all test photos: the float file always agrees, the int8 file as often as the export said."""
    student = lb.load_model("runs/photos/runs/full/seed-0")
    assert tuple(about["classes"]) == student.classes == ("cat", "dog")
    photos = lb.load("photos", "test", size=32)
    with torch.no_grad():
        expected = [student.classes[place] for place in student(photos.tensor()).logits.argmax(1).tolist()]
    kinds = (".jpg", ".jpeg", ".png")
    names = sorted(str(path) for path in Path("photos/test").glob("[a-z]*/*") if path.suffix.lower() in kinds)
    for file, agreement in (("model.onnx", 1.0), ("model.int8.onnx", about["files"]["model.int8.onnx"]["agreement"])):
        Path("other.py").write_text(Path("device.py").read_text().replace("model.int8.onnx", file))
        answers = [line.rpartition(" ")[2] for line in on_device(["other.py", *names]).splitlines()]
        assert len(answers) == len(expected)
        same = sum(answer == other for answer, other in zip(answers, expected, strict=True))
        assert same / len(expected) == pytest.approx(agreement)


def test_the_page_is_a_whole_path() -> None:
    """It shows each file before the command that reads it, and ten lines are enough for the device."""
    parts = list(steps(PAGE))
    verbs = [step.line.split()[1] for step in parts if isinstance(step, Command)]
    assert verbs == ["validate", "compare", "report", "evaluate", "export", "device.py"]
    assert [step.name for step in parts if isinstance(step, File)] == ["photos.yaml", "device.py"]
    (device,) = (step.text for step in parts if isinstance(step, File) and step.name == "device.py")
    body = [line for line in device.splitlines() if line and not line.startswith(("import ", "from "))]
    assert len(body) == 10


def test_the_pretrained_teacher_of_the_page_is_a_recipe() -> None:
    recipe = yaml.safe_load(next(step.text for step in steps(PAGE) if isinstance(step, File)))
    recipe["teacher"] = yaml.safe_load(f"{{model{TEACHER}")
    assert read_recipe(recipe).teacher is not None
