"""Describes functions by what Python runs, and finds where code comes from."""

import dis
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch

from limbeck.version import RELEASE

_LIBRARIES = frozenset(["numpy", "timm", "torch", "torchvision"])
_PYTHON = ("python", "{}.{}".format(*sys.version_info))
OPERATORS = (torch._ops.OpOverload, torch._ops.OpOverloadPacket)
# Namespaces of `torch.ops` that torch and torchvision register.
_OPERATORS = frozenset(["aten", "prim", "prims", "quantized", "torchvision"])


def library(module: str) -> tuple[str, str] | None:
    """Name and version of the library that a module belongs to; None for other code, whose version says nothing.

    Libraries are Python's own, torch, torchvision, timm, NumPy and limbeck.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "builtins" or top.startswith("namedtuple_"):
        return _PYTHON
    if top == "limbeck":  # its release: by commit, teachers would be asked anew after each
        return top, RELEASE
    if top in _LIBRARIES:
        return top, str(getattr(sys.modules.get(top), "__version__", ""))
    return None


def compiled_home(function: Any, owner: object) -> str:
    """Name of a compiled function's module, or of that of the module, class or object that it belongs to."""
    if isinstance(function, OPERATORS):
        name = str(function).removeprefix("torch.ops.")
        return "torch" if name.partition(".")[0] in _OPERATORS else f"torch_ops_{name}"
    if isinstance(owner, types.ModuleType):
        return owner.__name__
    module = getattr(function, "__module__", None) or getattr(owner, "__module__", None)
    return str(module or type(function).__module__)


def home(function: types.FunctionType) -> str:
    """Name of the module whose globals a function uses; unlike `__module__`, decorators do not copy it."""
    return str(function.__globals__.get("__name__", ""))


def code_parts(code: types.CodeType) -> tuple[object, ...]:
    """What a code object does, without file and lines."""
    return code.co_name, code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars, code.co_flags


def named_globals(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """Global names that a function looks up, with their values; of the user's own modules also attributes it may use.

    Yields nothing for functions of installed packages, which call too much to follow.
    """
    if is_installed(home(function)):
        return
    for code in _nested(function.__code__):
        looked_up = {
            instruction.argval
            for instruction in dis.get_instructions(code)
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        }
        for name in sorted(looked_up & function.__globals__.keys()):
            value = function.__globals__[name]
            yield name, value
            if isinstance(value, types.ModuleType) and library(value.__name__) is None:
                attributes = [attribute for attribute in code.co_names if attribute in vars(value)]
                yield from ((f"{name}.{attribute}", vars(value)[attribute]) for attribute in attributes)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def is_installed(module: str) -> bool:
    """Whether a module, which has been imported, belongs to an installed package."""
    file = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file
