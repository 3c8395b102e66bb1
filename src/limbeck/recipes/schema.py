"""What a recipe may say: one run, and under `compare` the many runs of a comparison."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from limbeck.errors import unknown_name
from limbeck.recipes.fields import (
    BudgetSpec,
    CriterionSpec,
    DatasetName,
    ModelName,
    ObjectiveSpec,
    Training,
    WeightsName,
    check_model_options,
)
from limbeck.recipes.yaml_files import misread
from limbeck.training.numeric_fields import refuse_truth
from limbeck.transfer.budget import parse_budget

NAME = r"^\w[\w.-]*$"
NAME_ALLOWED = "letters, digits, '_', '-' and '.', because it names a folder"
Natural = Annotated[int, Field(ge=0)]
Normalisation = Annotated[list[float], Field(min_length=1)]


class Part(BaseModel):
    """Base of all parts of a recipe: an unknown key is an error, a recipe does not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _numbers = field_validator("*", mode="before")(refuse_truth)


def _named(key: str) -> BeforeValidator:
    """Lets a lone string stand for a mapping that has only `key`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str | Path) else value)


def _class_name(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be the name or the number of a class, got {value!r}{misread(value)}")
    return value


ClassName = Annotated[str | int, BeforeValidator(_class_name)]


class Source(Part):
    """Images by name, folder, file or hub id; see `limbeck.load`."""

    name: DatasetName
    split: str | None = None
    size: Annotated[int, Field(ge=1)] | tuple[int, int] | None = None
    channels: Literal[1, 3] | None = None
    image_column: str | None = None
    label_column: str | None = None
    classes: list[ClassName] | None = None
    skip_unreadable: bool = False
    scale: Annotated[float, Field(gt=0, strict=True)] | None = None
    in_memory: bool | None = None


def _count_or_share(value: Any) -> Any:
    too_large = isinstance(value, float) and value >= 1
    if isinstance(value, bool) or too_large or (isinstance(value, int | float) and value < 0):
        raise ValueError(f"must be a count of images >= 0 or a share below 1, got {value}")
    return value


Validation = Annotated[
    Annotated[Source, Tag("union-images")]
    | Annotated[int | float, BeforeValidator(_count_or_share), Tag("union-count")],
    Discriminator(lambda value: "union-images" if isinstance(value, Source | Mapping) else "union-count"),
]
"""Images of their own, or how many to hold out."""
VALIDATION_SHARE = 0.1
"""What is held out of labelled training images where a recipe says nothing of validation."""


class DataSettings(Part):
    """Images to learn from and to be judged on.

    `validation` images may choose among the states of a run; the test images choose nothing. They are images of their
    own (`{name: ...}`), or a count or share (below 1) that is held out of `train` before anything else sees them, so
    that a share in a `budget` is one of what is left. Where nothing is said, a tenth is held out, but nothing of
    unlabelled images, which cannot be judged on, nor of a transfer set, which is taught whole.
    """

    train: Annotated[Source, _named("name")]
    test: Annotated[Source, _named("name")] | None = None
    validation: Validation | None = None
    split_seed: Natural = 0


def _both_splits(value: Any) -> Any:
    return {"train": value, "test": value} if isinstance(value, str | Path) else value


class NetworkSettings(Part):
    """A network by name, or weights that say which network they are of.

    `classes` are the names of its classes, in its own order, where the weights know none or call them otherwise.
    `weights_key` names one of several sets of weights in a file, as `model_ema` or `teacher`.
    """

    model: ModelName | None = None
    weights: WeightsName | None = None
    weights_key: str | None = None
    options: dict[str, Any] = {}
    num_classes: Annotated[int, Field(ge=1)] | None = None
    input_size: Annotated[int, Field(ge=1)] | tuple[int, int] | None = None
    channels: Annotated[int, Field(ge=1)] | None = None
    mean: Normalisation | None = None
    std: Normalisation | None = None
    classes: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_options(self) -> Self:
        check_model_options(self.model, self.options)
        if self.weights_key is not None and self.weights is None:
            raise ValueError("`weights_key` needs `weights`, the file in which it names one of several sets")
        return self


class StudentSettings(NetworkSettings):
    """The network that learns; `weights` are its starting point, none mean a fresh start from the seed."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.model is None and self.weights is None:
            raise ValueError("`model` or `weights` must be given, got neither")
        return self


class TeacherSettings(NetworkSettings):
    """The network that is asked: published or own `weights`, or a `model` trained first as `training` says."""

    training: Training | None = None
    objective: ObjectiveSpec = {"cross_entropy": 1.0}

    @model_validator(mode="after")
    def _taught(self) -> Self:
        pretrained = self.options.get("pretrained") is True
        if self.training is not None and (self.model is None or self.weights is not None):
            raise ValueError("`training` needs a `model` and no `weights`: what has weights is not trained again")
        if self.weights is None and self.training is None and not pretrained:
            raise ValueError("`weights` must be given, or `training` to make them; an untrained teacher knows nothing")
        return self


