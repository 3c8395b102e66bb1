"""What a recipe may say: one run, and under `compare` the many runs of a comparison."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from limbeck.errors import unknown_name
from limbeck.recipes.controls import controls_beside, reserved_names
from limbeck.recipes.fields import (
    ChangedTraining,
    ObjectiveSpec,
    Training,
)
from limbeck.recipes.racing_settings import Racing
from limbeck.recipes.settings import (
    NAME,
    DataSettings,
    Natural,
    Strict,
    StudentSettings,
    TeacherSettings,
    short_for,
)
from limbeck.training.setting_errors import NAME_ALLOWED, SettingsError
from limbeck.training.tracker_settings import TrackerSettings
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.catalogue import MAKERS, settings_of
from limbeck.transfer.settings import BudgetSpec, MakerSettings


def _transfer(value: Any) -> Any:
    """Settings of the maker that `value` names."""
    if not isinstance(value, Mapping):
        return value
    if "maker" not in value:
        raise ValueError(f"`maker` must be given, one of {', '.join(MAKERS)}")
    if not isinstance(value["maker"], str):
        raise ValueError(f"`maker` must be one of {', '.join(MAKERS)}, got {value['maker']!r}")
    settings = settings_of(value["maker"])
    try:
        return settings.model_validate(dict(value))
    except ValidationError as error:
        # Only here is it known which class checks them, so pydantic cannot merge these errors into the recipe's.
        raise SettingsError(list(error.errors()), settings) from None


def _spelt_out(content: Any, settings: Callable[[Any], Any]) -> Any:
    """`content` with `transfer` in place of its short form `select`."""
    if not isinstance(content, Mapping) or "select" not in content:
        return content
    content = dict(content)
    short = content.pop("select")
    if short is None:
        return content
    if content.get("transfer") is not None:
        raise ValueError("`select` is short for `transfer: {maker: select, ...}`; give one of the two")
    return {**content, "transfer": settings(short)}


def _distinct(values: list[Any], name: str) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"`{name}` must be distinct, got {', '.join(map(str, values))}")


def _budgets(budgets: list[BudgetSpec]) -> list[BudgetSpec]:
    _distinct([parse_budget(spec).label for spec in budgets], "budgets")
    return budgets


USUAL, USUAL_UNLABELLED, FROM_LABELS = {"cross_entropy": 0.1, "kd": 0.9}, {"kd": 1.0}, {"cross_entropy": 1.0}
"""Objectives where none is given: with a teacher, with one where images have no labels, and without."""

Budgets = Annotated[list[BudgetSpec], Field(min_length=1), AfterValidator(_budgets)]
_SELECT = "select"
_SHORT_FORMS = (_SELECT,)


class Arm(Strict):
    """What one arm of a comparison changes in the recipe.

    `transfer` are the settings of a maker, whose budget is the comparison's; `select: margin` is short for
    `transfer: {maker: select, criterion: margin}`.
    """

    short_forms: ClassVar = _SHORT_FORMS

    transfer: dict[str, Any] | None = None
    """What the student is taught on, as `transfer` of the recipe has it without a `budget`. By default images chosen by
    entropy where `compare` has `budgets`, else all images."""
    objective: ObjectiveSpec | None = None
    """What it learns from, in place of the recipe's `objective`."""
    student: Annotated[StudentSettings, short_for("model")] | None = None
    """Another student, in place of the recipe's."""
    training: ChangedTraining = Field(default_factory=dict)
    """Settings of `training`, laid over those of the recipe."""
    budgets: Budgets | None = None
    """Of this arm and the controls beside it, in place of `compare.budgets`, so that arms which make few images stand
    beside arms that take many."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, content: Any) -> Any:
        return _spelt_out(content, lambda criterion: {"maker": _SELECT, "criterion": criterion})

    @field_validator("transfer", mode="before")
    @classmethod
    def _known_maker(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "budget" in value:
            raise ValueError("budgets are those of `compare.budgets`, or the arm's own `budgets`; leave out `budget`")
        settings = _transfer({**value, "budget": 1} if isinstance(value, Mapping) else value)
        return settings.model_dump(mode="json", exclude={"budget"}) if isinstance(settings, MakerSettings) else settings


_DEFAULT_ARM: dict[str, Any] = {"transfer": {"maker": _SELECT}}


class CompareSettings(Strict):
    """Arms x budgets x seeds. The controls are added by themselves.

    With `budgets`, an arm learns from what its `transfer` makes, by entropy chosen images if it has none; without, all
    arms learn from all the images.

    Where the training images have no labels, the controls that need some are left out, as `balanced-random`,
    `no-teacher` and `full-no-teacher`.
    """

    budgets: Budgets | None = None
    """How many images arms are taught on: counts (500), shares of the training images (10%) or images of each class
    (50/class), each once. Needed where an arm has a `transfer`."""
    arms: dict[str, Annotated[Arm, short_for("select")]] = Field(
        default_factory=lambda: {"entropy": Arm(**_DEFAULT_ARM)}
    )
    """What is compared: a name of one's choice for what it changes, see `compare.arms.NAME` below. A lone criterion is
    short for `select: CRITERION`. By default one, which chooses images by entropy."""
    seeds: Annotated[list[Natural], Field(min_length=1)] = Field(default_factory=lambda: [0, 1, 2])
    """Each arm and budget is run once for each of these, in place of the recipe's `seed`; all different."""
    baseline: str | None = None
    """Name of an arm that all others are set against, too; by default none."""
    margin: Annotated[float, Field(json_schema_extra={"minimum": 0, "exclusiveMaximum": 1})] = 0.01
    """How far below the full data an arm may stay to be enough, in accuracy: 0.01 is a point."""
    without_teacher: ChangedTraining = Field(default_factory=dict)
    """Settings of `training` for the controls that learn from labels alone: their loss has another scale, and a control
    that is denied its own learning rate is no honest one."""
    racing: Racing = None
    """Lets arms that are beyond reach stop early: `true`, steps, seeds, budgets or a group of keys; by default all runs
    are finished."""

    @field_validator("margin")
    @classmethod
    def _share(cls, margin: float) -> float:
        if not 0 <= margin < 1:
            raise ValueError(f"`margin` must be in [0, 1), as 0.01 for one point of accuracy, got {margin:g}")
        return margin

    @field_validator("arms")
    @classmethod
    def _choosing(cls, arms: dict[str, Arm], info: ValidationInfo) -> dict[str, Arm]:
        if info.data.get("budgets", ()) is None:
            return arms
        usual = {"transfer": Arm(**_DEFAULT_ARM).transfer}
        return {name: arm if arm.transfer is not None else arm.model_copy(update=usual) for name, arm in arms.items()}

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: list[int]) -> list[int]:
        _distinct(seeds, "seeds")
        return seeds

    @model_validator(mode="after")
    def _nameable(self) -> Self:
        odd = [name for name in self.arms if not re.fullmatch(NAME, name)]
        wrong = [f"the name of an arm must be {NAME_ALLOWED}, got {name!r}" for name in odd]
        transfers = {name: arm.transfer for name, arm in self.arms.items() if arm.transfer is not None}
        makers = [str(transfer["maker"]) for transfer in transfers.values()]
        controls = {control.name for control in controls_beside(transfers)}
        taken = sorted((reserved_names(makers) | controls) & self.arms.keys())
        wrong += [f"the control {name!r} is added by itself; give the arm another name, or drop it" for name in taken]
        if wrong:
            raise ValueError("; ".join(wrong))
        if not self.arms:
            raise ValueError("`arms` must hold at least one arm, got none")
        if self.baseline is not None and self.baseline not in self.arms:
            raise unknown_name("`baseline`", self.baseline, self.arms, "it must be one of the arms")
        return self

    @model_validator(mode="after")
    def _budgeted(self) -> Self:
        making = [name for name, arm in self.arms.items() if arm.transfer is not None]
        if self.budgets is None and making:
            raise ValueError(
                f"`budgets` must be given for arms that `select` images, as {making[0]!r} does, or have another "
                "`transfer`; arms without learn from all of them and need no budgets"
            )
        own = [name for name, arm in self.arms.items() if arm.budgets is not None]
        if self.budgets is None and own:
            raise ValueError(
                f"`budgets` must be given beside those of single arms, as {own[0]!r} has some: they are those of all "
                "other arms"
            )
        return self

    @model_validator(mode="after")
    def _of_one_pool(self) -> Self:
        shares: dict[str, dict[bool, str]] = {}
        for name, arm in self.arms.items():
            for budget in map(parse_budget, self.budgets_of(name)):
                if arm.transfer and budget.kind == "share":
                    shares.setdefault(budget.label, {})[settings_of(arm.transfer["maker"]).needs_pool] = name
        for label, arms in shares.items():
            if len(arms) > 1:
                raise ValueError(
                    f"`budgets` must be counts of images (500) or images per class (50/class) where arms take their "
                    f"images from different places, as {arms[True]!r} and {arms[False]!r} do: a share is one of each's "
                    f"own; got {label}"
                )
        return self

    @model_validator(mode="after")
    def _raceable(self) -> Self:
        if self.racing is None:
            return self
        counts = {"arms": len(self.arms), "seeds": len(self.seeds)}
        if self.racing.by == "budgets":
            counts["budgets"] = len(self.budgets or ())
            if own := [name for name, arm in self.arms.items() if arm.budgets is not None]:
                raise ValueError(f"`racing` by budgets needs the same ones of all arms, and {own[0]!r} has its own")
        for name, count in counts.items():
            if count < 2:
                raise ValueError(
                    f"`racing` needs two `{name}` or more to tell arms apart by, got {count}; leave it out"
                )
        if self.racing.by == "seeds" and not any(rung < len(self.seeds) for rung in self.racing.rungs or [3]):
            raise ValueError(
                f"`racing` by seeds needs more of them than its first rung, {self.racing.rungs or [3]}, got "
                f"{len(self.seeds)}; give more `seeds`, or smaller `racing.rungs`"
            )
        return self

    def budgets_of(self, *arms: str) -> list[BudgetSpec]:
        """The budgets at which any of these arms is run, each once; those of all arms where none is named."""
        each = [self.arms[name].budgets or self.budgets or [] for name in arms or self.arms]
        return list({parse_budget(spec).label: spec for specs in each for spec in specs}.values())


