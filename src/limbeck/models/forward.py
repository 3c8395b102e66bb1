"""Forward passes over many images: device, precision, compilation, batches and outputs."""

import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.copies import arrival, copies_alone, to_cpu
from limbeck.device import Device, resolve_device
from limbeck.errors import UserError
from limbeck.look_ahead import look_ahead
from limbeck.memory import keep_freed_memory
from limbeck.models.classifier import Classifier, InputTransform, Outputs
from limbeck.models.shared_memory import private_copy
from limbeck.precision import autocast, check_precision, resolve_channels_last, resolve_precision

if TYPE_CHECKING:
    from limbeck.data import ImageSet

LOGITS = ("logits",)

Compile = bool | Literal["graphs", "frozen"]
FROZEN = "frozen"


def compile_network(network: nn.Module, how: Compile) -> None:
    """Makes torch compile a network in place at its first pass; with "graphs" GPUs also replay it as CUDA graphs.

    The next pass overwrites the outputs of a graph, so whoever keeps them copies them. With "frozen", inside of
    `freezing`, the weights become constants of the code and must not change any more.

    Args:
        network: keeps its weights and their names.
        how: False leaves it as it is.

    Example:
        >>> compile_network(student.network, False)
    """
    if how == FROZEN:
        network.compile(dynamic=False)
    elif how:
        network.compile(mode="reduce-overhead" if how == "graphs" else "default")


def check_compiler() -> None:
    """Raises a UserError where torch finds no C++ compiler, which it needs to compile for CPUs."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"`compile` needs a C++ compiler, and there is no {compiler!r}; install one (Debian: g++), name one by the "
            "environment variable CXX, or leave `compile` out."
        )


def freezing(how: Compile) -> AbstractContextManager[None]:
    """Context in which compiling a "frozen" network folds weights into its convolutions and lays them out for these.

    As an option of `torch.compile`, freezing left bfloat16 as slow as before in torch 2.14: it has to be on already
    while the network is traced.
    """
    if how != FROZEN:
        return nullcontext()
    from torch._inductor import config

    return config.patch(freezing=True)


class Computing(NamedTuple):
    """Where and how a network computes."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    @property
    def precision(self) -> Literal["bf16", "fp32"]:
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"


def resolve_computing(device: Device = "auto", precision: str = "auto") -> Computing:
    """The device, the dtype (`auto`: the one in which the device is fastest), and the memory format for them.

    Raises:
        UserError: an unknown device or precision.

    Example:
        >>> resolve_computing("cpu", "fp32").precision
        'fp32'
    """
    check_precision(precision)
    resolved = resolve_device(device)
    dtype = resolve_precision(precision, resolved)
    return Computing(resolved, dtype, resolve_channels_last("auto", resolved, dtype))


class FrozenTeacher(nn.Module):
    """A private copy of a classifier that always stays in eval mode.

    The copy is on the device once, in the dtype it computes in, and is never wrapped for distributed training; the
    given classifier is left as it was. Outputs are float32 tensors without a graph.

    Args:
        classifier: the teacher.
        device: where it computes.
        dtype: in which it computes; the weights are cast once, not in every step.
        channels_last: memory format of its weights.
        compile: see `compile_network`.

    Attributes:
        compiled: the argument `compile`.
        computing: all that affects rounding; where it is equal, so are the answers.
        passes: number of images it has been asked about so far, repetitions included.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        compile: Compile = False,
    ) -> None:
        super().__init__()
        keep_freed_memory()
        classifier = private_copy(classifier, "teacher").to(device).requires_grad_(False).eval()
        if channels_last:
            classifier = classifier.to(memory_format=torch.channels_last)
        self.classifier = classifier
        self.device = device
        self.dtype = dtype
        self.channels_last = channels_last
        self.passes = 0
        self.computing = (device.type, str(dtype), channels_last, compile, torch.get_float32_matmul_precision())
        if dtype != torch.float32:
            classifier.network.to(dtype)
        self.compiled: Compile = compile
        compile_network(classifier.network, compile)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode: a teacher whose batch statistics drift is another teacher."""
        return super().train(False)

    def forward(
        self, images: Tensor, want: Collection[str] = LOGITS, *, input_transform: InputTransform | None = None
    ) -> Outputs:
        """Outputs for images uint8 or in [0, 1], [B, C, H, W]; for `input_transform`, see `Classifier.forward`."""
        self.passes += len(images)
        with torch.inference_mode(), autocast(self.device, self.dtype), freezing(self.compiled):
            outputs = self.classifier(images, want=want, input_transform=input_transform)
        # Losses save outputs for their backward pass, which autograd forbids for inference tensors.
        return outputs.map(
            lambda tensor: tensor.to(torch.float32, copy=self.compiled == "graphs" or tensor.is_inference())
        )


