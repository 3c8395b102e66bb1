"""The ONNX files of a run: what is in them, what they answer, what is said of them."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.exporting.conftest import Door, command, digits

import limbeck as lb
from limbeck.exporting import onnx_file, runtime
from limbeck.exporting.runtime import OnnxNetwork


@pytest.fixture
def about(door: Door) -> dict:
    return json.loads((door.folder / "export.json").read_text())


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_number_of_images_have_the_students_logits_and_nothing_else(door: Door, batch: int) -> None:
    session = onnxruntime.InferenceSession(door.folder / "model.onnx")
    images = lb.load("digits", "test").floats(torch.arange(batch))
    (logits,) = session.run(None, {"images": images.numpy()})
    student = lb.load_model(door.path / "runs/small/student")
    torch.testing.assert_close(torch.from_numpy(logits), student(images).logits.detach(), atol=1e-5, rtol=1e-4)
    assert [output.name for output in session.get_outputs()] == ["logits"]
    assert session.get_inputs()[0].shape == ["batch", 1, 8, 8]
    assert session.get_outputs()[0].shape == ["batch", 10]


@pytest.mark.parametrize(("file", "precision"), [("model.onnx", "float32"), ("model.int8.onnx", "int8")])
def test_the_file_says_what_it_takes_and_tells_apart(door: Door, file: str, precision: str) -> None:
    metadata = onnxruntime.InferenceSession(door.folder / file).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == digits()
    assert json.loads(metadata["input"])["normalisation"] == "inside"
    assert json.loads(metadata["output"]) == {"name": "logits", "dtype": "float32", "shape": ["batch", 10]}
    assert (metadata["network"], metadata["precision"]) == ("convnet_d3", precision)


def test_the_file_is_of_the_default_opset_and_tells_nothing_of_this_machine(door: Door) -> None:
    model = onnx.load(door.folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [18]
    assert model.ir_version == 8
    assert b".py" not in model.SerializeToString()


def test_int8_is_of_int8_weights_with_a_scale_for_each_channel(door: Door) -> None:
    model = onnx.load(door.folder / "model.int8.onnx")
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") >= 4
    weights = [array for array in arrays.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(weights) == 3
    scales = [arrays[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    assert sum(scale.size == 16 for scale in scales if scale.ndim) >= 3


def test_what_was_found_is_said(door: Door, about: dict) -> None:
    full, small = about["files"]["model.onnx"], about["files"]["model.int8.onnx"]
    assert about["check"] == {"images": "digits/test", "n": 360, "student_top1": full["top1"]}
    assert full["agreement"] == 1
    assert full["max_difference"] <= full["allowed"] < 1e-2
    assert full["size_bytes"] == (door.folder / "model.onnx").stat().st_size > small["size_bytes"]
    assert small["calibration"] == {"images": "digits/train", "n": 1024}
    assert small["agreement"] > 0.9
    assert abs(small["top1"] - full["top1"]) < 0.05
    readme = (door.folder / "README.md").read_text()
    assert f"| {100 * small['top1']:.2f} | {100 * small['agreement']:.2f} |" in readme
    assert "classes, in this order: 0, 1, 2" in readme
    assert "model.int8.onnx" in door.output


def test_nothing_is_overwritten(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(door.path)
    before = {path: path.stat().st_mtime_ns for path in door.folder.iterdir()}
    output = command("export", "runs/small", status=2)
    assert "'runs/small-onnx' exists already and is never overwritten; choose another `out`." in output
    assert before == {path: path.stat().st_mtime_ns for path in door.folder.iterdir()}


def test_latency_is_that_of_batches(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_SECONDS", 0)
    latency = OnnxNetwork(door.folder / "model.onnx", 1).latency((1, 8, 8), 32)
    assert latency["n"] == 5
    assert 0 < latency["p5"] <= latency["median"] <= latency["p95"]


def test_a_file_that_the_runtime_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(lb.UserError, match=r"onnxruntime .* cannot run what was exported \(.*; take another `opset`"):
        OnnxNetwork(tmp_path / "model.onnx", 1)


def test_a_file_that_fails_on_the_way(door: Door) -> None:
    with pytest.raises(lb.UserError, match=r"cannot run what was exported on 3 image\(s\) \(.*; take another"):
        OnnxNetwork(door.folder / "model.onnx", 1)(torch.zeros(3, 1, 9, 9))


def test_older_operators_by_onnx_and_a_reason_where_there_are_none(door: Door) -> None:
    model = onnx.load(door.folder / "model.onnx")
    older = onnx_file._in_version(model, 15, "it")
    assert [opset.version for opset in older.opset_import if not opset.domain] == [15]
    assert older.ir_version == 8
    onnx.checker.check_model(older)
    model.graph.node[-1].op_type = "Unheard"
    words = r"it cannot be written with ONNX's operators of version 16: onnx's converter says .*; 18 is the default\."
    with pytest.raises(lb.UserError, match=words):
        onnx_file._in_version(model, 16, "it")
