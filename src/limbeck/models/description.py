"""Hashes networks and values by content, equally in every process: the basis of fingerprints."""

import enum
import functools
import hashlib
import logging
import types
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.models.classifier import Classifier
from limbeck.models.code import OPERATORS, code_parts, compiled_home, home, library, named_globals
from limbeck.models.recorder import is_tap

_PLAIN = (bool, int, float, complex, str, bytes, range, slice, type(None), type(...), type(NotImplemented))
_OF_TORCH = (torch.dtype, torch.device, torch.layout, torch.memory_format)
_COMPILED = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.GetSetDescriptorType,
    np.ufunc,
)
# Kinds of functions and wrappers -> attributes that hold their content.
_PARTS: Mapping[type, tuple[str, ...]] = {
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset"),
    functools.cached_property: ("func",),
    functools.partial: ("func", "args", "keywords"),
    functools.partialmethod: ("func", "args", "keywords"),
    types.MethodType: ("__func__", "__self__"),
    type(functools.cache(print)): ("__wrapped__",),
}
# Attributes that torch and limbeck keep for themselves, and where timm's weights came from.
_BOOKKEEPING = frozenset([*vars(nn.Module()), "_compiled_call_impl", "_overwriting", "pretrained_cfg", "default_cfg"])
_BOOKKEEPING_OF_CLASSIFIERS = frozenset(["name", "config", "classes", "_recorder"])
_HOOKS = {
    "_forward_pre_hooks": ("_forward_pre_hooks_with_kwargs",),
    "_forward_hooks": ("_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
}


def describe(value: object) -> tuple[str, tuple[str, ...]]:
    """Hash of a value (32 hex digits), and descriptions of what in it could not be seen or vouched for."""
    description = _Description()
    try:
        description.add(value, "")
    except RecursionError:
        description.unseen.append("what is nested too deeply")
    return description.digest.hexdigest(), tuple(dict.fromkeys(description.unseen))


class _Description:
    """Feeds values to a digest; one met before is represented by its number."""

    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=16)
        self.unseen: list[str] = []
        # Keeps the values alive, so that no `id` is reused.
        self.met: dict[int, tuple[int, object]] = {}

    def add(self, value: Any, path: str) -> None:
        """Adds a value; `path` says where it was found."""
        if isinstance(value, enum.Enum):
            self._put("enum", type(value).__qualname__, value.name)
        elif isinstance(value, _OF_TORCH) or type(value) in _PLAIN:
            self._put(type(value).__name__, repr(value))
        elif id(value) in self.met:
            self._put("again", self.met[id(value)][0])
        else:
            self.met[id(value)] = (len(self.met), value)
            self._add_new(value, path)

    def _add_new(self, value: Any, path: str) -> None:
        if type(value) in _PARTS:
            self._put(type(value).__name__)
            self._add_all([getattr(value, part) for part in _PARTS[type(value)]], path)
            return
        match value:
            case nn.Module():
                self._add_module(value, path)
            case Tensor():
                self._add_tensor(value, path)
            case np.ndarray() | np.generic():
                self._add_array(np.asarray(value), path)
            case type():
                self._add_class(value)
            case types.CodeType():
                self._add_all(code_parts(value), path)
            case types.FunctionType():
                self._add_function(value, path)
            case _ if isinstance(value, (*_COMPILED, *OPERATORS)):
                self._add_compiled(value, path)
            case types.ModuleType():
                self._put("python module", value.__name__, *(library(value.__name__) or ()))
            case logging.Logger() | PurePath():
                self._put(type(value).__name__, value.name if isinstance(value, logging.Logger) else value)
            case weakref.ReferenceType():
                self.add(value(), path)
            case _:
                self._add_object(value, path)

    def _add_module(self, module: nn.Module, path: str) -> None:
        self._put("module")
        self.add(type(module), path)
        if isinstance(module, torch.jit.ScriptModule):
            self.unseen.append(f"TorchScript in {_at(path)}")
            self._put(getattr(module, "code", ""))
        for kind, flags in _HOOKS.items():
            for number, hook in getattr(module, kind).items():
                if not is_tap(hook):
                    self._put(kind, *(number in getattr(module, flag, {}) for flag in flags))
                    self.add(hook, f"a hook of {_at(path)}")
        left_out = _BOOKKEEPING | (_BOOKKEEPING_OF_CLASSIFIERS if isinstance(module, Classifier) else frozenset())
        of_library = library(type(module).__module__) is not None
        attributes = {
            name: value
            for name, value in vars(module).items()
            # Some networks of timm fill caches as they run.
            if name not in left_out and not (of_library and name.endswith("_cache"))
        }
        for items in (module._parameters, module._buffers, module._modules, attributes):
            self._add_items(items, path)

    def _add_tensor(self, tensor: Tensor, path: str) -> None:
        if nn.parameter.is_lazy(tensor):
            self.unseen.append(f"a tensor without data in {_at(path)}")
            self._put("lazy", type(tensor).__qualname__)
            return
        tensor = tensor.detach()
        self._put("tensor", type(tensor).__qualname__, tensor.dtype, tuple(tensor.shape))
        flatten = getattr(tensor, "__tensor_flatten__", None)
        if flatten is not None:
            self._add_all([getattr(tensor, name) for name in flatten()[0]], path)
        elif tensor.is_quantized:
            self._put(str(tensor.qscheme()))
            self._add_all([tensor.int_repr(), *_scales(tensor)], path)
        elif tensor.is_meta:
            self.unseen.append(f"a tensor without data in {_at(path)}")
        else:
            dense = (tensor if tensor.layout == torch.strided else tensor.to_dense()).cpu()
            content = dense.resolve_conj().resolve_neg().contiguous().reshape(-1)
            self.digest.update(content.view(torch.uint8).numpy().data)

    def _add_array(self, array: np.ndarray, path: str) -> None:
        self._put("array", array.dtype.str, array.shape)
        if array.dtype.hasobject:
            self._add_all(array.ravel().tolist(), path)
        else:
            self.digest.update(np.ascontiguousarray(array).tobytes())

    def _add_class(self, kind: type) -> None:
        """A class's name and members, bases included; of libraries' classes only members that others put there."""
        self._put("class", kind.__qualname__, *(library(kind.__module__) or ()))
        for base in kind.__mro__:
            if base is object or base is nn.Module:
                continue
            from_library = library(base.__module__) is not None
            self._put("base", base.__qualname__)
            for name, value in vars(base).items():
                if _is_content(name, value) and (not from_library or _is_foreign(value)):
                    self._put(name)
                    self.add(value, base.__qualname__)

    def _add_function(self, function: types.FunctionType, path: str) -> None:
        of_library = library(home(function))
        if of_library is not None:
            self._put("function", function.__code__.co_qualname, *of_library)
        else:
            self.unseen.append(f"code of {path or function.__qualname__}")
            self._put("function")
            self._add_all((function.__code__, function.__defaults__, function.__kwdefaults__), path)
            for name, value in named_globals(function):
                self._put(name)
                self.add(value, name)
        self._add_all([cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)], path)

    def _add_compiled(self, value: Any, path: str) -> None:
        owner = getattr(value, "__objclass__", None) or getattr(value, "__self__", None)
        module = compiled_home(value, owner)
        self._put("compiled", module, getattr(value, "__qualname__", value), *(library(module) or ()))
        if library(module) is None:
            self.unseen.append(f"compiled code in {_at(path)}")
        if owner is not None and not isinstance(owner, type | types.ModuleType):
            self.add(owner, path)

    def _add_object(self, value: Any, path: str) -> None:
        """Any other value: its class, its content as a collection or number, and its attributes."""
        self._put("object")
        self.add(type(value), path)
        match value:
            case dict() | types.MappingProxyType():
                self._add_items(value, path)
            case list() | tuple() | deque():
                self._put(len(value))
                self._add_all(value, path)
            case set() | frozenset():
                # Their order differs from process to process.
                parts = [describe(member) for member in value]
                self._put(*sorted(digest for digest, _ in parts))
                self.unseen += [words for _, unseen in parts for words in unseen]
            case int() | float() | str() | bytes():
                self._put(next(kind for kind in _PLAIN if isinstance(value, kind)).__repr__(value))
            case _ if not _is_of_python(value):
                state = _state(value)
                if state is None:
                    self.unseen.append(f"a {type(value).__qualname__} in {_at(path)}")
                self.add(state, path)
        self._add_items(_attributes(value), path)

    def _add_items(self, items: Mapping[Any, Any], path: str) -> None:
        self._put(len(items))
        for key, value in items.items():
            self.add(key, path)
            self.add(value, f"{path}.{key}".lstrip(".") if isinstance(key, str) else path)

    def _add_all(self, values: Iterable[Any], path: str) -> None:
        for value in values:
            self.add(value, path)

    def _put(self, *words: object) -> None:
        self.digest.update(repr([str(word) for word in words]).encode("utf-8", "surrogatepass"))


