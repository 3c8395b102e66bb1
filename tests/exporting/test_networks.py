"""Networks of the zoo, of timm and of an engineer's own leave as ONNX and as int8, in old opsets and new ones."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.exporting.conftest import Plain, command, digits, wrapped

import limbeck as lb

pytestmark = pytest.mark.slow
ZOO = [
    *("resnet8", "resnet20_option_a", "resnet18_instance", "ResNet50", "wrn_16_1", "vgg8_w8", "vgg11_instance"),
    *("MobileNetV2", "ShuffleV1", "ShuffleV2", "convnet_d3", "lenet5", "alexnet"),
]
"""One of every family, and of every kind of normalisation and shortcut."""
TIMM = ["timm:resnet18", "timm:mobilenetv3_small_050", "timm:vit_tiny_patch16_224", "timm:convnext_atto"]


def images(channels: int = 3, size: int = 32, count: int = 16) -> lb.ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
    return lb.ImageSet(pixels, torch.arange(count) % 10, classes=digits(), name="random")


def exported(student: lb.Classifier, out: Path, seen: lb.ImageSet, **settings: Any) -> dict[str, Any]:
    return lb.export(student.eval(), out, test=seen, latency=False, **settings).description["files"]


@pytest.mark.filterwarnings("ignore:the int8 network gives")  # untrained ones know no class well
@pytest.mark.parametrize("name", [*ZOO, *TIMM])
def test_networks_go_out(name: str, tmp_path: Path) -> None:
    size = 64 if name.startswith("timm:") else 32
    student = lb.create(name, num_classes=10, input_size=size, classes=digits())
    seen = images(size=size)
    files = exported(student, tmp_path / "out", seen, int8=True, calibration=seen)
    assert files["model.onnx"]["agreement"] == 1
    assert files["model.int8.onnx"]["size_bytes"] < files["model.onnx"]["size_bytes"]


@pytest.mark.parametrize("normalisation", ["inside", "outside"])
@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_networks_go_out_and_whitening_stays_in_float(
    normalisation: Any, channels: int, tmp_path: Path
) -> None:
    digit = lb.load("digits", size=16, channels=channels)
    whitening = lb.models.Whitening.fit(digit)
    options: dict[str, Any] = {"channels": channels, "width": 16, "norm": "batch", "whitening": whitening}
    student = lb.create("convnet_d3", num_classes=10, classes=digit.classes, **options)
    result = lb.distill(None, student, digit, out=tmp_path / "run", epochs=3, views="none", learning_rate=0.05)
    settings = {"normalisation": normalisation, "int8": True, "calibration": digit}
    files = exported(result.student, tmp_path / "out", digit, **settings)
    assert files["model.int8.onnx"]["agreement"] > 0.95
    model = onnx.load(tmp_path / "out/model.int8.onnx")
    matrices = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if len(tensor.dims) == 2]
    kept = any(np.array_equal(matrix, whitening.matrix.numpy()) for matrix in matrices)
    assert kept == (normalisation == "inside")


@pytest.mark.parametrize("opset", [15, 17, 21, 23])
def test_opsets(opset: int, tmp_path: Path) -> None:
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"the installed onnx knows {onnx.defs.onnx_opset_version()}")
    student = lb.create("resnet8", num_classes=10, input_size=32)
    seen = images()
    exported(student, tmp_path / "out", seen, opset=opset, int8=True, calibration=seen)
    for file in ("model.onnx", "model.int8.onnx"):
        versions = {opset_id.domain: opset_id.version for opset_id in onnx.load(tmp_path / "out" / file).opset_import}
        assert versions[""] == opset


def test_bytes_go_in(tmp_path: Path) -> None:
    student, seen = wrapped(Plain(3), channels=3, size=32), images()
    exported(student, tmp_path / "out", seen, input_type="uint8", int8=True, calibration=seen)
    (logits,) = onnxruntime.InferenceSession(tmp_path / "out/model.onnx").run(None, {"images": seen.tensor().numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), student(seen.tensor()).logits.detach())


def test_what_resizes_goes_out(tmp_path: Path) -> None:
    student = lb.create("resnet8", num_classes=10, input_size=48)
    exported(student, tmp_path / "out", images(), size=32)


class Decomposing(Plain):
    def look(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * torch.linalg.svd(maps)[1].sum((1, 2))[:, None, None, None]


def test_what_onnx_lacks(tmp_path: Path) -> None:
    words = r"Decomposing cannot be exported to ONNX: there is no ONNX operator for aten.*svd, which its code calls\."
    with pytest.raises(lb.UserError, match=words):
        lb.export(wrapped(Decomposing()), tmp_path / "out", test=images(1, 8))


RECIPES = {
    "selected": "select: {criterion: balanced-random, budget: 50}",
    "borrowed": "transfer: {maker: borrow, pools: [noise], budget: 40}\nteacher: {weights: runs/plain}",
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.filterwarnings("ignore")
def test_int8_is_calibrated_on_what_the_run_made(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    student = "student: {model: convnet_d3, options: {width: 8, norm: batch}}"
    training = "training: {epochs: 1, batch_size: 16, learning_rate: 0.05, views: none}"
    common = f"data: digits\n{student}\n{training}\nlatency: false\n"
    Path("plain.yaml").write_text(f"name: plain\n{common}")
    command("train", "plain.yaml")
    Path("made.yaml").write_text(f"name: made\n{common}{RECIPES[name]}\n")
    command("run", "made.yaml")
    files = lb.export("runs/made", "out", int8=True, latency=False).description["files"]
    assert files["model.int8.onnx"]["calibration"]["n"] == {"selected": 50, "borrowed": 40}[name]
