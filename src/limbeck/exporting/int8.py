"""A quantised network beside the float one: ONNX Runtime's static quantisation, calibrated on images.

Weights are int8, a scale for each output channel where the operator supports it, activations int8 with a scale for each
tensor (QDQ: pairs of QuantizeLinear and DequantizeLinear around each operator). Scales of activations come from the
smallest and largest value that calibration images produce. https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError, first_line
from limbeck.exporting.inputs import FileInputs
from limbeck.exporting.onnx_file import set_metadata

MOST_IMAGES = 1024
"""Calibration images that are used at most, evenly spread over all."""
_WHITENING = "_whitening.matrix"


def quantise(source: Path, target: Path, images: ImageSet, inputs: FileInputs, metadata: dict[str, str]) -> int:
    """Writes `target`, the network of `source` in int8; returns how many images it was calibrated on.

    Args:
        source: an ONNX file.
        target: a new file.
        images: such as the network will see.
        inputs: brings them to what the file takes.
        metadata: of the new file.

    Raises:
        UserError: ONNX Runtime cannot quantise the network.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = _spread(images)
    with TemporaryDirectory(prefix="limbeck-") as folder, _without_remarks():
        prepared = Path(folder) / "prepared.onnx"
        try:
            # Batch norms are folded into the convolutions before them, and every tensor gets a shape.
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Reader(inputs, images),  # pyright: ignore[reportArgumentType]
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                nodes_to_exclude=_kept_in_float(onnx.load(prepared)),
            )
        except Exception as error:  # whatever ONNX Runtime's tools raise
            raise UserError(
                f"ONNX Runtime cannot quantise {inputs.classifier.name} ({type(error).__name__}: {first_line(error)}); "
                "export it without int8."
            ) from error
    model = onnx.load(target)
    set_metadata(model, metadata)
    onnx.save(model, target)
    return len(images)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Silences what the tools log below errors: advice that was followed, scales that are for a whole tensor."""
    root = logging.getLogger()
    level, handler = root.level, logging.NullHandler()
    root.setLevel(logging.ERROR)
    root.addHandler(handler)  # else the tools would make Python add one for good
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _spread(images: ImageSet) -> ImageSet:
    if len(images) <= MOST_IMAGES:
        return images
    return images.subset(images.ids[torch.linspace(0, len(images) - 1, MOST_IMAGES).round().long()])


class _Reader:
    """What ONNX Runtime calibrates with: batches by the name of the file's input, then None."""

    def __init__(self, inputs: FileInputs, images: ImageSet) -> None:
        self.name = inputs.settings.input_name
        self.batches = inputs.batches(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch[1].numpy()}


def _kept_in_float(model: Any) -> list[str]:
    """Nodes that whiten, as 8 bits are too few for a matrix of values of all sizes, and nodes that normalise, which are
    cheap, and of which ONNX Runtime's tools confuse the constants of several instance norms."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type.endswith("Normalization") or any(name.endswith(_WHITENING) for name in node.input)
    ]
