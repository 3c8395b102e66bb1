"""Reads the inside of a network by temporary forward hooks."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from limbeck.errors import UserError, unknown_name
from limbeck.models.taps import ACTIVATIONS, Outputs, Taps

WANTS = ("logits", "embedding", "stages", "pre_activations", "last_map")
_STAGES = frozenset(("stages", "pre_activations", "last_map"))
_MOST_PATHS = 24  # in a message

Function = TypeVar("Function", bound=Callable[..., Any])


def uncompiled(function: Function) -> Function:
    """A function that `torch.compile` calls without compiling it."""
    return cast(Function, torch.compiler.disable(function))


@contextmanager
def tracking_versions() -> Iterator[None]:
    """Leaves inference mode, whose tensors have no version that would show overwriting; still without a graph."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield


_Way = tuple[str, str, bool, bool]
Overwriting = dict[_Way, bool]
"""(part, path, training, with gradients) -> whether the network overwrites in place what is read there."""


class _Seen(NamedTuple):
    """What a hook saw: the value to return, the network's own tensor, and its version at that time."""

    value: Tensor
    own: Tensor
    version: int
    way: _Way | None


class Recorder:
    """Holds what the hooks of one `Classifier.tapping` saw in the current forward pass.

    It returns the values at the tap, even if the network overwrites them later in the same pass (`ReLU(inplace=True)`
    behind a tapped batch norm, `out += identity` behind a tapped block). The first pass returns copies and notes which
    tensors were overwritten; later ones copy only these, and check the versions of the others.

    Args:
        network: gets the hooks.
        taps: where they go.
        want: parts of the outputs.
        name: of the network in messages.
        overwriting: what is known of the network; outlives the recorder, which adds to it.
    """

    def __init__(
        self, network: nn.Module, taps: Taps, want: Collection[str], name: str, overwriting: Overwriting
    ) -> None:
        self.network = network
        self.want = frozenset(want)
        self.taps = taps
        self.name = name
        self.overwriting = overwriting
        self.seen: dict[tuple[str, str], _Seen] = {}
        if "embedding" in self.want and taps.embedding is None:
            raise _untapped("embedding", name, network)
        if _STAGES & self.want and not taps.stages:
            raise _untapped("stages", name, network)
        if "pre_activations" in self.want:
            self._check_activations(network)
        check_taps(network, taps)
        self._handles = list(self._hooks(network))

    def _check_activations(self, network: nn.Module) -> None:
        for path in self.taps.pre_activated():
            module = _find(network, path)
            if not isinstance(module, ACTIVATIONS):
                raise UserError(
                    f"`pre_activations` of {self.name} cannot be read: stage {path!r} ends in "
                    f"{type(module).__name__}, which is not an activation module; name activations in `stages`, or "
                    "choose an objective that reads `stages`."
                )

    def _hooks(self, network: nn.Module) -> Iterator[RemovableHandle]:
        if "embedding" in self.want and self.taps.embedding is not None:
            yield _find(network, self.taps.embedding).register_forward_pre_hook(_InputHook(self, "embedding", ""))
        for path in self.taps.stages if "stages" in self.want else ():
            yield _find(network, path).register_forward_hook(_OutputHook(self, "stages", path))
        for path in self.taps.pre_activated() if "pre_activations" in self.want else ():
            yield _find(network, path).register_forward_pre_hook(_InputHook(self, "pre_activations", path))
        if "last_map" in self.want:
            path = self.taps.deepest()
            yield _find(network, path).register_forward_hook(_OutputHook(self, "last_map", path))

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()

    def keep(self, part: str, path: str, value: object) -> None:
        where = path or self.taps.embedding
        if not isinstance(value, Tensor):
            raise UserError(
                f"tap {where!r} of {self.name} must carry one tensor, got {type(value).__name__}; name another module."
            )
        if (part, path) in self.seen:
            raise UserError(
                f"tap {where!r} of {self.name} runs more than once in a forward pass, so it is ambiguous which pass is "
                "meant; name a module that runs once."
            )
        self.seen[part, path] = self._seen(part, path, value)

    def _seen(self, part: str, path: str, value: Tensor) -> _Seen:
        # Compiled code is traced only once, so its passes cannot be observed; copies cost it next to nothing.
        if torch.compiler.is_compiling() or value.is_inference():
            return _Seen(value.clone(), value, 0, None)
        way = (part, path, self.network.training, torch.is_grad_enabled())
        return _Seen(value.clone() if self.overwriting.get(way, True) else value, value, value._version, way)

    def _check_overwriting(self, seen: Iterable[_Seen]) -> None:
        for value, own, version, way in seen:
            if way is None or self.overwriting.get(way, False):
                continue
            # Writes through `.data` or by foreign kernels leave the version unchanged.
            overwritten = own._version != version or (way not in self.overwriting and not torch.equal(value, own))
            self.overwriting[way] = overwritten
            if overwritten and value is own:
                raise UserError(
                    f"what tap {way[1] or self.taps.embedding!r} of {self.name} read was overwritten in place later in "
                    "this pass, and was not in the passes before; ask again, and it will be copied."
                )

    @uncompiled
    def forget(self) -> None:
        self.seen = {}

    @uncompiled
    def take(self, logits: Tensor, want: Collection[str]) -> Outputs:
        """Returns what was seen and forgets it, so that no activation outlives its step."""
        seen, self.seen = self.seen, {}
        self._check_overwriting(seen.values())
        embedding = None
        if "embedding" in want:
            embedding = _flat(self._one(seen, "embedding", ""), self.taps.embedding, self.name)
        parts = {
            part: tuple(self._stage(seen, part, path) for path in paths) if part in want else ()
            for part, paths in (("stages", self.taps.stages), ("pre_activations", self.taps.pre_activated()))
        }
        last_map = self._stage(seen, "last_map", self.taps.deepest()) if "last_map" in want else None
        return Outputs(logits, embedding, **parts, last_map=last_map)

    def _stage(self, seen: dict[tuple[str, str], _Seen], part: str, path: str) -> Tensor:
        stage = self.taps.as_map(self._one(seen, part, path))
        if stage.ndim != 4:
            raise UserError(
                f"stage {path!r} of {self.name} must be a map [B, C, H, W], got shape {list(stage.shape)}; name a "
                "module with such an output, or state `layout`."
            )
        return stage

    def _one(self, seen: dict[tuple[str, str], _Seen], part: str, path: str) -> Tensor:
        if (part, path) not in seen:
            raise UserError(f"tap {path or self.taps.embedding!r} of {self.name} did not run in the forward pass.")
        return seen[part, path].value


