"""The runs of a comparison: arms x budgets x seeds, and the controls, which are added automatically."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limbeck.data.catalogue import DATASETS
from limbeck.errors import UserError
from limbeck.recipes.controls import (
    FULL,
    FULL_NO_TEACHER,
    NO_TEACHER,
    ControlArm,
    StudentArm,
    controls_beside,
    students_beside,
)
from limbeck.recipes.inheritance import merge
from limbeck.recipes.reading import parse_recipe
from limbeck.recipes.repeated import same_run
from limbeck.recipes.schema import Arm, CompareSettings, Recipe
from limbeck.recipes.settings import VALIDATION_SHARE, DatasetSettings
from limbeck.transfer.budget import Budget, parse_budget
from limbeck.transfer.catalogue import settings_of

FULL_LABEL = "all"
FAR_LONGER = 100
"""A run on all the data of more than so many times the steps of the longest arm is hardly intended."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Attributes:
        arm: its name in tables.
        control: whether it was added automatically.
        budget: None for all the data.
        recipe: the run, with its seed.
        repeats: the control whose run this arm shares, as its own would be the same; None if it has its own.
    """

    arm: str
    control: bool
    budget: Budget | None
    recipe: Recipe
    repeats: str | None = None

    @property
    def budget_label(self) -> str:
        return FULL_LABEL if self.budget is None else self.budget.label

    @property
    def group(self) -> str:
        """Arm and budget as one word, the name of the folder of all seeds."""
        return self._group(self.arm)

    def _group(self, arm: str) -> str:
        if self.budget is None:
            return arm
        return f"{arm}@{self.budget_label.replace(' %', '%').replace('/', '-per-').replace(' ', '-')}"

    @property
    def folder(self) -> str:
        return f"runs/{self._group(self.repeats or self.arm)}/seed-{self.recipe.seed}"

    @property
    def title(self) -> str:
        return f"{self.group}, seed {self.recipe.seed}"


def plan(
    recipe: Recipe,
    images: int | None = None,
    classes: int | None = None,
    *,
    labelled: bool = True,
    suited: bool = True,
) -> list[PlannedRun]:
    """All runs, seed by seed and from the smallest budget, so that an unfinished comparison already has every arm.

    Without budgets all arms learn from all the data, and the only control is the student that learns from labels alone.
    At budgets where no arm takes training images, controls that would need more of them than there are are left out.

    Args:
        recipe: with `compare`.
        images: how many there are to choose from; by default the number in the catalogue, and if that has none, budgets
            of different kinds stay in the order in which they are written.
        classes: how many of them have images, likewise.
        labelled: whether the training images have labels. If not, the controls that need them are left out: images
            chosen at random within every class, and the students without a teacher.
        suited: false for a comparison begun by an earlier version: its students without a teacher learn from random
            images, whatever its arms are, and arms that repeat a control have runs of their own.

    Raises:
        UserError: the recipe has no `compare`, teacher or test images, or an arm's changes do not make a valid recipe.
    """
    compare = _comparison(recipe)
    if images is None or classes is None:
        images, classes = _published_size(recipe)
    budgets = _in_order([parse_budget(spec) for spec in compare.budgets_of()], images, classes)
    runs = [
        run for seed in compare.seeds for run in _runs(_base(recipe, seed), compare, budgets, classes, suited=suited)
    ]
    runs = [run for run in runs if labelled or not (run.control and _needs_labels(run.recipe))]
    if suited:
        runs = _needed(repeating(runs, labelled=labelled), compare)
    if images is None:
        return runs
    taking = {
        run.budget_label for run in runs if not run.control and run.recipe.transfer and run.recipe.transfer.needs_pool
    }
    return [
        run
        for run in runs
        if not run.control or run.budget_label in taking or not _asks_too_much(run, images, classes or 0)
    ]


def repeated(planned: Sequence[PlannedRun]) -> list[str]:
    """Sentences on the arms that repeat a control.

    Example:
        >>> repeated([])
        []
    """
    repeats: dict[tuple[str, str], list[str]] = {}
    for run in planned:
        if run.repeats is not None:
            repeats.setdefault((run.arm, run.repeats), []).append(run.budget_label)
    return [
        f"the arm {arm!r} repeats the control {control!r} at {', '.join(dict.fromkeys(budgets))}: it is not run, and "
        "its numbers are those of the control"
        for (arm, control), budgets in repeats.items()
    ]


def far_longer(planned: Sequence[PlannedRun], images: int | None, classes: int | None) -> list[str]:
    """At most one sentence: on runs on all the data that `epochs` make far longer than those of any arm.

    Args:
        planned: runs of one comparison.
        images: how many there are to choose from; None if unknown, or if there are none.
        classes: how many of them have images, likewise.

    Example:
        >>> far_longer([], 50_000, 10)
        []
    """
    if images is None:
        return []

    def steps(run: PlannedRun) -> int:
        count = images if run.budget is None else round(run.budget.about(images, classes or 0))
        return run.recipe.training.total_steps(count)

    arms = [run for run in planned if not run.control and run.budget is not None]
    full_runs = [run for run in planned if run.control and run.budget is None and run.recipe.training.steps is None]
    if not arms or not full_runs:
        return []
    full, arm = max(full_runs, key=steps), max(arms, key=steps)
    if steps(full) <= FAR_LONGER * steps(arm):
        return []
    return [
        f"the control {full.arm!r} takes {steps(full):,} steps, {steps(full) / steps(arm):,.0f} times as many as "
        f"{arm.group}: `training.epochs` are passes over what a run has. Set `training.steps`, which holds for all the "
        "data, and `steps: null` and `epochs` under `training` of the arms"
    ]


def repeating(runs: Sequence[PlannedRun], *, labelled: bool) -> list[PlannedRun]:
    """`runs`, with `repeats` set for arms whose run would be the same as a control's."""
    controls = {
        (run.budget_label, run.recipe.seed, same_run(run.recipe, labelled=labelled)): run.arm
        for run in reversed(runs)
        if run.control
    }
    names = [controls.get((run.budget_label, run.recipe.seed, same_run(run.recipe, labelled=labelled))) for run in runs]
    return [
        replace(run, repeats=name) if name is not None and not run.control else run
        for run, name in zip(runs, names, strict=True)
    ]


