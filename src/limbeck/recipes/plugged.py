"""Which plug-ins a run uses: recorded at the start, checked when it resumes."""

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

    For each, where it is `from`, and its `code`: a digest of a package's source, or of the code that Python runs if it
    was registered in Python.
    """
    used = _used(recipe, teacher)
    plugins: dict[str, dict[str, Any] | None] = {}
    for name, part in used.items():
        code = _code(part)
        plugins[name] = {"from": part.source, **({} if code is None else {"code": code})}
    return plugins


def known_here_alone(recipe: Recipe) -> list[str]:
    """A sentence for each part of a recipe that was handed over in Python, on what that rules out."""
    return [
        f"the {FAMILIES[part.family][0]} {part.name!r} is known to this process alone: go on with the run from Python, "
        "handing it over again; the command line cannot. What stands in a module can be named 'module:name' everywhere"
        for part in _used(recipe).values()
        if part.source == HANDED_OVER
    ]


def check_sendable(recipe: Recipe) -> None:
    """Raises a UserError if a part that was handed over in Python cannot be sent to workers."""
    for part in _used(recipe).values():
        if part.source == HANDED_OVER:
            packed(part)


def _used(recipe: Recipe, teacher: Classifier | None = None) -> dict[str, Foreign[Any]]:
    with noting() as used:
        parse_recipe(recipe.model_dump(mode="json", exclude_none=True))  # looks up every name
        if teacher is not None and teacher.config is not None:
            MODELS.get(teacher.config["name"])
        for part in [part for part in used.values() if part.family == "criteria"]:
            criterion = CRITERIA[part.name]  # built only once, so its parts are looked up again here
            for family, name in (
                (REPRESENTATIONS, criterion.representation),
                (REPRESENTATIONS, criterion.space),
                (SCORES, criterion.score),
                (ALLOCATIONS, criterion.allocation),
            ):
                family.get(name)
    return used


def _code(part: Foreign[Any]) -> str | None:
    """A digest that changes with a part: of the code that Python runs, or of the files if it is installed."""
    if part.source == BY_PATH and is_installed(part.where.partition(":")[0]):
        return part.code
    return describe(part.load())[0] if part.source in (IN_PYTHON, HANDED_OVER, BY_PATH) else part.code


@contextmanager
def telling_lost_plugins(folder: str | Path) -> Iterator[None]:
    """Adds to errors in the block which parts the run used that are missing here."""
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
    """Parts that the run in `folder` was begun with and that are missing here, in words."""
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
