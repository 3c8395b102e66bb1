"""What a recipe sets that nothing reads."""

from limbeck.recipes.plan import plan
from limbeck.recipes.schema import Recipe
from limbeck.training.unread_settings import unread_settings


def unread_by_training(recipe: Recipe, *, labelled: bool) -> list[str]:
    """Sentences on settings of training that an optimiser or a schedule ignores, with the arms that they hold for.

    Args:
        recipe: of a run or a comparison.
        labelled: whether its training images are.
    """
    teacher = None if recipe.teacher is None else recipe.teacher.training
    unread = [] if teacher is None else unread_settings(teacher, "teacher.training")
    if recipe.compare is None:
        return unread + unread_settings(recipe.training)
    arms = {one.arm: unread_settings(one.recipe.training) for one in plan(recipe, labelled=labelled)}
    for sentence in dict.fromkeys(sentence for found in arms.values() for sentence in found):
        held = [repr(arm) for arm, found in arms.items() if sentence in found]
        who = "" if len(held) == len(arms) else f"arm {held[0]}: " if len(held) == 1 else f"arms {', '.join(held)}: "
        unread.append(f"{who}{sentence}")
    return unread
