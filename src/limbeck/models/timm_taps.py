"""Taps of timm's networks: the head, and those of the listed features that are maps or grids of tokens."""

from typing import Any

import torch
from torch import Tensor, nn

from limbeck.models.recorder import tracking_versions
from limbeck.models.taps import ACTIVATIONS, Taps

# Transformers list every block; four, spread over the depth, match the stages of convolutional students.
_MANY, _FEW = 6, 4


def find_taps(network: Any, channels: int, size: tuple[int, int], stages: tuple[str, ...] = ()) -> Taps:
    """Taps for a network of timm, found by one forward pass of a single black image.

    Where a stage ends in an activation module, that module is the tap, so that pre-activations can be read.

    Args:
        stages: module paths to use instead of those that timm lists as features.
    """
    embedding = _head_path(network)
    channels_of = {info["module"]: info.get("num_chs") for info in _feature_info(network)}
    paths = stages or _few(tuple(channels_of))
    trace = _Trace(network, torch.zeros(1, channels, *size))
    seen = {path: trace.outputs[path] for path in paths if path in trace.outputs}
    layouts = {_layout(network, stage, size, channels_of.get(path)) for path, stage in seen.items()}
    if len(seen) != len(paths) or len(layouts) != 1 or None in layouts:
        return Taps(embedding)
    layout = layouts.pop()
    assert layout is not None
    name, prefix, grid = layout
    return Taps(embedding, tuple(trace.end(path) for path in paths), name, prefix, grid)


def _head_path(network: Any) -> str | None:
    head = network.get_classifier()
    # Distilled transformers have a second head for the teacher's token.
    head = head[0] if isinstance(head, tuple) else head
    return next((path for path, module in network.named_modules() if module is head and path), None)


def _feature_info(network: Any) -> list[dict[str, Any]]:
    """What timm tells of the modules that it lists as features: `module` and `num_chs`, the channels."""
    infos = getattr(network, "feature_info", None) or []
    return infos if isinstance(infos, list) else infos.info


def _few(paths: tuple[str, ...]) -> tuple[str, ...]:
    if len(paths) > _MANY:
        return tuple(paths[len(paths) * (part + 1) // _FEW - 1] for part in range(_FEW))
    return paths


def _layout(
    network: Any, stage: Tensor, size: tuple[int, int], channels: int | None
) -> tuple[str, int, tuple[int, int] | None] | None:
    """Layout, prefix tokens and grid as `Taps` has them; `None` if the output is neither map nor tokens.

    Args:
        channels: of the stage as timm lists it, by which maps with channels last are told where nothing else says so.
    """
    if stage.ndim == 4:
        first, last = stage.shape[1] == channels, stage.shape[3] == channels
        if channels is not None and not first and not last:
            return None
        by_name = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return ("maps_last" if (by_name if first == last else last) else "maps"), 0, None
    if stage.ndim == 3:
        # Some networks add their class token only after the blocks.
        for prefix in (getattr(network, "num_prefix_tokens", 0), 0):
            tokens = stage.shape[1] - prefix
            rows = max(1, round((tokens * size[0] / size[1]) ** 0.5))
            if tokens % rows == 0 and abs(tokens // rows * size[0] - rows * size[1]) < max(size):
                return "tokens", prefix, (rows, tokens // rows)
    return None


class _Trace:
    """Outputs of all modules in one forward pass, with the order in which modules made them."""

    @torch.no_grad()
    def __init__(self, network: nn.Module, images: Tensor) -> None:
        self.outputs: dict[str, Tensor] = {}
        self.versions: dict[str, int] = {}
        self.runs: dict[str, int] = {}
        # Keeps every tensor alive, so that no `id` is reused.
        self.made: list[tuple[str, nn.Module, Tensor, int]] = []
        handles = [module.register_forward_hook(self._note(path)) for path, module in network.named_modules()]
        training = network.training
        try:
            with tracking_versions():
                network.eval()(images.clone())  # the clone is no inference tensor, nor is what follows from it
        finally:
            network.train(training)
            for handle in handles:
                handle.remove()

    def _note(self, path: str) -> Any:
        def hook(module: nn.Module, args: tuple, output: object) -> None:
            if isinstance(output, Tensor):
                self.outputs[path] = output
                self.versions[path] = output._version
                self.runs[path] = self.runs.get(path, 0) + 1
                self.made.append((path, module, output, output._version))

        return hook

    def end(self, stage: str) -> str:
        """Path of the activation module whose output the stage returns unchanged, or of the stage itself."""
        for path, module, output, version in self.made:
            activation = isinstance(module, ACTIVATIONS) and not isinstance(module, nn.Identity)
            unchanged = output is self.outputs[stage] and version == self.versions[stage]
            if unchanged and activation and self.runs[path] == 1:
                return path
        return stage