def _at(path: str) -> str:
    return f"`{path}`" if path else "the network"


def _is_content(name: str, value: object) -> bool:
    """Whether the author of a class wrote this member, and not Python."""
    if name.startswith("__") and name.endswith("__"):
        return isinstance(value, (types.FunctionType, *_PARTS)) and name != "__annotate__"
    return name != "_abc_impl" and not isinstance(value, types.MemberDescriptorType)


def _is_foreign(value: object) -> bool:
    """Whether a member of a library's class comes from elsewhere."""
    parts = [getattr(value, part) for part in _PARTS.get(type(value), ())] or [value]
    return any(isinstance(part, types.FunctionType) and library(home(part)) is None for part in parts)


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_of_python(value: object) -> bool:
    """Whether an object's state is all in its attributes."""
    new = type(value).__new__
    slots = any("__slots__" in vars(base) for base in type(value).__mro__)
    return (new is object.__new__ or isinstance(new, types.FunctionType)) and (hasattr(value, "__dict__") or slots)


def _attributes(value: object) -> dict[str, Any]:
    slots = [name for base in type(value).__mro__ for name in _as_names(vars(base).get("__slots__", ()))]
    attributes = {name: getattr(value, name) for name in slots if name != "__dict__" and hasattr(value, name)}
    return attributes | dict(getattr(value, "__dict__", {}))


def _as_names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _state(value: Any) -> Any:
    """The state of torch's compiled objects; None where they reveal none."""
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, torch.ScriptObject):
        try:
            return value.__getstate__()
        except (RuntimeError, AttributeError, TypeError):
            return None
    return None


def _scales(tensor: Tensor) -> tuple[Any, ...]:
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return tensor.q_scale(), tensor.q_zero_point()
    return tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis()