def outputs_over(
    network: Classifier | FrozenTeacher,
    images: "ImageSet",
    want: Collection[str] = LOGITS,
    *,
    size: tuple[int, int] | None = None,
    batch_size: int = 500,
    precision: str = "fp32",
    device: Device = "auto",
    seen: Callable[[Tensor], None] | None = None,
    block: int | None = None,
) -> Iterator[tuple[Tensor, Outputs]]:
    """Outputs of a network for every batch of a set: (positions int64 [B], float32 outputs on the CPU), in order.

    It runs in eval mode without gradients, and the modes of all its modules are restored, so that neither weights nor
    batch-norm statistics change. The next batch is read and decoded while the network computes.

    Args:
        network: a classifier, or a frozen teacher, which keeps its own device and precision.
        images: read batch by batch, so that a memory-mapped set stays on disk.
        want: parts of the outputs; logits are always among them.
        size: height and width that images are resized to first (bilinear with antialiasing); None leaves them.
        batch_size: images per forward pass, >= 1; the last may be smaller.
        precision: "fp32", "bf16" (autocast), or "auto": the one in which the device is fastest.
        device: "auto" is the first GPU, or the one that this process trains on, else the CPU. A classifier on the CPU
            is copied there for the duration and stays as it is (one that cannot be copied computes where it is); one
            on a GPU computes there. To a named device it is moved, and stays there.
        seen: called with the pixels of every batch, uint8 `[B, C, H, W]`, before the network is, so that a caller who
            needs them, too, need not read them again.
        block: images that the network sees at a time; the last block of a batch is filled up. Kernels are chosen by the
            number of images and round differently: with a block, an answer does not depend on its batch.

    Raises:
        UserError: an argument is out of range, or a wanted part of the outputs cannot be read.

    Example:
        >>> [outputs.logits.shape for _, outputs in outputs_over(student, test, batch_size=64)]
        [torch.Size([64, 10]), torch.Size([36, 10])]
    """
    check_batch_size(batch_size)
    if block is not None and block < 1:
        raise UserError(f"`block` must be >= 1, got {block}.")
    if isinstance(network, FrozenTeacher):
        classifier, teacher = network.classifier, network
        computing = Computing(network.device, network.dtype, network.channels_last)
    else:
        check_precision(precision)
        classifier, teacher = _placed(network, device), None
        computing = resolve_computing(device_of(classifier), precision)
    return _outputs_over(classifier, images, _PassOptions(want, computing, batch_size, size, seen, block), teacher)


