"""Computing representations; those that need more than an image's own pixels get it here, once, before scoring."""

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.look_ahead import look_ahead
from limbeck.memory import free_memory
from limbeck.models.classifier import Outputs
from limbeck.models.forward import FrozenTeacher, outputs_over
from limbeck.transfer.part_entries import function_of
from limbeck.transfer.parts import REPRESENTATIONS
from limbeck.transfer.scoring.context import CostMeter, Represent, ScoringContext
from limbeck.transfer.scoring.representations import LEVELS, average_adjusted_histogram, level_counts, to_gray

# A batch of a quarter of a million pixels stays in the cache; at least 64 images keep the decoding threads busy.
PIXELS_PER_BATCH, FEWEST_IMAGES = 2**18, 64


class PixelFeatures:
    """Features computed from pixels by a function; counts the images read.

    Args:
        function: from a batch uint8 `[B, C, H, W]` to features `[B, D]`.
        meter: adds up the cost.
    """

    def __init__(self, function: Represent, meter: CostMeter) -> None:
        self.function = function
        self.meter = meter

    def __call__(self, pixels: Tensor) -> Tensor:
        self.meter.add(Cost(images_read=len(pixels)))
        return self.function(pixels)

    def over(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions int64 [B], features [B, D] on the CPU) of every batch in order, prefetching the next batch."""
        return ((positions, seen[""]) for positions, seen in together(images, {"": self}))


class TeacherFeatures:
    """The teacher's logits or embeddings, float32, or a function of them; counts the teacher's passes.

    Args:
        teacher: on its device.
        part: "logits" or "embedding".
        meter: adds up the cost.
        function: from `[B, D]` to features `[B, F]`.
        block: images at a time, see `outputs_over`.
    """

    def __init__(
        self,
        teacher: FrozenTeacher,
        part: str,
        meter: CostMeter,
        function: Represent = torch.Tensor.detach,
        block: int | None = None,
    ) -> None:
        self.teacher = teacher
        self.part = part
        self.block = block
        self.meter = meter
        self.function = function

    def __call__(self, pixels: Tensor) -> Tensor:
        images = ImageSet(pixels)
        return torch.cat([features for _, features in self.over(images)])

    def over(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        """As `PixelFeatures.over`."""
        return ((positions, seen[""]) for positions, seen in together(images, {"": self}))

    def of(self, outputs: Outputs) -> Tensor:
        """Features `[B, D]` from the teacher's outputs."""
        output = outputs.logits if self.part == "logits" else outputs.embedding
        assert output is not None
        return self.function(output.flatten(1))


Representation = PixelFeatures | TeacherFeatures
"""What a score reads: a map from pixels uint8 `[B, C, H, W]` to features `[B, D]` on the CPU."""