class SelectSettings(Part):
    """Which images of `data.train` make the transfer set; without this part, all of them."""

    criterion: CriterionSpec = "entropy"
    budget: BudgetSpec


_USUAL = "entropy"


class Arm(Part):
    """What one arm of a comparison changes in the recipe."""

    select: CriterionSpec | None = None
    objective: ObjectiveSpec | None = None
    student: Annotated[StudentSettings, _named("model")] | None = None
    training: dict[str, Any] = {}


class CompareSettings(Part):
    """Arms x budgets x seeds. The controls are added by themselves.

    With `budgets`, an arm chooses its images by `select`, by entropy if it names no criterion; without, all arms learn
    from all the images. Every arm is also set against `baseline`, the name of one of them.

    Where the training images have no labels, the controls that need some are left out: `balanced-random`, `no-teacher`
    and `full-no-teacher`.

    `without_teacher` are training settings of the controls that learn from labels alone: their loss has another
    scale, and a control that is denied its own learning rate is no honest one.
    """

    budgets: Annotated[list[BudgetSpec], Field(min_length=1)] | None = None
    arms: dict[str, Annotated[Arm, _named("select")]] = Field(default_factory=lambda: {"entropy": Arm(select=_USUAL)})
    seeds: Annotated[list[Natural], Field(min_length=1)] = [0, 1, 2]
    baseline: str | None = None
    without_teacher: dict[str, Any] = {}

    @field_validator("arms")
    @classmethod
    def _choosing(cls, arms: dict[str, Arm], info: ValidationInfo) -> dict[str, Arm]:
        if info.data.get("budgets", ()) is None:
            return arms
        return {name: arm.model_copy(update={"select": arm.select or _USUAL}) for name, arm in arms.items()}

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        labels = [parse_budget(budget).label for budget in self.budgets or ()]
        for name, values in (("seeds", self.seeds), ("budgets", labels)):
            if len(set(values)) < len(values):
                raise ValueError(f"`{name}` must be distinct, got {', '.join(map(str, values))}")
        return self

    @model_validator(mode="after")
    def _nameable(self) -> Self:
        for name in self.arms:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"the name of an arm must be {NAME_ALLOWED}, got {name!r}")
        taken = sorted(CONTROLS & self.arms.keys())
        if taken:
            raise ValueError(f"the control {taken[0]!r} is added by itself; give the arm another name, or drop it")
        if not self.arms:
            raise ValueError("`arms` must hold at least one arm, got none")
        if self.baseline is not None and self.baseline not in self.arms:
            raise unknown_name("`baseline`", self.baseline, self.arms, "it must be one of the arms")
        return self

    @model_validator(mode="after")
    def _budgeted(self) -> Self:
        choosing = [name for name, arm in self.arms.items() if arm.select is not None]
        if self.budgets is None and choosing:
            raise ValueError(
                f"`budgets` must be given for arms that `select` images, as {choosing[0]!r} does; arms without "
                "`select` learn from all of them and need no budgets"
            )
        return self


CONTROLS = frozenset(["random", "balanced-random", "no-teacher", "full", "full-no-teacher"])


class Recipe(Part):
    """A run, from data to a judged student; with `compare`, a comparison of many."""

    name: Annotated[str, Field(pattern=NAME)]
    summary: str = ""
    seed: Natural = 0
    device: Literal["auto", "cpu"] = "auto"
    data: Annotated[DataSettings, BeforeValidator(_both_splits)]
    teacher: Annotated[TeacherSettings, _named("weights")] | None = None
    student: Annotated[StudentSettings, _named("model")]
    objective: ObjectiveSpec | None = None
    select: SelectSettings | None = None
    training: Training
    compare: CompareSettings | None = None
    latency: bool = True
    inside: Natural = 1000
    """Test images at most whose embeddings a run with a teacher keeps for its report; 0 keeps nothing of the kind."""

    @model_validator(mode="after")
    def _chosen_by_arms(self) -> Self:
        if self.compare is not None and self.select is not None:
            raise ValueError("`select` must not stand beside `compare`, whose `arms` and `budgets` choose the images")
        return self

    @property
    def verb(self) -> Literal["compare", "distill", "train"]:
        """What `limbeck run` does with it."""
        if self.compare is not None:
            return "compare"
        return "train" if self.teacher is None else "distill"

    def resolved_objective(self, *, labelled: bool = True, soft_labels: bool = False) -> dict[str, Any]:
        """The objective, or the usual one: Hinton's with a teacher or soft labels, without its cross-entropy where the
        images are not labelled; cross-entropy without."""
        if self.objective is not None:
            return self.objective
        if self.teacher is None and not soft_labels:
            return {"cross_entropy": 1.0}
        return {"cross_entropy": 0.1, "kd": 0.9} if labelled else {"kd": 1.0}
