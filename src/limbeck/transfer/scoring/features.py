"""Representations at work: those that need more than an image's own pixels get it here, once, before scoring begins."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from limbeck.cost import Cost
from limbeck.data.classes import class_places, classes_of
from limbeck.data.decoded import cache_folder
from limbeck.errors import UserError
from limbeck.evaluation.prediction import device_of, evaluating
from limbeck.progress import Progress, Silent
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import IMPLEMENTATIONS, REPRESENTATIONS, SCORES, function_of
from limbeck.transfer.scoring.representations import LEVELS, average_adjusted_histogram, level_counts, to_gray

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

Represent = Callable[[Tensor], Tensor]

# A batch of a quarter of a million pixels stays in the cache; at least 64 images keep the decoding threads busy.
PIXELS_PER_BATCH, FEWEST_IMAGES = 2**18, 64


@dataclass(frozen=True)
class ScoringContext:
    """What selection may use besides the images.

    Attributes:
        teacher: asked for logits and embeddings; left as it is.
        folder: where networks that are trained on the way are kept, and found again; by default in limbeck's cache.
        seed: of what is trained and drawn.
        progress: who watches.
        function: of one's own, from pixels uint8 `[B, C, H, W]` to features `[B, D]`.
        paid: what the networks cost that were trained on the way, or found again; whoever trains one puts it there
            under its name.
    """

    teacher: "Classifier | None" = None
    folder: Path = field(default_factory=lambda: cache_folder() / "select")
    seed: int = 0
    progress: Progress = field(default_factory=Silent)
    function: Represent | None = None
    paid: dict[str, Cost] = field(default_factory=dict)


def make_context(
    teacher: "Classifier | None",
    folder: str | Path | None,
    seed: int,
    progress: Progress | None = None,
    function: Represent | None = None,
) -> ScoringContext:
    """What selection may use, defaults filled in."""
    given: dict[str, Any] = {
        "folder": None if folder is None else Path(folder),
        "progress": progress,
        "function": function,
    }
    return ScoringContext(
        teacher=teacher, seed=seed, **{name: value for name, value in given.items() if value is not None}
    )


def check_means(criterion: Criterion, images: "ImageSet", context: ScoringContext) -> None:
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


def labels_for(criterion: Criterion, images: "ImageSet", teacher: "Classifier | None") -> Tensor | None:
    """Labels int64 `[N]`, numbered as the teacher does where `criterion` compares them with its answers."""
    if images.labels is None or teacher is None or not (SCORES[criterion.score].labels and criterion.needs_teacher):
        return images.labels
    return torch.tensor(_places(images, teacher)[0])[images.labels]


def _places(images: "ImageSet", teacher: "Classifier") -> tuple[tuple[int, ...], str]:
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


def representation(
    name: str, images: "ImageSet | Tensor", context: ScoringContext, options: Mapping[str, Any] | None = None
) -> Represent:
    """The function from pixels, uint8 `[B, C, H, W]`, to features `[B, D]` of that name.

    Args:
        name: one of the catalogue's, not "none".
        images: the whole set, where the representation depends on it; or the set's average histogram.
        context: teacher, folder, seed.
        options: of the representation.
    """
    entry = REPRESENTATIONS[name]
    function = function_of(entry.function)
    return function if entry.reads == "pixels" else function(images, context, **(options or {}))


def adjusted_by_average(images: "ImageSet | Tensor", context: ScoringContext) -> Represent:
    """`average_adjusted_histogram` with the average of these images, or with the average itself."""
    average = images if isinstance(images, Tensor) else average_histogram(images)
    return partial(average_adjusted_histogram, average=average)


def own_function(images: "ImageSet", context: ScoringContext) -> Represent:
    """The user's function, of which every batch of features is checked."""
    assert context.function is not None, "criteria that read a function are refused without one before"
    return partial(_checked, context.function)


def teacher_logits(images: "ImageSet", context: ScoringContext) -> Represent:
    """The teacher's logits."""
    return _asking(context, "logits")


def teacher_embedding(images: "ImageSet", context: ScoringContext) -> Represent:
    """What the teacher's last layer sees."""
    return _asking(context, "embedding")


def _asking(context: ScoringContext, what: str) -> Represent:
    assert context.teacher is not None, "criteria that ask a teacher are refused without one before"
    return partial(_ask, context.teacher, what)


def average_histogram(images: "ImageSet") -> Tensor:
    """Mean over the set of the number of pixels at each of the 256 gray levels, float64 `[256]`."""
    return histogram_sum(images, torch.arange(len(images))) / len(images)


def histogram_sum(images: "ImageSet", positions: Tensor) -> Tensor:
    """Pixels at each of the 256 gray levels in all images at `positions` together, int64 `[256]`."""
    total = torch.zeros(LEVELS, dtype=torch.int64)
    for part in positions.split(batch_size_for(images)):
        total += level_counts(to_gray(images.gather(part)).view(1, -1))[0]
    return total


def batch_size_for(images: "ImageSet") -> int:
    _, height, width = images.shape
    return max(FEWEST_IMAGES, PIXELS_PER_BATCH // (height * width))


def collect(images: "ImageSet", represent: Represent) -> Tensor:
    """The features of the whole set in memory, `[N, D]`, 4 N D bytes."""
    features = None
    for positions, pixels in images.batches(batch_size_for(images)):
        part = represent(pixels)
        if features is None:
            features = torch.empty(len(images), part.shape[1], dtype=part.dtype)
        features[positions] = part
    assert features is not None, "image sets are not empty"
    return features


def _checked(function: Represent, pixels: Tensor) -> Tensor:
    """What a function of the user's makes of `pixels`, if it is what it must be."""
    features = function(pixels)
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(pixels):
        got = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UserError(f"`function` must return one row for each of {len(pixels)} images, [B, D], got {got}.")
    return features.detach().cpu()


@torch.inference_mode()
def _ask(teacher: "Classifier", what: str, pixels: Tensor) -> Tensor:
    """The teacher's logits or embedding, float32 on the CPU."""
    with evaluating(teacher):
        pixels = pixels.to(device_of(teacher), memory_format=torch.channels_last)
        outputs = teacher(pixels, want={what, "logits"})
    found = outputs.logits if what == "logits" else outputs.embedding
    assert found is not None
    return found.float().flatten(1).cpu().clone()