def _needed(runs: Sequence[PlannedRun], compare: CompareSettings) -> list[PlannedRun]:
    """`runs` without the students that only arms which repeat a control would be compared with."""
    compared = {run.arm for run in runs if not run.control and run.repeats is None}
    students = students_of(compare, controls_of(compare), suited=True)
    idle = {student.name for student in students if not compared & {*student.arms}} if compared else set[str]()
    return [run for run in runs if run.arm not in idle]


def _asks_too_much(run: PlannedRun, images: int, classes: int) -> bool:
    """Whether a control needs more training images than there are; the controls on the full data never do."""
    transfer = run.recipe.transfer
    if run.budget is None or transfer is None or not transfer.needs_pool:
        return False
    return run.budget.about(images, classes) > images


def _needs_labels(recipe: Recipe) -> bool:
    return recipe.teacher is None or (recipe.transfer is not None and recipe.transfer.needs_labels)


def controls_of(compare: CompareSettings) -> list[ControlArm]:
    """The controls that the makers of its arms define."""
    return controls_beside(transfers_of(compare))


def transfers_of(compare: CompareSettings) -> dict[str, dict[str, Any]]:
    """Arm -> its settings under `transfer`, for arms that have some."""
    return {name: arm.transfer for name, arm in compare.arms.items() if arm.transfer is not None}


def students_of(compare: CompareSettings, controls: Sequence[ControlArm], *, suited: bool) -> list[StudentArm]:
    """The students without a teacher; `suited` as in `plan`."""
    if suited:
        return students_beside(transfers_of(compare), controls)
    first = [control for control in controls if control.control.from_labels][:1]
    return [StudentArm(NO_TEACHER, control, tuple(compare.arms), alone=True) for control in first]


def _in_order(budgets: list[Budget], images: int | None, classes: int | None) -> list[Budget]:
    if len({budget.kind for budget in budgets}) <= 1:
        return sorted(budgets, key=lambda budget: budget.amount)
    if images is None or classes is None:
        return budgets
    return sorted(budgets, key=lambda budget: budget.about(images, classes))


def _published_size(recipe: Recipe) -> tuple[int | None, int | None]:
    """Images to choose from and classes of a named data set; (None, None) unless the catalogue has them.

    A subset of the classes is assumed to have its share of the images, which is good enough for ordering budgets.
    """
    source, held_out = recipe.data.train, recipe.data.validation
    info = None if source is None else DATASETS.get(source.name)
    split = None if info is None or source is None else info.splits.get(source.split or "train")
    if source is None or info is None or split is None or split.images is None or source.label_column:
        return None, None
    if info.num_classes == 0:  # unknown
        return None, None
    classes = len(source.classes or ()) or info.num_classes
    images = split.images * classes // info.num_classes
    for share in (recipe.data.test or 0, VALIDATION_SHARE if held_out is None else held_out):
        if not isinstance(share, DatasetSettings):
            images -= round(share * images) if isinstance(share, float) else share
    return images, classes


