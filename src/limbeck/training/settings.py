"""How a network is trained: the part of a recipe under `training`."""

from fractions import Fraction
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from limbeck.data.normalised_views.catalogue import NormalisedViewsSpec
from limbeck.data.view_catalogue import check_views
from limbeck.training.numeric_fields import refuse_truth
from limbeck.training.optimizer_catalogue import check_optimizer
from limbeck.training.schedule_catalogue import check_schedule
from limbeck.training.view_cache.settings import Cache, CacheSettings

OptimizerSpec = Annotated[Any, BeforeValidator(check_optimizer)]
ScheduleSpec = Annotated[Any, BeforeValidator(check_schedule)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _share_or_steps(value: Any) -> Any:
    if isinstance(value, int | float) and value >= 1 and value != int(value):
        raise ValueError(f"must be a share below 1 or a whole number of steps, got {value}")
    return value


class Sharpness(BaseModel):
    """Sharpness-aware minimisation in two passes a step: SAM, ASAM if `adaptive`, with `alpha` GSAM as FTD has it.

    Attributes:
        rho: how far from the weights the gradient is taken, in units of the weights if `adaptive`.
        alpha: share of the part of the gradient at the weights orthogonal to that one which is taken away.
        adaptive: whether each weight is moved in proportion to its size, as in all releases of trajectory matching.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _numbers = field_validator("*", mode="before")(refuse_truth)

    rho: Annotated[float, Field(gt=0)] = 0.01
    alpha: Annotated[float, Field(ge=0)] = 0.3
    adaptive: bool = True


class TrainingSettings(BaseModel):
    """Optimiser, schedule, budget and precision of one training run.

    The budget is `steps` or `epochs`, one of them. A step shows the student `batch_size` images; an epoch is as many
    images as the transfer set holds, rounded up to whole steps. Defaults follow the CIFAR distillation benchmarks.

    Example:
        >>> settings = TrainingSettings(epochs=2, batch_size=32, views=["pad-crop", "colour-jitter"])
        >>> settings.total_steps(images=100), settings.learning_rate
        (7, 0.05)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _numbers = field_validator("*", mode="before")(refuse_truth)

    steps: Annotated[int, Field(ge=1)] | None = None
    """How many steps the run has; in place of `epochs`."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """How many passes over the transfer set the run has, rounded up to whole steps; in place of `steps`."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Images of a step, over all processes together."""

    optimizer: OptimizerSpec = "sgd"
    """`sgd`, `adamw`, any class of `torch.optim` by its name, one's own by its import path, "my_parts:Lion", or
    `{name: {option: value}}`. Its rate is `learning_rate`; `weight_decay` holds for all that have one, `momentum` and
    `nesterov` for `sgd`."""
    learning_rate: Annotated[float, Field(gt=0)] | Literal["learned"] = 0.05
    """The rate after `warmup`, with which the `schedule` begins; `learned` is that which the transfer set carries, as
    condensed ones do, and 0.01 where it has none."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of `optimizer: sgd`; others have options of their own."""
    nesterov: bool = False
    """Nesterov's form of momentum, for `optimizer: sgd` with `momentum` above 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """Of all weights and biases: added to the gradient by `sgd`, decoupled from it by `adamw`; other optimisers do with
    it what torch says of them."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """The largest norm that the gradient of all weights together may have, above which it is scaled down; by default
    it is never. For runs whose loss becomes infinite."""
    sharpness: Sharpness | None = None
    """Sharpness-aware minimisation, which takes twice the time; `{}` for that of trajectory matching's experts."""

    schedule: ScheduleSpec = "cosine"
    """`cosine`, `multi-step`, `constant`, `warmup-stable-decay`, any class of `torch.optim.lr_scheduler` by its name,
    one's own by its import path, or `{name: {option: value}}`. Torch's take a step with every step after the warm-up;
    `T_max`, `total_iters` and `total_steps` are how many these are, and `max_lr` is the learning rate, unless they are
    given. A run whose rate has not hung on the number of steps so far may be resumed with more of them: one at a
    constant rate, or before the last part of warmup-stable-decay, where the rate falls to 0."""
    warmup: Annotated[float, Field(ge=0), BeforeValidator(_share_or_steps)] = 0.0
    """Share of the budget over which the rate rises linearly from near 0; from 1 on a number of steps."""
    milestones: list[Share] = [0.625, 0.75, 0.875]
    """Shares of the budget at which a multi-step schedule multiplies the rate by `decay`; 150/180/210 of 240."""
    decay: Share = 0.1
    """What a multi-step schedule multiplies the rate by at each of the `milestones`."""
    cooldown: Annotated[float, Field(gt=0), BeforeValidator(_share_or_steps)] = 0.2
    """Share of the budget, at its end, over which warmup-stable-decay lets the rate fall linearly to 0; from 1 on a
    number of steps. The state before it is kept beside the checkpoint."""

    views: Annotated[Any, BeforeValidator(check_views)] = "pad-crop-flip"
    """One augmentation by name, `{name: {option: value}}`, or a list of these, applied in order."""
    normalised_views: NormalisedViewsSpec = None
    """Views of floats between a network's normalisation and the network, as `dsa` or `{dsa: {shift: 0.25}}`, on top of
    `views`, which condensed sets leave out. A teacher is asked about the same views in its own space, every time."""
    views_per_image: Annotated[int, Field(ge=1)] | None = None
    """Show only so many views of each image, its own ones; then even a short run meets views that were seen before."""
    cache: Cache = CacheSettings()
    """What is kept of the teacher's answers where an image has finitely many views; `false` for nothing."""
    validations: Annotated[int, Field(ge=0)] = 5
    """How often, evenly spaced and at the end, the student is judged on the held-out validation images."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the training, and of what a maker of transfer sets computes with the teacher; `auto` is bf16 where the machine
    at hand is faster in it."""
    channels_last: bool | Literal["auto"] = "auto"
    """Memory order of images and weights; `auto` is what the machine at hand is faster in."""
    compile: bool | Literal["graphs"] = False
    """Compile both networks, which needs a C++ compiler and pays on long runs; `graphs` has a GPU replay them as CUDA
    graphs, too, which may pay where they are so small that it waits for Python. Only passes for logits alone are
    compiled: where an objective reads stages or embeddings, this changes nothing. Whether it pays is to be measured
    (`benchmarks/throughput.py --compile graphs`), and nothing is chosen by itself."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Least time between two checkpoints, which take a twentieth of the run's at most; 0 saves at every occasion."""

    @model_validator(mode="after")
    def _one_budget(self) -> "TrainingSettings":
        if (self.steps is None) == (self.epochs is None):
            got = "both" if self.steps is not None else "neither"
            raise ValueError(f"exactly one of `steps` and `epochs` must be given, got {got}")
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"`milestones` must rise, got {self.milestones}")
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov` needs `momentum` > 0, got 0")
        if self.sharpness is not None and self.compile == "graphs":
            raise ValueError(
                "`sharpness` passes a batch twice through a network whose weights it moves, which `compile: graphs` is "
                "not known to replay rightly; choose `compile: true` or `false`"
            )
        return self

    @property
    def rate(self) -> float:
        """The learning rate as a number, see `limbeck.training.schedule.with_rate`."""
        assert self.learning_rate != "learned", "the loop looks it up"
        return self.learning_rate

    def total_steps(self, images: int) -> int:
        """Steps of the whole run on a transfer set of `images` images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        # The number as it is written: 1.1 * 50000 is above 55000 in floats, and would take a step more.
        return max(1, ceil(Fraction(str(self.epochs)) * images / self.batch_size))

    def warmup_steps(self, total: int) -> int:
        """Steps of warm-up of a run of `total`."""
        return _steps(self.warmup, total)

    def cooldown_steps(self, total: int) -> int:
        """Steps of a run of `total` over which warmup-stable-decay lets the rate fall."""
        return max(1, _steps(self.cooldown, total))


def _steps(share_or_steps: float, total: int) -> int:
    return int(share_or_steps) if share_or_steps >= 1 else round(share_or_steps * total)
