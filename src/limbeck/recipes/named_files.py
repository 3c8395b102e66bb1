"""Weights and other files that a recipe names beside its data: recorded as a run begins, checked as it goes on."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from limbeck.errors import UserError
from limbeck.models.fingerprint import fingerprint
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.inputs import load_weights
from limbeck.recipes.schema import Recipe

FILE, WEIGHTS = "file", "weights"


def files_of(recipe: Recipe) -> dict[str, dict[str, Any] | None]:
    """What the maker of a recipe is named to read, as "file/<path>", with a fingerprint."""
    named = {} if recipe.transfer is None else recipe.transfer.named_files()
    return {f"{FILE}/{path}": {"fingerprint": digest} for path, digest in named.items()}


def named_by_arms(recipes: Iterable[Recipe]) -> dict[str, dict[str, Any] | None]:
    """Files that the runs of a comparison name, and the weights that their students start from, as "weights/<name>".

    What is missing is left out, as the run that needs it fails by itself.
    """
    named: dict[str, dict[str, Any] | None] = {}
    for recipe in recipes:
        named |= files_of(recipe)
        weights = recipe.student.weights
        if weights is None or weights.startswith(FROM_PYTHON) or f"{WEIGHTS}/{weights}" in named:
            continue
        with suppress(UserError):
            named[f"{WEIGHTS}/{weights}"] = {"fingerprint": fingerprint(load_weights(recipe.student))}
    return named