def together(images: ImageSet, represent: Mapping[str, Representation]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """(positions int64 [B], features [B, D] of each representation, by name) of every batch in order.

    Of any number of representations, at least one, images are read once and the teacher runs once per image. All
    `TeacherFeatures` must have the same teacher.
    """
    asking = {name: features for name, features in represent.items() if isinstance(features, TeacherFeatures)}
    looking = {name: features for name, features in represent.items() if isinstance(features, PixelFeatures)}
    meter, size = next(iter(represent.values())).meter, batch_size_for(images)
    if not asking:
        for positions, pixels in look_ahead(images.batches(size)):
            meter.add(Cost(images_read=len(positions)))
            yield positions, {name: features.function(pixels) for name, features in looking.items()}
        return
    looks: deque[dict[str, Tensor]] = deque()  # features of batches that the teacher is still processing

    def look(pixels: Tensor) -> None:
        looks.append({name: features.function(pixels) for name, features in looking.items()})

    first = next(iter(asking.values()))
    want = {"logits", *(features.part for features in asking.values())}
    for positions, outputs in outputs_over(first.teacher, images, want, batch_size=size, seen=look, block=first.block):
        meter.add(Cost(images_read=len(positions), teacher_passes=len(positions)))
        yield positions, looks.popleft() | {name: features.of(outputs) for name, features in asking.items()}


def representation(
    name: str, images: ImageSet | Tensor, context: ScoringContext, options: Mapping[str, Any] | None = None
) -> Representation:
    """The representation of that name, ready to compute features.

    Args:
        name: one of the catalogue's, not "none".
        images: the whole set, if the representation depends on it; or the set's average histogram.
        context: teacher, folder, seed; its meter counts images read and teacher passes.
        options: of the representation.
    """
    entry = REPRESENTATIONS[name]
    function = function_of(entry.function)
    if entry.reads == "pixels":
        return PixelFeatures(partial(function, **options) if options else function, context.meter)
    represent = function(images, context, **(options or {}))
    return represent if entry.reads == "teacher" else PixelFeatures(represent, context.meter)


def adjusted_by_average(images: ImageSet | Tensor, context: ScoringContext) -> Represent:
    """`average_adjusted_histogram` with the average of these images, or with a given average histogram."""
    if isinstance(images, Tensor):
        return partial(average_adjusted_histogram, average=images)
    context.meter.add(Cost(images_read=len(images)))
    return partial(average_adjusted_histogram, average=average_histogram(images))


def own_function(images: ImageSet, context: ScoringContext) -> Represent:
    """The user's function, with a check of every batch of features."""
    assert context.function is not None, "criteria that read a function are refused without one before"
    return partial(_checked, context.function)


def teacher_logits(images: ImageSet, context: ScoringContext) -> TeacherFeatures:
    """The teacher's logits."""
    return TeacherFeatures(context.frozen, "logits", context.meter, block=context.block)


def teacher_embedding(images: ImageSet, context: ScoringContext) -> TeacherFeatures:
    """The inputs of the teacher's last layer."""
    return TeacherFeatures(context.frozen, "embedding", context.meter, block=context.block)


def average_histogram(images: ImageSet) -> Tensor:
    """Mean over the set of the number of pixels at each of the 256 gray levels, float64 `[256]`."""
    return histogram_sum(images, torch.arange(len(images))) / len(images)


def histogram_sum(images: ImageSet, positions: Tensor) -> Tensor:
    """Number of pixels at each of the 256 gray levels, over all images at `positions`, int64 `[256]`."""
    total = torch.zeros(LEVELS, dtype=torch.int64)
    for part in positions.split(batch_size_for(images)):
        total += level_counts(to_gray(images.gather(part)).view(1, -1))[0]
    return total


def batch_size_for(images: ImageSet) -> int:
    _, height, width = images.shape
    return max(FEWEST_IMAGES, PIXELS_PER_BATCH // (height * width))


def collect(images: ImageSet, represent: Representation) -> Tensor:
    """The features of the whole set in memory, `[N, D]`, 4 N D bytes.

    Raises:
        UserError: there is not enough memory for them and their copies, raised before they are computed; or some are
            not finite, so that distances cannot be measured.
    """
    features = None
    for positions, part in represent.over(images):
        if features is None:
            _check_memory(images, part)
            # Allocated outside inference mode, in which the teacher computes its features.
            features = torch.empty(len(images), part.shape[1], dtype=part.dtype)
        _check_finite(images, positions, part, represent)
        features[positions] = part
    assert features is not None, "image sets are not empty"
    return features


def _check_memory(images: ImageSet, part: Tensor) -> None:
    """Raises a UserError if features like `part` `[B, D]` for all of `images` would not fit into memory."""
    count, width = len(images), part.shape[1]
    # Clustering and distances make two float32 copies, in the order of the ids and of the ranking.
    needed, free = count * width * (part.element_size() + 2 * torch.float32.itemsize), free_memory()
    if needed > free:
        raise UserError(
            f"features of {images.name!r} need {needed / 1e9:,.3g} GB of memory, for {count:,} images x {width:,} "
            f"numbers, and {free / 1e9:,.3g} GB are free. Choose a criterion whose `space` is smaller, as "
            "teacher-embedding; load the images smaller (`size`); or choose from a part of them."
        )


def _check_finite(images: ImageSet, positions: Tensor, part: Tensor, represent: Representation) -> None:
    """Raises a UserError that names the first image whose features in `part` `[B, D]` are not finite."""
    broken = ~part.isfinite().all(1)
    if broken.any():
        first = images.ids[positions[broken]][0].item()
        else_ask = "ask the teacher in another `precision`, " if isinstance(represent, TeacherFeatures) else ""
        raise UserError(
            f"features of {images.name!r} are not finite for id {first}; look at that image and at what makes its "
            f"features, leave it out, {else_ask}or choose a criterion whose `space` is another."
        )


def _checked(function: Represent, pixels: Tensor) -> Tensor:
    """Features `[B, D]` of `pixels` by the user's function; raises a UserError if they are not that."""
    features = function(pixels.clone())  # a copy: the function may write into it
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(pixels):
        got = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UserError(
            f"`function` must return one row for each of {len(pixels)} images, [B, D], got {got}; one that gives a "
            "number per image is a `score`."
        )
    return features.detach().cpu()
