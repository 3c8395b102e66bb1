"""Settings of a recipe that nothing reads."""

from limbeck.recipes.plan import plan
from limbeck.recipes.schema import Recipe
from limbeck.training.unread_settings import unread_settings


def unread_by_training(recipe: Recipe, *, labelled: bool) -> list[str]:
    """Sentences on settings of training that the optimiser or schedule ignores, with the arms concerned.

    Args:
        recipe: of a run or a comparison.
        labelled: whether its training images have labels.
    """
    teacher = None if recipe.teacher is None else recipe.teacher.training
    unread = [] if teacher is None else unread_settings(teacher, "teacher.training")
    if recipe.compare is None:
        return unread + unread_settings(recipe.training)
    arms = {run.arm: unread_settings(run.recipe.training) for run in plan(recipe, labelled=labelled)}
    for sentence in dict.fromkeys(sentence for sentences in arms.values() for sentence in sentences):
        names = [repr(arm) for arm, sentences in arms.items() if sentence in sentences]
        who = (
            "" if len(names) == len(arms) else f"arm {names[0]}: " if len(names) == 1 else f"arms {', '.join(names)}: "
        )
        unread.append(f"{who}{sentence}")
    return unread