def _runs(
    base: dict[str, Any], compare: CompareSettings, budgets: list[Budget], classes: int | None, *, suited: bool
) -> list[PlannedRun]:
    runs: list[PlannedRun] = []
    without_teacher = {
        **base,
        "teacher": None,
        "objective": {"cross_entropy": 1.0},
        "training": merge(base["training"], compare.without_teacher),
    }
    has_images = base["data"].get("train") is not None
    controls = [
        control
        for control in controls_of(compare)
        if has_images or not settings_of(control.transfer["maker"]).needs_pool
    ]
    for budget in budgets or [None]:
        arms = {name: arm for name, arm in compare.arms.items() if budget is None or _has(compare, name, budget)}
        runs += [_run(name, budget, _changed(base, arm, budget), control=False) for name, arm in arms.items()]
        if budget is None:
            continue
        beside = [control._replace(arms=tuple(name for name in control.arms if name in arms)) for control in controls]
        for control in [control for control in beside if control.arms]:
            content = _with_equal_passes(
                _with_training_of_arms(base, control, compare), control, compare, budget, classes
            )
            runs += [] if content is None else [_run(control.name, budget, _made(content, control.transfer, budget))]
        students = [
            student for student in students_of(compare, controls, suited=suited) if arms.keys() & {*student.arms}
        ]
        runs += [
            _run(student.name, budget, _made(without_teacher, student.on.transfer, budget)) for student in students
        ]
    if has_images:
        runs += [_run(FULL, None, base)] if budgets else []
        runs.append(_run(FULL_NO_TEACHER, None, without_teacher))
    return runs


def _has(compare: CompareSettings, arm: str, budget: Budget) -> bool:
    return budget in [parse_budget(spec) for spec in compare.budgets_of(arm)]


def _run(arm: str, budget: Budget | None, content: dict[str, Any], *, control: bool = True) -> PlannedRun:
    return PlannedRun(arm, control, budget, parse_recipe(content, f"arm {arm!r}"))


def _base(recipe: Recipe, seed: int) -> dict[str, Any]:
    """The recipe of one run of a comparison; latency is measured once for all, not in each run."""
    content = recipe.model_dump(mode="json", exclude={"compare", "transfer", "seed", "latency"}, exclude_none=True)
    return {**content, "seed": seed, "latency": False}


def _with_training_of_arms(base: dict[str, Any], control: ControlArm, compare: CompareSettings) -> dict[str, Any]:
    """The recipe of a control's student: that of its arms, if all of them agree, else the base."""
    if not control.control.taught_alike:
        return base
    alike = [_teaching(base, compare.arms[name]) for name in control.arms]
    return alike[0] if all(other == alike[0] for other in alike) else base


def _with_equal_passes(
    content: dict[str, Any], control: ControlArm, compare: CompareSettings, budget: Budget, classes: int | None
) -> dict[str, Any] | None:
    """`content` with more steps, so that the control has as many teacher passes as its arms; None if unknown."""
    if not control.control.asked_as_often:
        return content
    training = content["training"]
    if not training.get("steps") or (classes is None and budget.kind == "per-class"):
        return None
    most_passes = 0
    for name in control.arms:
        transfer = compare.arms[name].transfer
        assert transfer is not None, "a control stands beside arms with makers"
        settings = settings_of(transfer["maker"]).model_validate({**transfer, "budget": _written(budget)})
        most_passes = max(most_passes, settings.passes(classes or 0, training["steps"]))
    extra_steps = -(-most_passes // training["batch_size"])
    return {**content, "training": {**training, "steps": training["steps"] + extra_steps}}


def _changed(base: dict[str, Any], arm: Arm, budget: Budget | None) -> dict[str, Any]:
    content = dict(base)
    if budget is not None:
        assert arm.transfer is not None, "arms without a maker of their own get the usual one"
        content = _made(base, arm.transfer, budget)
    return _teaching(content, arm)


def _teaching(content: dict[str, Any], arm: Arm) -> dict[str, Any]:
    """A recipe with an arm's changes to its objective, student and training."""
    content = {**content, "training": merge(content["training"], arm.training)}
    if arm.objective is not None:
        content["objective"] = arm.objective
    if arm.student is not None:
        content["student"] = arm.student.model_dump(mode="json", exclude_none=True)
    return content


def _made(base: dict[str, Any], transfer: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    return {**base, "transfer": {**transfer, "budget": _written(budget)}}


def _written(budget: Budget) -> int | float | str:
    return f"{budget.amount}/class" if budget.kind == "per-class" else budget.amount


def _comparison(recipe: Recipe) -> CompareSettings:
    if recipe.compare is None:
        raise UserError(
            f"the recipe {recipe.name!r} has no `compare` part (arms, budgets, seeds); add one, or use `limbeck run`."
        )
    if recipe.teacher is None:
        raise UserError(
            f"the recipe {recipe.name!r} has no `teacher`, and a comparison needs one; name its `weights`, or a "
            "`model` and the `training` that makes it."
        )
    if not recipe.data.test:
        raise UserError(
            f"the recipe {recipe.name!r} has no `data.test`, and a comparison needs images to judge on; name "
            "some, or hold a share out of `data.train`, as `data.test: 0.2`."
        )
    return recipe.compare
