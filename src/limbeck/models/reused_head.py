"""A network whose deepest stage is classified by another network's head, through a projector."""

import copy
from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.models.classifier import Classifier
from limbeck.models.layers import batch_normed
from limbeck.models.recorder import Overwriting, Recorder
from limbeck.models.taps import Taps


class Projector(nn.Module):
    """1x1, 3x3 and 1x1 convolutions of the given channels, each with batch norm and ReLU."""

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        sizes = ((inputs, inner, 1), (inner, inner, 3), (inner, outputs, 1))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, side, padding=side // 2, bias=False) for a, b, side in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _ in sizes)
        self.sizes = inputs, inner, outputs

    def forward(self, stage: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            assert isinstance(norm, nn.BatchNorm2d)
            stage = batch_normed(norm, conv(stage)).relu()
        return stage


class ReusedHead(nn.Module):
    """Logits of `head` for the deepest stage of `body`, projected and averaged over positions.

    Args:
        body: its own logits are not used.
        taps: of the body.
        projector: maps the stage to as many channels as the head has inputs.
        head: linear.
        size: height and width to which a larger stage is pooled first.
    """

    def __init__(self, body: nn.Module, taps: Taps, projector: nn.Module, head: nn.Module, size: tuple[int, int]):
        super().__init__()
        self.body = body
        self.projector = projector
        self.head = head
        self.size = size
        self._taps = replace(taps, embedding=None)
        self._overwriting: Overwriting = {}

    def forward(self, inputs: Tensor) -> Tensor:
        recorder = Recorder(self.body, self._taps, ("last_map",), type(self.body).__name__, self._overwriting)
        try:
            stage = recorder.take(self.body(inputs), ("last_map",)).last_map
        finally:
            recorder.close()
        assert stage is not None
        smaller = min(stage.shape[2], self.size[0]), min(stage.shape[3], self.size[1])
        return self.head(self.projector(F.adaptive_avg_pool2d(stage, smaller)).mean((2, 3)))


def with_reused_head(student: Classifier, projector: Projector, head: nn.Linear, size: tuple[int, int]) -> Classifier:
    """A classifier of the student's body, the projector and the head; it shares all of their weights.

    The student's own head is left out, and the student itself stays as it is.
    """
    taps = student.taps
    body = student.network if taps.embedding is None else _without(student.network, taps.embedding)
    record = {"channels": list(projector.sizes), "size": list(size), "bias": head.bias is not None}
    classifier = Classifier(
        ReusedHead(body, taps, projector, head, size),
        num_classes=head.out_features,
        input_size=student.input_size,
        channels=student.channels,
        mean=None if student.whitening is not None else student.normalisation[0],
        std=None if student.whitening is not None else student.normalisation[1],
        whitening=student.whitening,
        classes=student.classes,
        taps=replace(
            taps,
            embedding="head",
            stages=tuple(f"body.{path}" for path in taps.stages),
            activations=tuple(f"body.{path}" for path in taps.activations),
            last_map=f"body.{taps.deepest()}",
        ),
        config=None if student.config is None else {**student.config, "reused_head": record},
    )
    return classifier.to(student.mean.device)


def with_fresh_reused_head(student: Classifier, record: dict[str, Any]) -> Classifier:
    """The same with fresh weights, from what `with_reused_head` recorded in `config`."""
    projector = Projector(*record["channels"])
    head = nn.Linear(record["channels"][-1], student.num_classes, bias=record["bias"])
    height, width = record["size"]
    return with_reused_head(student, projector, head, (height, width))


def _without(network: nn.Module, path: str) -> nn.Module:
    """A network of the same modules, except that the one at `path` is replaced by an identity."""
    name, _, rest = path.partition(".")
    clone = copy.copy(network)
    inner = _without(network.get_submodule(name), rest) if rest else nn.Identity()
    # A shallow copy shares the dict of its modules with the original.
    clone._modules = {**network._modules, name: inner}
    return clone
