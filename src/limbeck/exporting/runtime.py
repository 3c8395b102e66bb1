"""ONNX Runtime on this machine's processor: what a file answers, and how long it takes."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.exporting.inputs import Shape

BATCHES = (1, 32)
"""Batch sizes that are timed."""
_SECONDS, _FEWEST, _MOST = 0.3, 5, 300


class OnnxNetwork:
    """A network in an ONNX file, ready to answer.

    Args:
        path: of the file.
        threads: that one forward pass uses.

    Raises:
        UserError: ONNX Runtime cannot run it.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors alone
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no class in common
            raise UserError(
                f"onnxruntime {onnxruntime.__version__} cannot run what was exported ({_first_line(error)}); take "
                "another `opset`, or update onnxruntime."
            ) from error
        self.input = self.session.get_inputs()[0]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits float32 `[B, K]` for what the file takes, `[B, C, H, W]`."""
        return torch.from_numpy(self._run(inputs.numpy()))

    def _run(self, inputs: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self.session.run(None, {self.input.name: inputs})[0])
        except Exception as error:  # its errors have no class in common
            raise UserError(
                f"onnxruntime cannot run what was exported on {len(inputs)} image(s) ({_first_line(error)}); take "
                "another `opset`, or leave out int8 if this is of int8."
            ) from error

    def latency(self, shape: Shape, batch: int) -> dict[str, float | int]:
        """Milliseconds of `n` answers to a batch, after one that warms up: median, 5th and 95th percentile."""
        dtype = np.uint8 if "uint8" in self.input.type else np.float32
        inputs = np.zeros((batch, *shape), dtype)
        self._run(inputs)
        seconds: list[float] = []
        deadline = time.perf_counter() + _SECONDS
        while len(seconds) < _FEWEST or (len(seconds) < _MOST and time.perf_counter() < deadline):
            began = time.perf_counter()
            self._run(inputs)
            seconds.append(time.perf_counter() - began)
        low, median, high = (1000 * np.percentile(seconds, (5, 50, 95))).tolist()
        return {"median": median, "p5": low, "p95": high, "n": len(seconds)}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
