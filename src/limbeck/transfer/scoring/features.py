"""Representations at work: those that need more than an image's own pixels get it here, once, before scoring begins."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from limbeck.caching import cache_folder
from limbeck.cost import Cost
from limbeck.data.classes import class_places, classes_of
from limbeck.data.image_set import ImageSet
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.look_ahead import look_ahead
from limbeck.memory import free_memory
from limbeck.models.forward import FrozenTeacher, device_for, outputs_over, resolve_computing
from limbeck.precision import resolve_precision
from limbeck.progress import Progress, Silent
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import IMPLEMENTATIONS, REPRESENTATIONS, SCORES, function_of
from limbeck.transfer.scoring.representations import LEVELS, average_adjusted_histogram, level_counts, to_gray

if TYPE_CHECKING:
    from limbeck.models import Classifier

Represent = Callable[[Tensor], Tensor]

# A batch of a quarter of a million pixels stays in the cache; at least 64 images keep the decoding threads busy.
PIXELS_PER_BATCH, FEWEST_IMAGES = 2**18, 64


class CostMeter:
    """Adds up what scoring takes.

    Attributes:
        cost: without time, which passes by itself.
        earlier: seconds that networks took before that were trained on the way and found again.
    """

    def __init__(self) -> None:
        self.cost = Cost()
        self.earlier = 0.0

    def add(self, cost: Cost) -> None:
        self.cost += cost


@dataclass(frozen=True)
class ScoringContext:
    """What selection may use besides the images.

    It may move to another process, which asks a copy of the teacher of its own, and counts for itself.

    Attributes:
        teacher: asked for logits and embeddings; left as it is and where it is.
        folder: where networks that are trained on the way are kept, and found again; by default in limbeck's cache.
        seed: of what is trained and drawn.
        progress: who watches.
        function: of one's own, from pixels uint8 `[B, C, H, W]` to features `[B, D]`.
        device: where the teacher is asked; "auto" is the right one of whatever machine does it.
        precision: in which the teacher is asked: "bf16" or "fp32". "auto" becomes what the machine that makes this is
            fastest in, so that all that score with it compute alike.
        channels_last: memory order in which the teacher is asked; None becomes the fastest likewise.
        meter: what scoring has taken so far in this process.
    """

    teacher: "Classifier | None" = None
    folder: Path = field(default_factory=lambda: cache_folder() / "select")
    seed: int = 0
    progress: Progress = field(default_factory=Silent)
    function: Represent | None = None
    device: Device = "auto"
    precision: str = "auto"
    channels_last: bool | None = None
    meter: CostMeter = field(default_factory=CostMeter, compare=False)

    def __post_init__(self) -> None:
        if self.teacher is None:
            return
        computing = resolve_computing(device_for(self.teacher, self.device), self.precision)
        object.__setattr__(self, "precision", computing.precision)
        if self.channels_last is None:
            object.__setattr__(self, "channels_last", computing.channels_last)

    @property
    def cost(self) -> Cost:
        """Images read and passes of the teacher so far in this process."""
        return self.meter.cost

    @cached_property
    def frozen(self) -> FrozenTeacher:
        """The teacher as it is asked, copied to its device once."""
        assert self.teacher is not None, "criteria that ask a teacher are refused without one before"
        device = device_for(self.teacher, self.device)
        dtype = resolve_precision(self.precision, device)
        return FrozenTeacher(self.teacher, device=device, dtype=dtype, channels_last=bool(self.channels_last))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "frozen"} | {"meter": CostMeter()}


def make_context(
    teacher: "Classifier | None",
    folder: str | Path | None,
    seed: int,
    progress: Progress | None = None,
    function: Represent | None = None,
    *,
    device: Device = "auto",
    precision: str = "auto",
) -> ScoringContext:
    """What selection may use, defaults filled in.

    Raises:
        UserError: an unknown device or precision.
    """
    given: dict[str, Any] = {
        "folder": None if folder is None else Path(folder),
        "progress": progress,
        "function": function,
    }
    named = {name: value for name, value in given.items() if value is not None}
    return ScoringContext(teacher=teacher, seed=seed, device=device, precision=precision, **named)


def check_means(criterion: Criterion, images: ImageSet, context: ScoringContext) -> None:
    """Whether all is there that `criterion` needs, before the work starts.

    Raises:
        UserError: no teacher, no labels, a teacher of other classes or without a plain last layer, a library that is
            not installed.
    """
    check_without_teacher(criterion, images, context)
    entry = SCORES[criterion.score]
    if not criterion.needs_teacher:
        return
    if context.teacher is None:
        which = " and ".join(repr(one) for one in criterion.represented if REPRESENTATIONS[one].reads == "teacher")
        raise UserError(f"criterion {criterion.name!r} asks a teacher ({which}), and none is given; give a `teacher`.")
    if entry.labels:
        _, assumed = _places(images, context.teacher)
        if assumed:
            warnings.warn(assumed, stacklevel=3)
    if entry.head:
        head_weights(context.teacher)


def check_without_teacher(criterion: Criterion, images: "ImageSet", context: ScoringContext) -> None:
    """As `check_means`, for a teacher that is still to be trained."""
    check_installed(criterion)
    if SCORES[criterion.score].labels and images.labels is None:
        raise UserError(
            f"score {criterion.score!r} compares with labels, and {images.name!r} has none; choose another criterion."
        )
    if "function" in criterion.represented and context.function is None:
        raise UserError(f"criterion {criterion.name!r} reads a `function`, and none is given; give one in Python.")


def check_installed(criterion: Criterion) -> None:
    """Raises a UserError where the library is not there that `criterion` names."""
    implementation = criterion.option("implementation")
    if implementation is not None and find_spec(IMPLEMENTATIONS[implementation]) is None:
        raise UserError(
            f"criterion {criterion.name!r} draws its map by {implementation}, which is not installed; "
            "`pip install limbeck[maps]`, or set its `implementation` to scikit-learn, which chooses other images."
        )


def labels_for(criterion: Criterion, images: ImageSet, teacher: "Classifier | None") -> Tensor | None:
    """Labels int64 `[N]`, numbered as the teacher does where `criterion` compares them with its answers."""
    if images.labels is None or teacher is None or not (SCORES[criterion.score].labels and criterion.needs_teacher):
        return images.labels
    return torch.tensor(_places(images, teacher)[0])[images.labels]


def _places(images: ImageSet, teacher: "Classifier") -> tuple[tuple[int, ...], str]:
    """See `class_places`."""
    try:
        return class_places(classes_of(images), classes_of(teacher, f"the teacher {teacher.name}"))
    except UserError as error:
        raise UserError(
            f"`teacher` must tell the {images.num_classes} classes of {images.name!r} apart to be compared with its "
            f"labels, got {teacher.num_classes} classes; {error}"
        ) from None


def head_weights(teacher: "Classifier") -> Tensor:
    """Weights `[K, D]` of the teacher's last layer, float32 on the CPU.

    Raises:
        UserError: the last layer is not linear, or unknown.
    """
    layer = teacher.network.get_submodule(teacher.taps.embedding) if teacher.taps.embedding else None
    if not isinstance(layer, nn.Linear):
        raise UserError(
            f"score 'minimal-margin' reads the weights of a linear last layer, got {type(layer).__name__} in "
            f"{teacher.name}; choose 'margin'."
        )
    return layer.weight.detach().float().cpu()


class Representation(Protocol):
    """Interface of what a score sees of images: from pixels uint8 `[B, C, H, W]` to features `[B, D]` on the CPU."""

    def __call__(self, pixels: Tensor) -> Tensor: ...

    def over(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        """(positions int64 [B], features [B, D]) of every batch in order; the next one is read meanwhile."""
        ...


class PixelFeatures:
    """What a function makes of pixels; counts the images that it is shown.

    Args:
        function: of a batch.
        meter: counts.
    """

    def __init__(self, function: Represent, meter: CostMeter) -> None:
        self.function = function
        self.meter = meter

    def __call__(self, pixels: Tensor) -> Tensor:
        self.meter.add(Cost(images_read=len(pixels)))
        return self.function(pixels)

    def over(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        for positions, pixels in look_ahead(images.batches(batch_size_for(images))):
            yield positions, self(pixels)


class TeacherFeatures:
    """The teacher's logits or embeddings, float32; counts its passes.

    Args:
        teacher: on its device.
        part: "logits" or "embedding".
        meter: counts.
    """

    def __init__(self, teacher: FrozenTeacher, part: str, meter: CostMeter) -> None:
        self.teacher = teacher
        self.part = part
        self.meter = meter

    def __call__(self, pixels: Tensor) -> Tensor:
        images = ImageSet(pixels)
        return torch.cat([features for _, features in self.over(images)])

    def over(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        want = {self.part, "logits"}
        for positions, outputs in outputs_over(self.teacher, images, want, batch_size=batch_size_for(images)):
            self.meter.add(Cost(images_read=len(positions), teacher_passes=len(positions)))
            found = outputs.logits if self.part == "logits" else outputs.embedding
            assert found is not None
            yield positions, found.flatten(1)


def representation(
    name: str, images: ImageSet | Tensor, context: ScoringContext, options: Mapping[str, Any] | None = None
) -> Representation:
    """The representation of that name, ready to work.

    Args:
        name: one of the catalogue's, not "none".
        images: the whole set, where the representation depends on it; or the set's average histogram.
        context: teacher, folder, seed; its meter counts what is read, and what the teacher is asked.
        options: of the representation.
    """
    entry = REPRESENTATIONS[name]
    function = function_of(entry.function)
    if entry.reads == "pixels":
        return PixelFeatures(function, context.meter)
    made = function(images, context, **(options or {}))
    return made if entry.reads == "teacher" else PixelFeatures(made, context.meter)


def adjusted_by_average(images: ImageSet | Tensor, context: ScoringContext) -> Represent:
    """`average_adjusted_histogram` with the average of these images, or with the average itself."""
    if isinstance(images, Tensor):
        return partial(average_adjusted_histogram, average=images)
    context.meter.add(Cost(images_read=len(images)))
    return partial(average_adjusted_histogram, average=average_histogram(images))


def own_function(images: ImageSet, context: ScoringContext) -> Represent:
    """The user's function, of which every batch of features is checked."""
    assert context.function is not None, "criteria that read a function are refused without one before"
    return partial(_checked, context.function)


