"""What scoring may use besides the images, and checks that a criterion has all it needs."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from limbeck.caching import cache_folder
from limbeck.cost import Cost
from limbeck.data.classes import class_places, classes_of
from limbeck.data.image_set import ImageSet
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.models.forward import FROZEN, FrozenTeacher, device_for, resolve_computing
from limbeck.models.weights.folder import as_classifier
from limbeck.precision import check_precision, resolve_precision
from limbeck.progress import Progress, Silent
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import IMPLEMENTATIONS, REPRESENTATIONS, SCORES

if TYPE_CHECKING:
    from limbeck.models import Classifier

Represent = Callable[[Tensor], Tensor]


class CostMeter:
    """Adds up the cost of scoring.

    Attributes:
        cost: without the time, which is measured elsewhere.
        earlier: seconds that were spent earlier on networks which were loaded instead of being trained again.
    """

    def __init__(self) -> None:
        self.cost = Cost()
        self.earlier = 0.0

    def add(self, cost: Cost) -> None:
        self.cost += cost


@dataclass(frozen=True)
class ScoringContext:
    """What selection may use besides the images.

    It can be pickled to another process, which has its own copy of the teacher and counts its own cost.

    Attributes:
        teacher: gives logits and embeddings; it is neither changed nor moved.
        folder: where networks that are trained for scores are kept and found again; by default in limbeck's cache.
        seed: of training and of random draws.
        progress: reports progress.
        function: user-defined, from pixels uint8 `[B, C, H, W]` to features `[B, D]`.
        device: where the teacher computes; "auto" is resolved on the machine that computes.
        precision: of the teacher, "bf16" or "fp32". "auto" becomes the fastest on the machine that makes this context,
            so that all processes that use it compute alike.
        channels_last: memory format of the teacher; None becomes the fastest in the same way.
        block: images that a teacher on a CPU sees at a time, see `outputs_over`; None for whole batches.
        compile: whether torch compiles a teacher on a CPU, with its weights as constants.
        meter: the cost of scoring so far in this process.
    """

    teacher: "Classifier | None" = None
    folder: Path = field(default_factory=lambda: cache_folder() / "select")
    seed: int = 0
    progress: Progress = field(default_factory=Silent)
    function: Represent | None = None
    device: Device = "auto"
    precision: str = "auto"
    channels_last: bool | None = None
    block: int | None = None
    compile: bool = False
    meter: CostMeter = field(default_factory=CostMeter, compare=False)

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.teacher is None:
            return
        device = device_for(self.teacher, self.device)
        if self.precision == "auto" or self.channels_last is None:
            computing = resolve_computing(device, self.precision)
            object.__setattr__(self, "precision", computing.precision)
            if self.channels_last is None:
                object.__setattr__(self, "channels_last", computing.channels_last)
        if device.type != "cpu":
            object.__setattr__(self, "block", None)
            object.__setattr__(self, "compile", False)

    @property
    def cost(self) -> Cost:
        """Images read and teacher passes so far in this process."""
        return self.meter.cost

    @cached_property
    def frozen(self) -> FrozenTeacher:
        """The teacher for inference, copied to its device once."""
        assert self.teacher is not None, "criteria that ask a teacher are refused without one before"
        device = device_for(self.teacher, self.device)
        dtype = resolve_precision(self.precision, device)
        compiled = FROZEN if self.compile else False
        return FrozenTeacher(
            self.teacher, device=device, dtype=dtype, channels_last=bool(self.channels_last), compile=compiled
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "frozen"} | {"meter": CostMeter()}


def make_context(
    teacher: "Classifier | str | Path | None",
    folder: str | Path | None,
    seed: int,
    progress: Progress | None = None,
    function: Represent | None = None,
    *,
    device: Device = "auto",
    precision: str = "auto",
    block: int | None = None,
    compile: bool = False,
) -> ScoringContext:
    """A context with defaults filled in; loads a teacher that is given by name.

    Raises:
        UserError: an unknown device or precision, or a teacher that cannot be loaded.
    """
    teacher = None if teacher is None else as_classifier(teacher, "teacher")
    fields: dict[str, Any] = {
        "folder": None if folder is None else Path(folder),
        "progress": progress,
        "function": function,
    }
    present = {name: value for name, value in fields.items() if value is not None}
    options: dict[str, Any] = {"device": device, "precision": precision, "block": block, "compile": compile}
    return ScoringContext(teacher=teacher, seed=seed, **options, **present)


def check_criterion(criterion: Criterion, images: ImageSet, context: ScoringContext) -> None:
    """Checks, before any work, that everything that `criterion` needs is there.

    Raises:
        UserError: no teacher or no labels, a teacher of other classes or without a linear last layer, or a library that
            is not installed.
    """
    check_without_teacher(criterion, images, context)
    entry = SCORES[criterion.score]
    if not criterion.needs_teacher:
        return
    if context.teacher is None:
        names = " and ".join(repr(name) for name in criterion.represented if REPRESENTATIONS[name].reads == "teacher")
        raise UserError(f"criterion {criterion.name!r} asks a teacher ({names}), and none is given; give a `teacher`.")
    if entry.labels:
        _, assumed = _places(images, context.teacher)
        if assumed:
            warnings.warn(assumed, stacklevel=3)
    if entry.head:
        head_weights(context.teacher, criterion.score)


def check_without_teacher(criterion: Criterion, images: "ImageSet", context: ScoringContext) -> None:
    """The checks of `check_criterion` that need no teacher, as it may still have to be trained."""
    check_installed(criterion)
    if SCORES[criterion.score].labels and images.labels is None:
        raise UserError(
            f"score {criterion.score!r} compares with labels, and {images.name!r} has none; choose another criterion."
        )
    if "function" in criterion.represented and context.function is None:
        raise UserError(f"criterion {criterion.name!r} reads a `function`, and none is given; give one in Python.")


def check_installed(criterion: Criterion) -> None:
    """Raises a UserError if the library that `criterion` names is not installed."""
    implementation = criterion.option("implementation")
    if implementation is not None and find_spec(IMPLEMENTATIONS[implementation]) is None:
        raise UserError(
            f"criterion {criterion.name!r} draws its map by {implementation}, which is not installed; "
            "`pip install 'limbeck[maps]'`, or set its `implementation` to scikit-learn, which chooses other images."
        )


def labels_for(criterion: Criterion, images: ImageSet, teacher: "Classifier | None") -> Tensor | None:
    """Labels int64 `[N]`, in the teacher's numbering if `criterion` compares them with its logits."""
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


def head_weights(teacher: "Classifier", score: str = "minimal-margin") -> Tensor:
    """Weights `[K, D]` of the teacher's last layer, float32 on the CPU.

    Args:
        teacher: whose they are.
        score: that reads them, for the error.

    Raises:
        UserError: the last layer is not linear, or unknown.
    """
    layer = teacher.network.get_submodule(teacher.taps.embedding) if teacher.taps.embedding else None
    if not isinstance(layer, nn.Linear):
        kind = "none that is known" if layer is None else type(layer).__name__
        wrap = ", or `lb.wrap` it with its `embedding`" if layer is None else ""
        raise UserError(
            f"score {score!r} reads the weights of a linear last layer, got {kind} in {teacher.name}; choose "
            f"'margin'{wrap}."
        )
    return layer.weight.detach().float().cpu()
