"""Reading safetensors files as a whole."""

from pathlib import Path
from typing import Any, Literal

from safetensors import safe_open


def read_safetensors(path: Path, framework: Literal["pt", "np"] = "pt") -> tuple[dict[str, Any], dict[str, str]]:
    """All tensors of a safetensors file by name, and the metadata in its header, {} if there is none.

    Args:
        path: the file.
        framework: "pt" for tensors of torch on the CPU, "np" for arrays of numpy.

    Raises:
        SafetensorError: the file is broken.
        OSError: it cannot be read.
    """
    with safe_open(path, framework=framework) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  not a dict
