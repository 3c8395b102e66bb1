"""Settings of a recipe that nothing reads, or for which its runs are too short."""

from limbeck.data.image_set import ImageSet
from limbeck.recipes.plan import plan
from limbeck.recipes.schema import Recipe
from limbeck.training.settings import TrainingSettings
from limbeck.training.unread_settings import unreached_rate, unread_settings
from limbeck.transfer.budget import parse_budget


def unread_by_training(recipe: Recipe, *, labelled: bool, train: ImageSet | None = None) -> list[str]:
    """Sentences on settings of training that the optimiser or schedule ignores, and on a learning rate that is never
    reached, each once, with the arms concerned.

    Args:
        recipe: of a run or a comparison.
        labelled: whether its training images have labels.
        train: these images; None if they are not known, so that the steps of `epochs` are not, either.
    """
    images, classes = (None, None) if train is None else (len(train), train.num_classes)
    teacher = None if recipe.teacher is None else recipe.teacher.training
    said = [] if teacher is None else _sentences(teacher, _steps(teacher, images), "teacher.training")
    if recipe.compare is None:
        return said + _sentences(recipe.training, _steps_of_run(recipe, images, classes))
    shortest: dict[str, tuple[int | None, TrainingSettings]] = {}
    for run in plan(recipe, labelled=labelled):
        steps, before = _steps_of_run(run.recipe, images, classes), shortest.get(run.arm, (None,))[0]
        if run.arm not in shortest or (steps is not None and (before is None or steps < before)):
            shortest[run.arm] = steps, run.recipe.training
    arms = {arm: _sentences(settings, steps) for arm, (steps, settings) in shortest.items()}
    for sentence in dict.fromkeys(sentence for sentences in arms.values() for sentence in sentences):
        names = [repr(arm) for arm, sentences in arms.items() if sentence in sentences]
        who = (
            "" if len(names) == len(arms) else f"arm {names[0]}: " if len(names) == 1 else f"arms {', '.join(names)}: "
        )
        said.append(f"{who}{sentence}")
    return said


def _sentences(settings: TrainingSettings, steps: int | None, where: str = "training") -> list[str]:
    return unread_settings(settings, where) + ([] if steps is None else unreached_rate(settings, steps, where))


def _steps_of_run(recipe: Recipe, images: int | None, classes: int | None) -> int | None:
    """Steps of one run, about; None if that hangs on images that are not known."""
    transfer = recipe.transfer
    if transfer is None:
        return _steps(recipe.training, images)
    budget = parse_budget(transfer.budget)
    pool = images if transfer.needs_pool else None  # others take a share of images of their own
    known = {"count": 1, "share": pool, "per-class": classes}[budget.kind]
    return _steps(recipe.training, None if known is None else round(budget.about(pool or 0, classes or 0)))


def _steps(settings: TrainingSettings, images: int | None) -> int | None:
    return settings.steps if images is None else settings.total_steps(images)
