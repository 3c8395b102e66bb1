"""The frozen teacher: asked, never taught."""

from collections.abc import Collection
from typing import Self

import torch
from torch import Tensor, nn

from limbeck.models.classifier import Classifier, Outputs
from limbeck.models.shared_memory import private_copy
from limbeck.precision import autocast


class FrozenTeacher(nn.Module):
    """A private copy of a classifier that stays in eval mode whatever its caller does.

    The copy lives on the device once, in the type it computes in, and is never wrapped for distributed training; the
    classifier given is left as it was. Outputs are float32 tensors without a graph.

    Args:
        classifier: the teacher.
        device: where it computes.
        dtype: what it computes in; the weights are cast once, not in every step.
        channels_last: memory format of its weights.
        compile: trace and compile it, which pays on long runs.

    Attributes:
        computing: all that shapes rounding; where it is equal, so are the answers.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        classifier = private_copy(classifier, "teacher").to(device).requires_grad_(False).eval()
        if channels_last:
            classifier = classifier.to(memory_format=torch.channels_last)
        self.classifier = classifier
        self.device = device
        self.dtype = dtype
        self.computing = (device.type, str(dtype), channels_last, compile, torch.get_float32_matmul_precision())
        if dtype != torch.float32:
            classifier.network.to(dtype)
        if compile:
            classifier.network.compile()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode: a teacher whose batch statistics drift is another teacher."""
        return super().train(False)

    def forward(self, images: Tensor, want: Collection[str] = ("logits",)) -> Outputs:
        """Outputs for images uint8 or in [0, 1], [B, C, H, W]."""
        with torch.inference_mode(), autocast(self.device, self.dtype):
            outputs = self.classifier(images, want=want)
        # Losses must save them for their own backward pass, which inference tensors do not allow.
        return outputs.map(lambda tensor: tensor.to(torch.float32, copy=tensor.is_inference()))
