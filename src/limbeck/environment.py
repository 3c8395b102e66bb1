"""What a result was computed on: versions, hardware, and settings outside a recipe that affect rounding and speed."""

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from limbeck.entry_points import offers

_PACKAGES = (
    *("limbeck", "torch", "torchvision", "timm", "datasets", "accelerate", "numpy", "scipy", "scikit-learn"),
    *("pillow", "openTSNE", "ray"),
)
_VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR"),
    *("DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
    *("CUDA_VISIBLE_DEVICES", "TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "WORLD_SIZE"),
)
_LAUNCHER = "ACCELERATE_"


def describe_environment() -> dict[str, Any]:
    """Versions, processor, threads, devices, torch's own settings and variables, as JSON can hold them."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "plugins": _plugins(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "torch": _torch_settings(),
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name in _VARIABLES or name.startswith(_LAUNCHER)
        },
    }


def shaping_rounding(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Processor, GPUs and torch of a description, as far as it has them.

    Example:
        >>> sorted(shaping_rounding(describe_environment()))
        ['devices', 'instructions', 'processor', 'torch']
    """
    described = {name: environment[name] for name in ("processor", "instructions", "devices") if name in environment}
    torch_version = environment.get("packages", {}).get("torch")
    return described | ({} if torch_version is None else {"torch": torch_version})


def _plugins() -> dict[str, str]:
    """Installed packages that offer parts beside limbeck's own, and their versions."""
    offered = [offer for names in offers().values() for group in names.values() for offer in group]
    return {offer.package: offer.version for offer in sorted(offered, key=lambda offer: offer.package)}


def _torch_settings() -> dict[str, Any]:
    """Global settings of torch that a program may change and no recipe knows: types, and how float32 is rounded."""
    return {
        "default_dtype": str(torch.get_default_dtype()),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


@cache
def _version(package: str) -> str | None:
    """Looked up once, as a comparison of many short runs notes it for each of them."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor_name() -> str:
    """The processor's model: on Linux only /proc has it, elsewhere `platform` does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