class Recipe(Strict):
    """A run, from data to a judged student; with `compare`, a comparison of many."""

    short_forms: ClassVar = _SHORT_FORMS

    name: Annotated[str, Field(pattern=NAME)]
    """Of the run, whose folder is `runs/NAME` where no other is given: letters, digits, "_", "-" and "."."""
    summary: str = ""
    """What it does, in a line, for `limbeck ls recipes`."""
    license: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S[^\r\n]*$")] | None = None
    """Of the student, for its model card: an identifier of the hub as `apache-2.0`, or a name, in one
    line; by default none is stated."""
    seed: Natural = 0
    """Of fresh weights, the order and views of images, and all that a maker draws. The runs of a comparison have its
    `seeds`, and this one is of the teacher, where that is trained first."""
    device: Literal["auto", "cpu"] = "auto"
    """Where networks compute: `auto` is a GPU where there is one, `cpu` the processor in any case."""
    data: Annotated[DataSettings, short_for("name"), AfterValidator(DataSettings.each)]
    """Images to learn from and to be judged on; a lone name is a data set of which everything is taken."""
    teacher: Annotated[TeacherSettings, short_for("weights")] | None = None
    """The network that is asked; a lone name is its `weights`. Without one the student learns from labels."""
    student: Annotated[StudentSettings, short_for("model")]
    """The network that learns; a lone name is its `model`."""
    objective: ObjectiveSpec | None = None
    """What the student learns from, by name or as a weighted sum, `{cross_entropy: 0.1, kd: {weight: 0.9}}`. By default
    that sum with a teacher (`kd` alone where the images have no labels), and `cross_entropy` without."""
    transfer: Annotated[SerializeAsAny[MakerSettings], BeforeValidator(_transfer)] | None = None
    """What the student is taught on, as a maker makes it; without, all of `data.train`.
    `select: {criterion, budget}` is short for `transfer: {maker: select, ...}`."""
    training: Training
    """How the student is trained."""
    compare: CompareSettings | None = None
    """Makes the recipe a comparison of many runs; goes in place of `transfer`."""
    latency: bool = True
    """Whether the student is timed at the end, on this machine."""
    inside: Natural = 1000
    """Test images at most whose embeddings a run with a teacher keeps for its report; 0 keeps nothing of the kind."""
    tracker: Annotated[TrackerSettings, short_for("name")] | None = None
    """Where runs are shown while they go on: tensorboard, wandb, mlflow or trackio; it may change on resuming."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, content: Any) -> Any:
        return _spelt_out(content, lambda short: {"maker": _SELECT, **short} if isinstance(short, Mapping) else short)

    @model_validator(mode="after")
    def _made_by_arms(self) -> Self:
        if self.compare is not None and self.transfer is not None:
            raise ValueError(
                "`select` must not stand beside `compare`, nor `transfer`: its `arms` and `budgets` choose the images"
            )
        return self

    @model_validator(mode="after")
    def _has_images(self) -> Self:
        if self.data.train is not None:
            return self
        compared = [] if self.compare is None else [arm.transfer for arm in self.compare.arms.values()]
        makers = [settings_of(transfer["maker"]) for transfer in compared if transfer] or [type(self.transfer)]
        if self.transfer is None and not any(compared):
            raise ValueError("`data.train` must be given, the images to learn from, or a `transfer` that makes them")
        needing = [maker for maker in makers if issubclass(maker, MakerSettings) and maker.needs_pool]
        if needing or (self.compare is not None and not all(compared)):
            raise ValueError("`data.train` must be given, from which images are taken")
        for part in ("validation", "test"):
            if isinstance(held_out := getattr(self.data, part), int | float) and held_out:
                raise ValueError(
                    f"`data.{part}` must be images of their own (`{{name: ...}}`), with no `data.train` to hold out of"
                )
        if self.teacher is None:
            raise ValueError("`teacher` must be given, which knows the classes where there is no `data.train`")
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
            return dict(FROM_LABELS)
        return dict(USUAL if labelled else USUAL_UNLABELLED)
