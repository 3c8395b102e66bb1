"""What the layers of a teacher see of each image, averaged over places."""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.models.recorder import uncompiled
from limbeck.models.taps import Taps
from limbeck.transfer.generate.statistics import batch_norms

_MOST = 8192


class ImageFeatures:
    """Means over all places of the input of every batch norm, of each image in the last forward pass.

    Where these are more than 8,192 numbers, or there is no batch norm, means of the stages stand for them, the deepest
    left out: for ResNet-34 the inputs of its four blocks, as published.

    Args:
        classifier: the teacher, on its device and in eval mode; it is run on one image, to measure it.
        shape: (channels, height, width) of images.

    Attributes:
        size: D.

    Raises:
        UserError: it has neither batch norm nor stages.

    Source: Fang et al., "Contrastive model inversion for data-free knowledge distillation", IJCAI 2021.

    Example:
        >>> with ImageFeatures(teacher, (1, 8, 8)) as features:
        ...     logits = teacher(images.tensor()[:16]).logits
        ...     found = features.found
        >>> found.shape, features.size
        (torch.Size([16, 24]), 24)
    """

    def __init__(self, classifier: Classifier, shape: tuple[int, int, int]) -> None:
        self._classifier = classifier
        self._handles: list[RemovableHandle] = []
        self._seen: dict[str, list[Tensor]] = {}
        network, stages = classifier.network, classifier.taps.stages
        self._layers, self._at_inputs = batch_norms(network), True
        sizes = self._sizes(shape)
        if stages and not 0 < sum(sizes.values()) <= _MOST:
            self._layers = {path: network.get_submodule(path) for path in stages[:-1] or stages}
            self._at_inputs = False
            sizes = self._sizes(shape)
        if not sizes:
            raise UserError(
                f"{classifier.name} has neither batch norm nor stages, whose features `losses.contrast` compares; set "
                "it to 0, or say where the `stages` of the network are."
            )
        self._layers = {path: self._layers[path] for path in sizes}
        self.size = sum(sizes.values())

    @torch.no_grad()
    def _sizes(self, shape: tuple[int, int, int]) -> dict[str, int]:
        """Path of each layer that runs -> how many numbers it gives."""
        with self:
            self._classifier(torch.zeros(1, *shape, device=self._classifier.mean.device))
            return {path: self._seen[path][0].shape[1] for path in self._layers if path in self._seen}

    def __enter__(self) -> Self:
        self._handles = [self._classifier.register_forward_pre_hook(self._begin)]
        for path, layer in self._layers.items():
            if self._at_inputs:
                handle = layer.register_forward_pre_hook(_Input(self._seen, path), with_kwargs=True)
            else:
                handle = layer.register_forward_hook(_Output(self._seen, path, self._classifier.taps))
            self._handles.append(handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the hooks and what they saw: no graph outlives its step."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._seen.clear()

    def _begin(self, *_: object) -> None:
        self._seen.clear()

    @property
    def found(self) -> Tensor:
        """Features of the last pass, float32 [B, D], differentiable; of a layer that ran more than once the mean.

        Raises:
            UserError: there was none since the hooks were set.
        """
        if not self._seen:
            raise UserError("no forward pass was seen; run the classifier inside `with ImageFeatures(...)`.")
        return torch.cat([torch.stack(self._seen[path]).mean(0) for path in self._layers], 1)


class _Hook:
    def __init__(self, seen: dict[str, list[Tensor]], path: str) -> None:
        self.seen, self.path = seen, path

    def keep(self, features: Tensor) -> None:
        means = features.float().flatten(2).mean(2) if features.ndim > 2 else features.float()  # [B, C]
        self.seen.setdefault(self.path, []).append(means)


class _Input(_Hook):
    @uncompiled
    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.keep(next(iter((*args, *kwargs.values()))))


class _Output(_Hook):
    def __init__(self, seen: dict[str, list[Tensor]], path: str, taps: Taps) -> None:
        super().__init__(seen, path)
        self.taps = taps

    @uncompiled
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.keep(self.taps.as_map(output))
