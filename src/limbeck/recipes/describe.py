"""A recipe in words."""

import yaml

from limbeck.recipes.plan import plan
from limbeck.recipes.schema import Recipe


def describe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, and what `limbeck run` would do with it.

    Raises:
        UserError: a comparison that cannot be planned.
    """
    content = recipe.model_dump(mode="json", exclude_none=True)
    lines = [yaml.safe_dump(content, sort_keys=False).rstrip(), "", f"valid: a recipe to {recipe.verb}"]
    if recipe.compare is not None:
        cells = plan(recipe)
        groups = dict.fromkeys(cell.group for cell in cells)
        lines.append(f"{len(cells)} runs, {len(recipe.compare.seeds)} seeds of each of: {', '.join(groups)}")
    return "\n".join(lines)