def whole_outputs(
    network: Classifier | FrozenTeacher,
    images: "ImageSet",
    want: Collection[str] = LOGITS,
    *,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> Outputs:
    """`outputs_over` of all images together, `[N, ...]` in the order in which the set stores them.

    Args:
        network, images, want, options: as there.
        progress: called after every batch with the number of images in it.

    Example:
        >>> whole_outputs(student, test, ("embedding",)).embedding.shape
        torch.Size([100, 8])
    """
    whole: Outputs | None = None
    for positions, outputs in outputs_over(network, images, want, **options):
        if whole is None:
            # Made outside inference mode: callers may use them in autograd, for instance as soft labels.
            whole = outputs.map(lambda part: torch.empty(len(images), *part.shape[1:], device="cpu"))
        for kept, part in zip(_tensors(whole), _tensors(outputs), strict=True):
            kept[positions] = part
        if progress is not None:
            progress(len(positions))
    assert whole is not None, "image sets are not empty"
    return whole


@dataclass(frozen=True)
class _PassOptions:
    """Arguments of `outputs_over`, checked; `computing` for device and precision."""

    want: Collection[str]
    computing: Computing
    batch_size: int
    size: tuple[int, int] | None
    seen: Callable[[Tensor], None] | None
    block: int | None


def _outputs_over(
    classifier: Classifier, images: "ImageSet", options: _PassOptions, teacher: FrozenTeacher | None
) -> Iterator[tuple[Tensor, Outputs]]:
    keep_freed_memory()
    tapping = classifier.tapping(options.want) if set(options.want) - set(LOGITS) else nullcontext()
    with evaluating(classifier), tapping:
        computed = _computed(classifier, images, options, False if teacher is None else teacher.compiled)
        for positions, outputs in _arriving(computed, options.computing.device):
            if teacher is not None:
                teacher.passes += len(positions)
            yield positions, outputs


def _computed(
    classifier: Classifier, images: "ImageSet", options: _PassOptions, compile: Compile
) -> Iterator[tuple[Tensor, Outputs]]:
    """Outputs on the device, where a GPU may still be computing them."""
    computing, size = options.computing, options.size
    order = torch.channels_last if computing.channels_last else torch.contiguous_format
    batches = _ready_batches(images, options.batch_size, computing)
    # On a CPU, a reading thread makes the network's own threads sleep while they wait for each other, which costs a
    # third of the rate on two cores: more than copying pixels that need no decoding.
    ahead = not images.is_decoded or computing.device.type != "cpu"
    for positions, read in look_ahead(batches) if ahead else batches:
        if options.seen is not None:
            options.seen(read)
        pixels = read.to(computing.device, memory_format=order, non_blocking=True)  # [B, C, H, W] uint8
        # Not around the loop: the generator's consumer would run in inference mode.
        with torch.inference_mode(), _own_autocast(computing), freezing(compile):
            if size is not None and tuple(pixels.shape[-2:]) != size:
                pixels = functional.interpolate(pixels.float() / 255, size, mode="bilinear", antialias=True)
            outputs = _shown(classifier, pixels, options.want, options.block).map(Tensor.float)
        yield positions, outputs


def _shown(classifier: Classifier, pixels: Tensor, want: Collection[str], block: int | None) -> Outputs:
    """Outputs for pixels `[B, C, H, W]`, computed in blocks."""
    if block is None or len(pixels) == block:
        return classifier(pixels, want=want)
    missing = -len(pixels) % block
    filled = torch.cat([pixels, pixels[:1].expand(missing, -1, -1, -1)]) if missing else pixels
    parts = [classifier(part, want=want) for part in filled.split(block)]
    joined = [torch.cat(tensors)[: len(pixels)] for tensors in zip(*map(_tensors, parts), strict=True)]
    return _with_tensors(parts[0], joined)


def _arriving(computed: Iterator[tuple[Tensor, Outputs]], device: torch.device) -> Iterator[tuple[Tensor, Outputs]]:
    """Outputs on the CPU; a GPU computes the next batch while those of one are copied and used."""
    ahead = 1 if copies_alone(device) else 0  # batches
    underway: deque[tuple[Tensor, Outputs, Callable[[], None]]] = deque()
    for positions, outputs in computed:
        underway.append((positions, outputs.map(to_cpu), arrival(device)))
        if len(underway) > ahead:
            yield _arrived(*underway.popleft())
    for batch in underway:
        yield _arrived(*batch)


def _arrived(positions: Tensor, outputs: Outputs, wait: Callable[[], None]) -> tuple[Tensor, Outputs]:
    wait()
    return positions, outputs


def _ready_batches(images: "ImageSet", batch_size: int, computing: Computing) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches ready to be copied; for a GPU in pinned memory, which is copied asynchronously."""
    for positions, pixels in images.batches(batch_size):
        yield positions, pixels.pin_memory() if copies_alone(computing.device) else pixels


def _own_autocast(computing: Computing) -> torch.autocast:
    """Autocast for bf16; for float32 it is off, even inside a caller's autocast."""
    enabled = computing.dtype != torch.float32
    return torch.autocast(computing.device.type, dtype=torch.bfloat16, enabled=enabled)


def device_for(classifier: Classifier, device: Device = "auto") -> torch.device:
    """Where `outputs_over` computes: on the named device, else on the classifier's own GPU, else on the default one."""
    current = device_of(classifier)
    return current if current.type != "cpu" and not _names_one(device) else resolve_device(device)


def _names_one(device: Device) -> bool:
    return device is not None and device != "auto"


def _placed(classifier: Classifier, device: Device) -> Classifier:
    """The classifier on the device where it is to compute, see `outputs_over`."""
    target = device_for(classifier, device)
    if _names_one(device):
        return classifier.to(target)
    if device_of(classifier) == target:
        return classifier
    try:
        return private_copy(classifier, "network").to(target)
    except UserError:
        return classifier


def _with_tensors(outputs: Outputs, tensors: list[Tensor]) -> Outputs:
    """The same parts with other tensors, in the order of `_tensors`."""
    replacements = {id(part): tensor for part, tensor in zip(_tensors(outputs), tensors, strict=True)}
    return outputs.map(lambda part: replacements[id(part)])


def _tensors(outputs: Outputs) -> list[Tensor]:
    single = (outputs.logits, outputs.embedding, outputs.last_map)
    return [part for part in (*single, *outputs.stages, *outputs.pre_activations) if part is not None]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside; after, every submodule has its own mode again (a frozen part of a training network stays so).

    Example:
        >>> student = student.train()
        >>> with evaluating(student):
        ...     student.training
        False
        >>> student.training
        True
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are, or its buffers; the CPU for one without any."""
    tensor = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def check_batch_size(batch_size: int) -> None:
    """Raises a UserError for one below 1."""
    if batch_size < 1:
        raise UserError(f"`batch_size` must be >= 1, got {batch_size}.")
