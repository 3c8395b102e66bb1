"""The settings of an export, and a check for the packages that it needs."""

from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from typing import Literal, get_args

from limbeck.errors import UserError, unknown_name
from limbeck.signatures import is_int_or_float

Format = Literal["onnx", "pt2", "safetensors"]
Normalisation = Literal["inside", "outside"]
InputType = Literal["float32", "uint8"]

FILES: dict[str, str] = {"onnx": "model.onnx", "pt2": "model.pt2", "safetensors": "model.safetensors"}
"""Format -> the file that holds the network, in the folder of the export."""
INT8_FILE = "model.int8.onnx"
LOWEST_OPSET, DEFAULT_OPSET = 15, 18
"""torch writes operator sets from 18 on; ONNX's own converter goes back as far as 15."""


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How a student becomes a file.

    Attributes:
        format: "onnx"; "pt2", a program of `torch.export`; or "safetensors", weights that `lb.load_model` reads.
        normalisation: "inside": the file takes images in [0, 1], or uint8; "outside": it takes what
            `Classifier.prepare` makes of them, and its description says how.
        input_type: "float32", or "uint8" for pixels 0..255, which the file divides by 255 itself.
        size: height and width of the images that the file takes, one number for a square; by default the network's own
            `input_size`, else that of the images that it is checked on. A network of another size resizes inside.
        opset: of ONNX, from 15 to the newest that the installed onnx knows; by default 18.
        int8: whether to write a quantised network beside it.
        tolerance: by how much logits of the file may differ from the student's, in units of its largest logit (of 1 if
            that is smaller), > 0.
        latency: whether to time the file.
        threads: that the file is timed with, >= 1; by default as many as torch uses.

    Raises:
        UserError: all that is wrong with them, at once.
    """

    format: Format = "onnx"
    normalisation: Normalisation = "inside"
    input_type: InputType = "float32"
    size: int | tuple[int, int] | None = None
    opset: int | None = None
    int8: bool = False
    tolerance: float = 1e-4
    latency: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.format not in get_args(Format):
            raise unknown_name("format", str(self.format), get_args(Format))
        wrong = [*self._wrong_values(), *self._unfit()]
        if wrong:
            raise UserError("\n".join(wrong))

    def check_runtime(self) -> None:
        """Raises a UserError where the packages that the format needs are missing, or too old for the operators."""
        if self.format == "onnx":
            check_installed()
            _check_newest(self.operators)

    @property
    def operators(self) -> int:
        """The version of ONNX's operators that the file is written in."""
        return DEFAULT_OPSET if self.opset is None else self.opset

    @property
    def inside(self) -> bool:
        return self.normalisation == "inside"

    @property
    def input_name(self) -> str:
        """Of the file's one input."""
        return "images" if self.inside else "inputs"

    def _wrong_values(self) -> list[str]:
        wrong = []
        for name, choices in (("normalisation", get_args(Normalisation)), ("input_type", get_args(InputType))):
            if getattr(self, name) not in choices:
                wrong.append(f"`{name}` must be {' or '.join(map(repr, choices))}, got {getattr(self, name)!r}.")
        if not is_int_or_float(self.tolerance) or not isfinite(self.tolerance) or self.tolerance <= 0:
            wrong.append(f"`tolerance` must be a number > 0, got {self.tolerance!r}.")
        sizes = self.size if isinstance(self.size, tuple | list) else (self.size,)
        whole = all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sizes)
        if self.size is not None and not (whole and len(sizes) in (1, 2)):
            wrong.append(f"`size` must be one or two whole numbers >= 1, got {self.size!r}.")
        for name, least in (("opset", LOWEST_OPSET), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                hint = f"; {DEFAULT_OPSET} is the default" if name == "opset" else ""
                wrong.append(f"`{name}` must be a whole number >= {least}, got {value!r}{hint}.")
        return wrong

    def _unfit(self) -> list[str]:
        """Settings that are given and would change nothing in a file of this format."""
        unfit = []
        if self.format != "onnx":
            options = {"opset": self.opset is not None, "int8": self.int8, "threads": self.threads is not None}
            unfit += [
                f"`{name}` is of format 'onnx', got it with {self.format!r}." for name in options if options[name]
            ]
        if self.format == "safetensors":
            changed = {
                "normalisation": self.normalisation != "inside",
                "input_type": self.input_type != "float32",
                "size": self.size is not None,
            }
            unfit += [
                f"`{name}` is of formats 'onnx' and 'pt2': weights that `lb.load_model` reads bring their own."
                for name in changed
                if changed[name]
            ]
        elif not self.inside and self.input_type == "uint8":
            unfit.append("`input_type` 'uint8' is of files that normalise inside; what was normalised is float32.")
        return unfit


def check_installed() -> None:
    """Raises a UserError that names the extra, where ONNX's packages are missing.

    Example:
        >>> check_installed()
    """
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"format 'onnx' needs {', '.join(missing)}: pip install 'limbeck[export]'. Formats 'pt2' and 'safetensors' "
            "do without."
        )


def _check_newest(opset: int) -> None:
    import onnx.defs

    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise UserError(
            f"`opset` must lie in {LOWEST_OPSET}..{newest}, the newest of onnx {onnx.__version__}, got {opset}; "
            f"{DEFAULT_OPSET} is the default."
        )
