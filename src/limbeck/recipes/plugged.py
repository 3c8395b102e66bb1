"""Whose parts a run uses: written down when it begins, and told where a resume lacks them or has others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limbeck.catalogue import FAMILIES
from limbeck.errors import UserError
from limbeck.foreign import BY_PATH, HANDED_OVER, IN_PYTHON, Foreign
from limbeck.models.catalogue import MODELS
from limbeck.models.classifier import Classifier
from limbeck.models.code import is_installed
from limbeck.models.description import describe
from limbeck.plugins import catalogue_of, noting, packed
from limbeck.recipes.reading import parse_recipe
from limbeck.recipes.schema import Recipe
from limbeck.training.run_folder import INPUTS_FILE
from limbeck.transfer.criteria import CRITERIA
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES


def plugins_of(recipe: Recipe, teacher: Classifier | None) -> dict[str, dict[str, Any] | None]:
    """Parts that are not limbeck's own and that a recipe or its teacher names, as "objectives/brier".

    Of each where it is `from`, and its `code`: digests of a package's source, and of what Python runs where it was
    registered in Python.
    """
    used = _used(recipe, teacher)
    plugins: dict[str, dict[str, Any] | None] = {}
    for name, part in used.items():
        code = _code(part)
        plugins[name] = {"from": part.source, **({} if code is None else {"code": code})}
    return plugins


def known_here_alone(recipe: Recipe) -> list[str]:
    """What cannot be done with a recipe that names what was handed over in Python, in a sentence for each part."""
    return [
        f"the {FAMILIES[part.family][0]} {part.name!r} is known to this process alone: go on with the run from Python, "
        "handing it over again; the command line cannot. What stands in a module can be named 'module:name' everywhere"
        for part in _used(recipe).values()
        if part.source == HANDED_OVER
    ]


def check_sendable(recipe: Recipe) -> None:
    """Raises a UserError where workers could not be told of a part that was handed over in Python."""
    for part in _used(recipe).values():
        if part.source == HANDED_OVER:
            packed(part)


def _used(recipe: Recipe, teacher: Classifier | None = None) -> dict[str, Foreign[Any]]:
    with noting() as used:
        parse_recipe(recipe.model_dump(mode="json", exclude_none=True))  # looks up every name
        if teacher is not None and teacher.config is not None:
            MODELS.get(teacher.config["name"])
        for part in [part for part in used.values() if part.family == "criteria"]:
            criterion = CRITERIA[part.name]  # made once, when its parts were looked up
            for family, name in (
                (REPRESENTATIONS, criterion.representation),
                (REPRESENTATIONS, criterion.space),
                (SCORES, criterion.score),
                (ALLOCATIONS, criterion.allocation),
            ):
                family.get(name)
    return used


def _code(part: Foreign[Any]) -> str | None:
    """What tells a part from what it was: of what is one's own what Python runs, of what is installed its files."""
    if part.source == BY_PATH and is_installed(part.where.partition(":")[0]):
        return part.code
    return describe(part.load())[0] if part.source in (IN_PYTHON, HANDED_OVER, BY_PATH) else part.code


@contextmanager
def telling_lost_plugins(folder: str | Path) -> Iterator[None]:
    """Errors about what a run's recipe names also tell which parts it used that are not here."""
    try:
        yield
    except UserError as error:
        lost = lost_plugins(folder)
        if not lost:
            raise
        raise UserError(
            f"{error}\n{str(folder)!r} was begun with {', '.join(lost)}; install or register again what is missing."
        ) from None


def lost_plugins(folder: str | Path) -> list[str]:
    """Parts that the run in `folder` was begun with and that have no name here, in words."""
    try:
        noted = json.loads((Path(folder) / INPUTS_FILE).read_text())
    except (OSError, ValueError):
        return []
    lost = []
    for key, part in noted.items() if isinstance(noted, dict) else ():
        family, separator, name = key.partition("/")
        if separator and family in FAMILIES and part and name not in catalogue_of(family):
            lost.append(f"{FAMILIES[family][0]} {name!r} ({part['from']})")
    return lost