class _OutputHook:
    """An object, not a closure, so that a deep copy of a tapped network records on its own."""

    def __init__(self, recorder: Recorder, part: str, path: str) -> None:
        self.recorder, self.part, self.path = recorder, part, path

    def __call__(self, module: nn.Module, args: tuple, output: object) -> None:
        self.recorder.keep(self.part, self.path, output)


class _InputHook:
    def __init__(self, recorder: Recorder, part: str, path: str) -> None:
        self.recorder, self.part, self.path = recorder, part, path

    def __call__(self, module: nn.Module, args: tuple) -> None:
        self.recorder.keep(self.part, self.path, args[0])


def is_tap(hook: object) -> bool:
    """Whether a hook is one of ours, which only reads."""
    return isinstance(hook, _OutputHook | _InputHook)


def check_want(want: Collection[str]) -> None:
    if isinstance(want, str):
        raise UserError(f"`want` must be a collection of names, as in ({want!r},), got {want!r}.")
    for name in want:
        if name not in WANTS:
            raise unknown_name("output", name, WANTS)


def _flat(embedding: Tensor, path: str | None, name: str) -> Tensor:
    if embedding.ndim > 2 and embedding[0].numel() == embedding.shape[1]:
        embedding = embedding.flatten(1)
    if embedding.ndim != 2:
        raise UserError(
            f"`embedding` of {name} must be [B, D], but the input of {path!r} has shape {list(embedding.shape)}; name "
            "the module of the classifier head that takes pooled features."
        )
    return embedding


def check_taps(network: nn.Module, taps: Taps) -> None:
    """Raises `UserError` for the first tap that names no module of the network."""
    for path in (taps.embedding, *taps.stages, *taps.activations, taps.last_map):
        if path is not None:
            _find(network, path)


def _find(network: nn.Module, path: str) -> nn.Module:
    try:
        module = network.get_submodule(path)
    except AttributeError:
        module = network
    if module is network:
        paths = [name for name, _ in network.named_modules() if name]
        hint = f"Paths of {type(network).__name__} are {_paths(network)}."
        raise unknown_name("module path", path, paths, hint) from None
    return module


def _untapped(part: str, name: str, network: nn.Module) -> UserError:
    argument = "embedding" if part == "embedding" else "stages"
    return UserError(
        f"`{part}` of {name} is wanted but no tap says where; give `{argument}` with module paths out of "
        f"{_paths(network)}."
    )


def _paths(network: nn.Module) -> str:
    paths = [path for path, _ in network.named_modules() if path]
    short = [path for path in paths if path.count(".") < 2]
    more = f" ... ({len(paths)} in all)" if len(paths) > _MOST_PATHS else ""
    return ", ".join((paths if len(paths) <= _MOST_PATHS else short)[:_MOST_PATHS]) + more