def teacher_logits(images: ImageSet, context: ScoringContext) -> TeacherFeatures:
    """The teacher's logits."""
    return TeacherFeatures(context.frozen, "logits", context.meter)


def teacher_embedding(images: ImageSet, context: ScoringContext) -> TeacherFeatures:
    """What the teacher's last layer sees."""
    return TeacherFeatures(context.frozen, "embedding", context.meter)


def average_histogram(images: ImageSet) -> Tensor:
    """Mean over the set of the number of pixels at each of the 256 gray levels, float64 `[256]`."""
    return histogram_sum(images, torch.arange(len(images))) / len(images)


def histogram_sum(images: ImageSet, positions: Tensor) -> Tensor:
    """Pixels at each of the 256 gray levels in all images at `positions` together, int64 `[256]`."""
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
        UserError: there is not memory enough for them and what is done with them, before they are made.
    """
    features = None
    for positions, part in represent.over(images):
        if features is None:
            _check_memory(images, part)
            # Outside inference mode, in which the teacher's are made.
            features = torch.empty(len(images), part.shape[1], dtype=part.dtype)
        features[positions] = part
    assert features is not None, "image sets are not empty"
    return features


def _check_memory(images: ImageSet, part: Tensor) -> None:
    """Raises a UserError where features as those of `part` `[B, D]` are more than fit for all of `images`."""
    count, width = len(images), part.shape[1]
    # Clusters and distances take them as float32 in the order of the ids and of the ranking, too.
    needed, free = count * width * (part.element_size() + 2 * torch.float32.itemsize), free_memory()
    if needed > free:
        raise UserError(
            f"features of {images.name!r} need {needed / 1e9:,.3g} GB of memory, for {count:,} images x {width:,} "
            f"numbers, and {free / 1e9:,.3g} GB are free. Choose a criterion whose `space` is smaller, as "
            "teacher-embedding; load the images smaller (`size`); or choose from a part of them."
        )


def _checked(function: Represent, pixels: Tensor) -> Tensor:
    """What a function of the user's makes of `pixels`, if it is what it must be."""
    features = function(pixels)
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(pixels):
        got = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UserError(f"`function` must return one row for each of {len(pixels)} images, [B, D], got {got}.")
    return features.detach().cpu()
