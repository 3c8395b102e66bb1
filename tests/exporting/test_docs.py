"""From images to an ONNX file that numpy, Pillow and onnxruntime run: what docs/export.md shows is done as it says."""

import ast
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.exporting.conftest import PAGE, Door
from tests.test_readme import parsed

import limbeck as lb
from limbeck.exporting.settings import ExportSettings

DEVICE, MINE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", PAGE, re.MULTILINE)]


def test_the_commands_are_those_that_were_run(door: Door) -> None:
    assert LINES == ["limbeck train small.yaml", "limbeck export runs/small --int8"]
    assert sorted(path.name for path in door.folder.iterdir()) == [
        "README.md",
        "export.json",
        "model.int8.onnx",
        "model.onnx",
    ]
    assert "wrote runs/small-onnx: model.onnx, model.int8.onnx, README.md, export.json" in door.output


def test_the_device_needs_no_more_than_it_says() -> None:
    names = {alias.name for node in ast.walk(ast.parse(DEVICE)) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(ast.parse(DEVICE)) if isinstance(node, ast.ImportFrom)}
    assert names == {"json", "numpy", "onnxruntime", "PIL"}
    assert len(re.sub(r"(?m)^(import|from) .*\n|^\n", "", DEVICE).splitlines()) <= 10


@pytest.mark.parametrize("file", ["model.onnx", "model.int8.onnx"])
def test_the_device_sees_what_the_student_saw(
    file: str, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a photo of another size and in colour, which `lb.load` brings to the student's size in the same way."""
    monkeypatch.chdir(door.path)
    code = DEVICE.replace("model.int8.onnx", file).replace("photo.png", str(tmp_path / "photos" / "photo.png"))
    (tmp_path / "photos").mkdir()
    digit = lb.load("digits", "test").gather(torch.tensor([7]))[0, 0].numpy()
    Image.fromarray(digit).convert("RGB").resize((45, 40), Image.Resampling.BICUBIC).save(tmp_path / "photos/photo.png")
    namespace: dict = {}
    exec(compile(code, "export.md", "exec"), namespace)
    photo = lb.load(tmp_path / "photos", size=8, channels=1, labels=False)
    student = lb.load_model("runs/small/student")
    expected = student(photo.tensor()).logits
    assert capsys.readouterr().out.strip() == student.classes[int(expected.argmax())]
    tolerance = 1e-4 if file == "model.onnx" else 0.5
    torch.testing.assert_close(torch.from_numpy(namespace["logits"]), expected.detach(), atol=tolerance, rtol=1e-4)


def test_a_module_of_ones_own_goes_out_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    exec(compile(MINE, "export.md", "exec"), namespace)
    torch.testing.assert_close(namespace["logits"], namespace["mine"](namespace["test"].floats()).logits)
    assert "'agreement': 1.0" in capsys.readouterr().out


def test_every_setting_is_told() -> None:
    rows = " ".join(re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE))
    described = set(re.findall(r"`(\w+)`", rows))
    assert described == {*ExportSettings.__dataclass_fields__, "test", "calibration"}
    options = parsed("limbeck export runs/small --input-type uint8")
    assert described <= options.keys()
