"""A network together with what its correct use needs: input size, normalisation, classes, taps."""

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import UserError
from limbeck.models.recorder import Overwriting, Recorder, check_want, tracking_versions, uncompiled
from limbeck.models.taps import Outputs, Taps
from limbeck.models.whitening import Whitening

__all__ = ["Classifier", "Outputs", "Taps", "as_size"]

InputTransform = Callable[[Tensor], Tensor]
Size = int | Sequence[int]

# Luma weights of ITU-R BT.601, as PIL and OpenCV use them.
_LUMA = (0.299, 0.587, 0.114)
_LOGITS_ONLY = ("logits",)
_WHITENING = "_whitening"


class Classifier(nn.Module):
    """Any network as a function from images in [0, 1] to `Outputs`; normalisation happens inside.

    Args:
        network: takes normalised images `[B, C, H, W]`, returns logits `[B, K]`.
        num_classes: K.
        input_size: height and width to which images are resized if theirs differ, whatever their aspect (images by
            name are loaded in one that fits); `None` takes them as they come.
        channels: C that the network takes, 1 or 3 or whatever the images have. Gray images are repeated for a colour
            network, colour images weighted into one channel for a gray one.
        mean: per channel, in units of [0, 1] images.
        std: per channel, > 0.
        classes: K names, or empty.
        taps: where embedding and stages are read.
        config: what rebuilds the network by name; `None` for a foreign module.
        whitening: in place of mean and std; it fixes size and channels of the images.

    Raises:
        UserError: on lengths that do not match, `std` not > 0, whitening beside `mean`, `std` or images of another
            size, and taps that name no module (when first read).

    Example:
        >>> classifier = lb.create("resnet20", num_classes=10)
        >>> outputs = classifier(torch.rand(2, 3, 32, 32), want=("logits", "embedding", "stages"))
        >>> outputs.embedding.shape, len(outputs.stages)
        (torch.Size([2, 64]), 4)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        num_classes: int,
        input_size: Size | None = None,
        channels: int = 3,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        classes: Sequence[str] = (),
        taps: Taps | None = None,
        config: dict[str, Any] | None = None,
        whitening: Whitening | None = None,
    ) -> None:
        super().__init__()
        check_counts(num_classes, channels)
        if whitening is not None:
            _check_whitening(whitening, input_size, channels, mean, std)
            input_size, mean, std = whitening.shape[1:], (0.0,) * channels, (1.0,) * channels
        if classes and len(classes) != num_classes:
            raise UserError(f"`classes` must hold {num_classes} names (`num_classes`), got {len(classes)}.")
        self.network = network
        self.num_classes = num_classes
        self.input_size = None if input_size is None else as_size(input_size)
        self.channels = channels
        self.classes = tuple(classes)
        self.taps = taps or Taps()
        self.config = config
        self.name: str = config["name"] if config else type(network).__name__
        self._recorder: Recorder | None = None
        self._overwriting: Overwriting = {}
        self.normalisation = (
            _per_channel("mean", mean, 0.5, channels),
            _per_channel("std", std, 0.25, channels),
        )
        if min(self.normalisation[1]) <= 0:
            raise UserError(f"`std` must be > 0 in every channel, got {list(self.normalisation[1])}.")
        for key, values in zip(("mean", "std"), self.normalisation, strict=True):
            # Not persistent: a state dict stays that of the bare network, and the config carries the numbers.
            self.register_buffer(key, torch.tensor(values).view(1, channels, 1, 1), persistent=False)
        if whitening is not None:  # an attribute that is None would change the fingerprints of other networks
            self.add_module(_WHITENING, copy.deepcopy(whitening))  # networks share nothing

    @property
    def whitening(self) -> Whitening | None:
        """The whitening that prepares images in place of mean and std, if there is one."""
        module = self._modules.get(_WHITENING)
        return module if isinstance(module, Whitening) else None

    def forward(
        self, images: Tensor, want: Collection[str] = _LOGITS_ONLY, *, input_transform: InputTransform | None = None
    ) -> Outputs:
        """Outputs for images `[B, C, H, W]`, floating in [0, 1] or uint8; `want` names the parts to hand out.

        `input_transform` is applied to inputs between normalisation and network, as normalised views are.
        """
        if want is not _LOGITS_ONLY:
            check_want(want)
        if self._recorder is not None:
            # A pass that failed half-way may have left records.
            self._recorder.forget()
        if not set(want) - {"logits"}:
            logits = self._logits(self._inputs(images, input_transform))
            if self._recorder is not None:
                self._recorder.forget()
            return Outputs(logits)
        if self._recorder is not None and self._recorder.want.issuperset(set(want) - {"logits"}):
            return self._tapped(images, want, self._recorder, input_transform)
        return self._tapped_once(images, want, input_transform)

    # Compiled code is bound to the hooks it was traced with; with new hooks, every pass would be compiled again.
    @uncompiled
    def _tapped_once(self, images: Tensor, want: Collection[str], input_transform: InputTransform | None) -> Outputs:
        with self.tapping(want) as recorder:
            return self._tapped(images, want, recorder, input_transform)

    def _tapped(
        self, images: Tensor, want: Collection[str], recorder: Recorder, input_transform: InputTransform | None
    ) -> Outputs:
        if torch.compiler.is_compiling():
            return recorder.take(self._logits(self._inputs(images, input_transform)), want)
        with tracking_versions():
            return recorder.take(self._logits(self._inputs(images, input_transform)), want)

    @contextmanager
    def tapping(self, want: Collection[str]) -> Iterator[Recorder]:
        """Keeps the hooks for `want` in place over many forward passes; without it, `forward` adds them in each pass.

        With `torch.compile`, open it before the first pass and keep it open: a pass that opens it runs uncompiled.

        Example:
            >>> with student.tapping(("logits", "stages")):
            ...     for batch in torch.rand(6, 1, 8, 8).split(2):
            ...         outputs = student(batch, want=("logits", "stages"))
        """
        check_want(want)
        before = self._recorder
        recorder = Recorder(self.network, self.taps, set(want) - {"logits"}, self.name, self._overwriting)
        self._recorder = recorder
        try:
            yield recorder
        finally:
            recorder.close()
            self._recorder = before

    def prepare(self, images: Tensor) -> Tensor:
        """Images as the network takes them: floating, right channels, right size, normalised or whitened."""
        if images.ndim != 4:
            raise UserError(f"`images` must be [B, C, H, W], got shape {list(images.shape)}.")
        if images.dtype == torch.uint8:
            images = images.to(torch.float32) / 255
        elif not images.is_floating_point():
            raise UserError(f"`images` must be uint8, or floating in [0, 1], got {images.dtype}.")
        images = self._right_channels(images)
        if self.input_size is not None and tuple(images.shape[-2:]) != self.input_size:
            images = F.interpolate(images, self.input_size, mode="bilinear", antialias=True)
        if self.whitening is not None:
            return self.whitening(images)
        return ((images - self.mean) / self.std).to(self.mean.dtype)

    def images_of(self, inputs: Tensor) -> Tensor:
        """Inverse of `prepare`: the images that give `inputs`, in units of [0, 1], beyond which they may lie.

        Args:
            inputs: floating `[B, C, H, W]` as the network takes them, of its channels and size.

        Example:
            >>> inputs = torch.randn(2, 1, 8, 8)
            >>> torch.allclose(student.prepare(student.images_of(inputs)), inputs, atol=1e-5)
            True
        """
        if self.whitening is not None:
            return self.whitening.inverted(inputs)
        return inputs * self.std + self.mean

    def _inputs(self, images: Tensor, input_transform: InputTransform | None) -> Tensor:
        inputs = self.prepare(images)
        return inputs if input_transform is None else input_transform(inputs)

    def _right_channels(self, images: Tensor) -> Tensor:
        got = images.shape[1]
        if got == self.channels:
            return images
        if got == 1:
            return images.expand(-1, self.channels, -1, -1)
        if got == 3 and self.channels == 1:
            return (images * _luma(images.device, images.dtype)).sum(1, keepdim=True)
        raise UserError(
            f"{self.name} takes images of {self.channels} channel(s), got {got}; only gray to any and RGB to gray are "
            "converted. Load the data with `channels` set, or build the model with `channels`."
        )

    def _logits(self, inputs: Tensor) -> Tensor:
        logits = self.network(inputs)
        if not isinstance(logits, Tensor):
            raise UserError(
                f"{self.name} must return one tensor of logits [B, {self.num_classes}], got {type(logits).__name__}; "
                "put it into a module that returns the logits alone."
            )
        if logits.ndim != 2 or logits.shape[1] != self.num_classes:
            raise UserError(
                f"{self.name} must return logits [B, {self.num_classes}], got shape {list(logits.shape)}; is "
                "`num_classes` right?"
            )
        if len(logits) != len(inputs):  # a single row would silently be broadcast to all images
            raise UserError(
                f"{self.name} must return a row of logits for each image, got {len(logits)} for {len(inputs)} images."
            )
        return logits

    def extra_repr(self) -> str:
        return f"name={self.name!r}, num_classes={self.num_classes}, input_size={self.input_size}"


@cache
def _luma(device: torch.device, dtype: torch.dtype) -> Tensor:
    """`_LUMA` as [1, 3, 1, 1]; cached, since copying it to a GPU waits for the GPU."""
    with torch.inference_mode(False):  # autograd may use the cached tensor later
        return torch.tensor(_LUMA, device=device, dtype=dtype).view(1, 3, 1, 1)


def _check_whitening(
    whitening: Whitening, size: Size | None, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    if mean is not None or std is not None:
        raise UserError("`whitening` stands in place of `mean` and `std`; give one of the two.")
    shape = (channels, *(whitening.shape[1:] if size is None else as_size(size)))
    if shape != whitening.shape:
        raise UserError(
            f"`whitening` is of images {list(whitening.shape)}, so that `channels` and `input_size` must be theirs, "
            f"got {list(shape)}; fit it on images of the size that the network takes."
        )


def check_counts(num_classes: int, channels: int) -> None:
    for key, value in (("num_classes", num_classes), ("channels", channels)):
        if value < 1:
            raise UserError(f"`{key}` must be at least 1, got {value}.")


def _per_channel(key: str, values: Sequence[float] | None, default: float, channels: int) -> tuple[float, ...]:
    if values is None:
        return (default,) * channels
    if len(values) != channels:
        raise UserError(f"`{key}` must hold one number per channel, {channels} in all, got {len(values)}.")
    if not all(isfinite(value) for value in values):
        raise UserError(f"`{key}` must hold finite numbers, got {list(values)}.")
    return tuple(float(value) for value in values)


def as_size(size: Size) -> tuple[int, int]:
    """Height and width, from one number for a square or from two."""
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and side >= 1 for side in pair):
        raise UserError(f"`input_size` must be one or two whole numbers >= 1, got {size!r}.")
    return pair[0], pair[1]
