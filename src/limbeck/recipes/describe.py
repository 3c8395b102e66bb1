"""A recipe in words."""

from collections.abc import Sequence
from pathlib import Path

from limbeck.recipes.inheritance import load_recipe, made_by
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.plan import PlannedRun, plan, repeated
from limbeck.recipes.published import published
from limbeck.recipes.schema import Recipe
from limbeck.yaml_text import yaml_text


def describe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, and what `limbeck run` would do with it.

    Raises:
        UserError: the comparison cannot be planned.
    """
    content = recipe.model_dump(mode="json", exclude_none=True)
    lines = [yaml_text(content).rstrip(), "", f"valid: a recipe to {recipe.verb}"]
    if recipe.compare is not None:
        planned = plan(recipe)
        own = [run for run in planned if run.repeats is None]
        lines += [f"{len(own)} runs, {len(recipe.compare.seeds)} seeds of each of:", *_arms_by_budget(own)]
        lines += repeated(planned)
    teacher = None if recipe.teacher is None else recipe.teacher.weights
    if teacher is not None and not Path(teacher).exists() and (command := made_by(teacher)):
        lines.append(f"its teacher is not there yet: `{command}` makes {teacher}")
    return "\n".join(lines)


def _arms_by_budget(runs: Sequence[PlannedRun]) -> list[str]:
    """One line for all budgets with the same arms."""
    arms: dict[str, dict[str, None]] = {}
    for run in runs:
        arms.setdefault("" if run.budget is None else run.budget_label, {})[run.arm] = None
    budgets: dict[tuple[str, ...], list[str]] = {}
    for label, names in arms.items():
        budgets.setdefault(tuple(names), []).append(label)
    return [f"  {', '.join(labels)}{': ' * any(labels)}{', '.join(names)}" for names, labels in budgets.items()]


def describe_choices(source: str, overrides: Sequence[str] = ()) -> str:
    """The choices of a recipe, what is chosen, and published results for that; empty without choices."""
    path = find_recipe(source)
    content = load_recipe(path)
    overridden = dict(override.split("=", 1) for override in overrides if "=" in override)
    chosen: dict[str, str] = {}
    lines = []
    for name, options in (content.get("choices") or {}).items():
        chosen[name] = str(overridden.get(name, content.get(name)))
        others = [str(option) for option in options if str(option) != chosen[name]]
        lines.append(f"{name}: {chosen[name]}; or -s {name}= {', '.join(others)}")
    if reported := published(path.stem, chosen):
        lines.append(f"reported by others: top-1 {reported}")
    return "\n".join(lines)
