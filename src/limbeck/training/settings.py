"""How a network is trained: the part of a recipe under `training`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from limbeck.data.view_catalogue import check_views
from limbeck.training.numeric_fields import refuse_truth
from limbeck.training.view_cache.settings import Cache, CacheSettings

Share = Annotated[float, Field(gt=0, lt=1)]


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
    epochs: Annotated[float, Field(gt=0)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 64

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    clip_norm: Annotated[float, Field(gt=0)] | None = None

    schedule: Literal["cosine", "multi-step", "constant"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the budget over which the rate rises linearly from near 0."""
    milestones: list[Share] = [0.625, 0.75, 0.875]
    """Shares of the budget at which a multi-step schedule multiplies the rate by `decay`; 150/180/210 of 240."""
    decay: Share = 0.1

    views: Annotated[Any, BeforeValidator(check_views)] = "pad-crop-flip"
    """One augmentation by name, `{name: {option: value}}`, or a list of these, applied in order."""
    views_per_image: Annotated[int, Field(ge=1)] | None = None
    """Show only so many views of each image, its own ones; then even a short run meets views that were seen before."""
    cache: Cache = CacheSettings()
    """What is kept of the teacher's answers where an image has finitely many views; `false` for nothing."""
    validations: Annotated[int, Field(ge=0)] = 5
    """How often, evenly spaced and at the end, the student is judged on the held-out validation images."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`auto` is bf16 where the machine at hand is faster in it."""
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
        return self

    def total_steps(self, images: int) -> int:
        """Steps of the whole run on a transfer set of `images` images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, -int(-self.epochs * images // self.batch_size))
