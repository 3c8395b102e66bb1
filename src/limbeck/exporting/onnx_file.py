"""A traced network as ONNX, in the version of its operators that is wanted.

By torch's exporter for programs of `torch.export`; before torch 2.9, which made it the default, by the one for
TorchScript, which works better in those releases.
"""

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.jit._trace import TracerWarning

from limbeck.errors import UserError
from limbeck.exporting.settings import DEFAULT_OPSET
from limbeck.exporting.traced import Exportable

if TYPE_CHECKING:
    import onnx

OUTPUT = "logits"
_BATCH = "batch"
_LARGEST = 2**31 - 2**20  # bytes of one protobuf message, and room for the graph
_BY_PROGRAM = inspect.signature(torch.onnx.export).parameters["dynamo"].default is True


def onnx_model(
    module: Exportable, program: ExportedProgram, example: Tensor, *, input_name: str, opset: int
) -> "onnx.ModelProto":
    """The network with one input `[batch, C, H, W]` and one output, `logits` `[batch, K]`.

    Args:
        module: the network.
        program: its trace.
        example: the input that it was traced with.
        input_name: name of the input.
        opset: version of ONNX's operators.

    Raises:
        UserError: ONNX lacks an operator, at all or in that version; weights beyond 2 GiB.
    """
    name = module.classifier.name
    if sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values()) > _LARGEST:
        raise UserError(f"{name} has weights of more than 2 GiB, which no single ONNX file holds; take format 'pt2'.")
    try:
        if _BY_PROGRAM:
            model = _by_program(program, input_name, max(opset, DEFAULT_OPSET))
        else:
            model = _by_torchscript(module, example, input_name, opset)
    except Exception as error:  # whatever the exporter and its libraries raise
        raise UserError(f"{name} cannot be exported to ONNX: {_reason(error)}.") from error
    _tidy(model)
    return _in_version(model, opset, name)


def set_metadata(model: "onnx.ModelProto", metadata: Mapping[str, str]) -> None:
    """Puts text into the file, where `InferenceSession.get_modelmeta().custom_metadata_map` finds it."""
    from onnx import helper

    helper.set_model_props(model, dict(metadata))
    model.producer_name = "limbeck"


def _by_program(program: ExportedProgram, input_name: str, opset: int) -> "onnx.ModelProto":
    exported = torch.onnx.export(
        program,
        (),
        input_names=[input_name],
        output_names=[OUTPUT],
        opset_version=opset,
        dynamo=True,
        verbose=False,
    )
    assert exported is not None
    return exported.model_proto


def _by_torchscript(module: Exportable, example: Tensor, input_name: str, opset: int) -> "onnx.ModelProto":
    import onnx

    with TemporaryDirectory(prefix="limbeck-") as folder, warnings.catch_warnings():
        # Warnings of branches in Python that might depend on values; as `torch.export` could trace it, none does.
        warnings.simplefilter("ignore", TracerWarning)
        written = Path(folder) / "network.onnx"
        torch.onnx.export(
            module,
            (example,),
            written,
            input_names=[input_name],
            output_names=[OUTPUT],
            opset_version=opset,
            dynamic_axes={input_name: {0: _BATCH}, OUTPUT: {0: _BATCH}},
            dynamo=False,
        )
        return onnx.load(written)


def _tidy(model: "onnx.ModelProto") -> None:
    """Removes what tells of this machine (paths of source files) and of other versions than the file's own."""
    from onnx import helper

    graph = model.graph
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
        for dimension in value.type.tensor_type.shape.dim:
            if symbol and dimension.dim_param == symbol:
                dimension.dim_param = _BATCH
    for node in _nodes(model):
        del node.metadata_props[:]
        node.doc_string = ""
        for index in reversed(range(len(node.attribute))):
            attribute = node.attribute[index]
            # The default, written out in an attribute that older operators do not know.
            if attribute.name == "noop_with_empty_axes" and attribute.i == 0:
                del node.attribute[index]
    del graph.metadata_props[:]
    del model.metadata_props[:]
    model.doc_string = graph.doc_string = ""
    model.ir_version = helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)


def _nodes(model: "onnx.ModelProto") -> Iterator[Any]:
    return chain(model.graph.node, *(function.node for function in model.functions))


def _in_version(model: "onnx.ModelProto", opset: int, name: str) -> "onnx.ModelProto":
    from onnx import checker, helper, version_converter

    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    reason = f"the exporter of torch {torch.__version__} writes {version}"
    if opset < version:
        try:
            model = version_converter.convert_version(model, opset)
            checker.check_model(model)
            version = opset
        except Exception as error:  # RuntimeError, or of the checker
            reason = f"onnx's converter says {_last_words(error)}"
    if opset != version:
        raise UserError(
            f"{name} cannot be written with ONNX's operators of version {opset}: {reason}. Take another `opset`; "
            f"{DEFAULT_OPSET} is the default."
        )
    model.ir_version = helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True)
    return model


def _reason(error: BaseException) -> str:
    """Why the exporter failed, in one sentence: what the innermost of its errors says."""
    while error.__cause__ is not None:
        error = error.__cause__
    message = str(error)
    operator = re.search(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'", message)
    operator = operator or re.search(r"operator '([\w.:]+)'.* is not supported", message)
    if operator:
        return f"there is no ONNX operator for {operator[1]}, which its code calls"
    return f"the exporter ends in {type(error).__name__}: {_last_words(error)}"


def _last_words(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
