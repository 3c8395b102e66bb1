"""Programs and weights of any classifier: what goes in, what comes out, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.exporting.conftest import Plain, digits, wrapped
from torch import nn
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.data.storage import in_levels
from limbeck.errors import UserError
from limbeck.exporting import checking, export
from limbeck.exporting.checking import Checked
from limbeck.exporting.export import Exported
from limbeck.exporting.inputs import FileInputs
from limbeck.exporting.onnx_file import _reason
from limbeck.exporting.settings import ExportSettings
from limbeck.recipes.exporting import _name_of


def program(exported: Exported) -> nn.Module:
    return torch.export.load(exported.file).module()


def test_weights_are_read_by_load_model(tmp_path: Path, test_images: lb.ImageSet) -> None:
    student = lb.create("lenet5", num_classes=10, channels=1, input_size=8, classes=digits()).eval()
    exported = lb.export(student, tmp_path / "out", format="safetensors", test=test_images)
    again = lb.load_model(tmp_path / "out")
    assert torch.equal(again(test_images.tensor()).logits, student(test_images.tensor()).logits)
    assert again.classes == tuple(digits())
    assert exported.description["files"]["model.safetensors"]["max_difference"] == 0
    assert "lb.load_model" in (tmp_path / "out" / "README.md").read_text()


def test_weights_of_a_module_that_no_path_makes_again_are_read_with_it(
    tmp_path: Path, test_images: lb.ImageSet
) -> None:
    student = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))).eval()
    exported = lb.export(student, tmp_path / "out", format="safetensors", test=test_images)
    assert exported.description["files"]["model.safetensors"]["max_difference"] == 0
    again = lb.load_model(tmp_path / "out", model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    assert torch.equal(again(test_images.tensor()).logits, student(test_images.tensor()).logits)
    assert 'lb.load_model("this folder", model=make)' in (tmp_path / "out" / "README.md").read_text()


def test_outside_takes_what_the_mean_and_deviation_of_its_description_make(
    tmp_path: Path, student: lb.Classifier, test_images: lb.ImageSet
) -> None:
    exported = lb.export(student, tmp_path / "out", format="pt2", normalisation="outside", test=test_images)
    files = {"limbeck.json": ""}
    torch.export.load(exported.file, extra_files=files)
    description = json.loads(json.loads(files["limbeck.json"])["input"])
    assert description == exported.description["input"]
    mean, std = (torch.tensor(description["normalisation"][name]).view(1, 1, 1, 1) for name in ("mean", "std"))
    logits = program(exported)((test_images.floats() - mean) / std)
    torch.testing.assert_close(logits, student(test_images.tensor()).logits)
    assert description["name"] == "inputs"
    assert "- `mean` is [0.3] and `std` is [0.4]\n" in (tmp_path / "out" / "README.md").read_text()


def test_a_file_that_resizes_nothing_takes_the_size_of_the_network_alone(
    tmp_path: Path, test_images: lb.ImageSet
) -> None:
    student = lb.create("lenet5", num_classes=10, channels=1, input_size=8).eval()
    with pytest.raises(UserError, match=r"`size` must be \[8, 8\], that of lenet5, or left out where .* got 16"):
        lb.export(student, tmp_path / "out", format="pt2", normalisation="outside", size=16, test=test_images)
    exported = lb.export(student, tmp_path / "same", format="pt2", normalisation="outside", size=8, test=test_images)
    assert exported.description["input"]["shape"][1:] == [1, 8, 8]


def test_whitening_outside_is_that_of_the_arrays_beside(tmp_path: Path, test_images: lb.ImageSet) -> None:
    whitening = lb.models.Whitening.fit(test_images)
    student = lb.create("lenet5", num_classes=10, channels=1, whitening=whitening).eval()
    exported = lb.export(student, tmp_path / "out", format="pt2", normalisation="outside", test=test_images)
    assert exported.description["input"]["normalisation"] == {"whitening": "whitening.npz"}
    arrays = np.load(tmp_path / "out" / "whitening.npz", allow_pickle=False)
    rows = (test_images.floats().flatten(1).numpy() - arrays["mean"]) @ arrays["matrix"]
    inputs = torch.from_numpy(rows).view(len(rows), 1, 8, 8)
    torch.testing.assert_close(program(exported)(inputs), student(test_images.tensor()).logits, atol=1e-4, rtol=1e-4)


def test_pixels_as_a_camera_gives_them(tmp_path: Path, student: lb.Classifier, test_images: lb.ImageSet) -> None:
    exported = lb.export(student, tmp_path / "out", format="pt2", input_type="uint8", test=test_images)
    logits = program(exported)(test_images.tensor())
    torch.testing.assert_close(logits, student(test_images.tensor()).logits)
    assert exported.description["input"]["values"] == "pixels in 0..255"


def test_a_network_of_any_size_takes_that_of_the_images_or_what_is_said(
    tmp_path: Path, test_images: lb.ImageSet
) -> None:
    student = wrapped(Plain(3), channels=3, size=None).eval()
    exported = lb.export(student, tmp_path / "one", format="pt2", test=test_images)
    assert exported.description["input"]["shape"] == ["batch", 3, 8, 8]
    colour = test_images.floats().expand(-1, 3, -1, -1)
    torch.testing.assert_close(program(exported)(colour), student(test_images.tensor()).logits)
    with pytest.raises(UserError, match="Plain takes images of any size; say which as `size`, or give `test`"):
        lb.export(student, tmp_path / "two", format="pt2")


def test_a_network_of_another_size_resizes_inside(tmp_path: Path, test_images: lb.ImageSet) -> None:
    student = wrapped(Plain(), size=12).eval()
    exported = lb.export(student, tmp_path / "out", format="pt2", size=8, test=test_images)
    torch.testing.assert_close(program(exported)(test_images.floats()), student(test_images.tensor()).logits)


def test_the_student_stays_as_it_is(tmp_path: Path, test_images: lb.ImageSet) -> None:
    student = wrapped(nn.Sequential(Plain(), nn.Dropout(0.5))).train()
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    exported = lb.export(student, tmp_path / "out", format="pt2", test=test_images)
    assert exported.description["files"]["model.pt2"]["agreement"] == 1
    assert student.training
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())


def test_images_that_nobody_gives_are_procedural(tmp_path: Path, student: lb.Classifier) -> None:
    with pytest.warns(UserWarning, match="nothing says on what to check the file; it is checked on 64 procedural"):
        exported = lb.export(student, tmp_path / "out", format="pt2")
    assert exported.description["check"] == {"images": "dead-leaves/train", "n": 64, "student_top1": None}


class Branching(Plain):
    def look(self, maps: torch.Tensor) -> torch.Tensor:
        if maps.mean() > 0:
            return maps.relu()
        return maps


class Counted(Plain):
    def look(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.view(2, 6, 6, 6).relu() if len(maps) == 2 else maps.relu()


class Fixed(Plain):
    def look(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.view(32, -1).view(maps.shape).relu()


class Failing(Plain):
    def look(self, maps: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            raise KeyError("this one")
        return maps


class Drawing(Plain):
    def look(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(maps, 0.5, training=True)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            Branching,
            r"hangs on the values that it computes \(`if maps.mean\(\) > 0:`, test_export.py:\d+\), and",
        ),
        (Counted, r"its code fixes the number of images in a batch, as `view\(32, -1\)` does; take that of its input"),
        (
            Fixed,
            r"asked about 1 image, it ends in RuntimeError \(`return maps.view\(32, -1\)..*`, test_export.py:\d+\): "
            r"shape .*A file takes any number of images: code that fixes it, as `view\(32, -1\)` does",
        ),
        (
            Failing,
            r"`torch.export` ends in KeyError \(`raise KeyError\(\"this one\"\)`, test_export.py:\d+\): 'th",
        ),
    ],
)
def test_why_a_network_cannot_go_out(
    kind: type[Plain], words: str, tmp_path: Path, test_images: lb.ImageSet, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=f"^{kind.__name__} cannot be exported: .*{words}"):
        lb.export(wrapped(kind()), tmp_path / "out", format="pt2", test=test_images)
    assert not [*tmp_path.iterdir()]
    assert "".join(capfd.readouterr()) == "", "no graphs, nor notes for authors of torch"


def test_what_answers_otherwise_is_not_kept(tmp_path: Path, test_images: lb.ImageSet) -> None:
    words = r"the pt2 file and the student disagree: of 50 images of 'digits/test', logits differ by up to .* nothing"
    with pytest.raises(UserError, match=words):
        lb.export(wrapped(Drawing()), tmp_path / "out", format="pt2", test=test_images)
    assert not [*tmp_path.iterdir()]


def test_logits_that_are_not_finite(tmp_path: Path, student: lb.Classifier, test_images: lb.ImageSet) -> None:
    with torch.no_grad():
        student.network.head.bias[3] = float("nan")
    with pytest.raises(UserError, match="the student's logits are not finite on images of 'digits/test'"):
        lb.export(student, tmp_path / "out", format="pt2", test=test_images)


def test_classes_of_the_images_must_be_the_students(tmp_path: Path, test_images: lb.ImageSet) -> None:
    options = {"num_classes": 10, "input_size": 8, "channels": 1, "mean": [0.3], "std": [0.4]}
    student = lb.wrap(Plain(), classes=[f"the {digit}" for digit in digits()], **options)
    other = test_images.with_labels(test_images.labels, [f"class {digit}" for digit in digits()])
    with pytest.raises(UserError, match="'digits/test' has other classes: 'class 0', 'class 1'"):
        lb.export(student, tmp_path / "out", format="pt2", test=other)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "onxx"}, "unknown format 'onxx'; did you mean 'onnx'"),
        ({"opset": 9}, "`opset` must be a whole number >= 15, got 9; 18 is the default"),
        ({"opset": 999}, r"`opset` must lie in 15\.\.\d\d, the newest of onnx .*, got 999; 18 is the default"),
        (
            {"threads": 0, "tolerance": 0},
            "(?s)`tolerance` must be a number > 0, got 0.*`threads` must be .* >= 1, got",
        ),
        ({"normalisation": "both"}, "`normalisation` must be 'inside' or 'outside', got 'both'"),
        ({"input_type": "uint8", "normalisation": "outside"}, "what was normalised is float32"),
        ({"format": "pt2", "opset": 18, "int8": True}, "(?s)`opset` is of format 'onnx', got it with 'pt2'.*`int8` is"),
        ({"format": "safetensors", "size": 8}, "`size` is of formats 'onnx' and 'pt2'"),
        ({"size": 0}, "^`size` must be one or two whole numbers >= 1, got"),
        ({"calibration": "digits"}, "`calibration` images are of int8; say `int8`, too"),
        ({"int8": True}, "`int8` needs images such as the network will see: `calibration`"),
        ({"test": 5}, r"`test` must be .*got int"),
    ],
)
def test_settings_are_checked_first(
    settings: dict[str, Any], words: str, tmp_path: Path, student: lb.Classifier, test_images: lb.ImageSet
) -> None:
    with pytest.raises(UserError, match=words):
        lb.export(student, tmp_path / "out", **{"test": test_images, **settings})
    assert not [*tmp_path.iterdir()]


def test_calibration_images_have_the_networks_channels(tmp_path: Path, test_images: lb.ImageSet) -> None:
    student = wrapped(Plain(3), channels=3)
    with pytest.raises(UserError, match=r"must have the 3 channel\(s\) that Plain takes, got 1 of 'digits/test'"):
        lb.export(student, tmp_path / "out", int8=True, calibration=test_images, test=test_images)


def test_a_missing_package_names_the_extra(
    tmp_path: Path, student: lb.Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.exporting.settings.find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(UserError, match=r"needs onnxruntime: pip install 'limbeck\[export\]'"):
        lb.export(student, tmp_path / "out")


def test_what_is_not_there_is_said_before_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.exporting.settings.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["export", "nowhere"])
    assert result.exit_code == 2
    assert "unknown weights 'nowhere'" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "val"], "`--split` is of --test; give it, or leave this out"),
        (["--skip-unreadable", "--scale", "9"], "`--skip-unreadable`, `--scale` are of --test and --calibration; give"),
        (["--format", "pt2", "--threads", "2"], "`threads` is of format 'onnx', got it with 'pt2'"),
    ],
)
def test_options_of_what_is_not_there_are_refused(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["export", "nowhere", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["student.onnx", "student.pt2", "student.safetensors"])
def test_out_is_a_folder(name: str, tmp_path: Path, student: lb.Classifier) -> None:
    with pytest.raises(UserError, match=r"`out` is a new folder, for the file and what describes it, got .*; say"):
        lb.export(student, tmp_path / name)


def test_runs_of_a_comparison_go_to_folders_of_their_own(tmp_path: Path) -> None:
    assert _name_of(Path("runs/small")) == "small"
    assert _name_of(tmp_path / "photos/runs/full/seed-0") == "seed-0"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/recipe.yaml").touch()
    assert _name_of(tmp_path / "photos/runs/full/seed-0") == "photos-full-seed-0"


def test_what_is_no_run_and_no_network(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no config.json"):
        lb.export(tmp_path, tmp_path / "out")
    with pytest.raises(UserError, match=r"got a bare Plain; `lb\.wrap"):
        lb.export(Plain(), tmp_path / "out")  # pyright: ignore[reportArgumentType]


def test_int8_that_answers_otherwise_is_a_warning(
    tmp_path: Path, student: lb.Classifier, test_images: lb.ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ExportSettings(int8=True)
    checked = Checked(student.eval(), test_images, FileInputs(student, (1, 8, 8), settings))
    monkeypatch.setattr(export, "quantise", lambda *_: 5)
    monkeypatch.setattr(export, "OnnxNetwork", lambda *_: lambda inputs: -student(inputs).logits.detach())
    (tmp_path / "model.int8.onnx").touch()
    about = dict.fromkeys(("limbeck", "network", "classes", "input", "output", "precision"), "")
    with pytest.warns(UserWarning, match=r"the int8 network gives the student's class for 0.0% of 50 images"):
        result = export._write_int8(tmp_path / "model.onnx", checked, test_images, about)
    assert result["calibration"] == {"images": "digits/test", "n": 5}


def test_tolerance_is_in_units_of_the_largest_logit(student: lb.Classifier, test_images: lb.ImageSet) -> None:
    checked = Checked(student.eval(), test_images, FileInputs(student, (1, 8, 8), ExportSettings()))
    largest = checked.logits.abs().max().item()
    assert largest > 1

    def off_by(share: float) -> checking.Answering:
        return lambda inputs: student(inputs).logits.detach() + share * largest

    assert checked.check(off_by(0.005), 0.01, "it")["agreement"] == 1
    with pytest.raises(UserError, match="it and the student disagree"):
        checked.check(off_by(0.02), 0.01, "it")
    with pytest.raises(UserError, match="it and the student disagree"):
        checked.check(lambda inputs: student(inputs).logits[:, :5].detach(), 0.01, "it")


def test_learned_images_become_whole_gray_levels_where_the_file_takes_these(student: lb.Classifier) -> None:
    learned = lb.ImageSet.of_floats(torch.rand(3, 1, 8, 8) * 3 - 1)
    (_, whole), _ = FileInputs(student, (1, 8, 8), ExportSettings(input_type="uint8")).batches(learned)
    assert torch.equal(whole, in_levels(learned.floats()[:1]))
    (_, first), (_, rest) = FileInputs(student, (1, 8, 8), ExportSettings()).batches(learned)
    assert torch.equal(torch.cat([first, rest]), learned.floats())


def test_what_onnx_lacks_is_named() -> None:
    inner = RuntimeError("No ONNX function found for <OpOverload(op='aten._linalg_svd', overload='default')>. Failure")
    outer = ValueError("Failed to convert")
    outer.__cause__ = inner
    assert _reason(outer) == "there is no ONNX operator for aten._linalg_svd, which its code calls"
    assert _reason(ValueError("odd\nlines")) == "the exporter ends in ValueError: odd"
