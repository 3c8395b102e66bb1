"""Recipes of the same run, whatever their parts are called and however they are written."""

import json
from collections.abc import Mapping
from typing import Any

from limbeck.models.catalogue import MODELS, canonical
from limbeck.objectives.catalogue import NAMES, OBJECTIVES
from limbeck.recipes.schema import Recipe
from limbeck.transfer.criteria import find_criterion


def same_run(recipe: Recipe, *, labelled: bool = True) -> str:
    """A key that is equal for two recipes if and only if their runs are the same.

    Args:
        recipe: without `compare`.
        labelled: whether the training images have labels, on which the default objective depends.
    """
    content = recipe.model_dump(mode="json", exclude={"compare", "summary", "tracker"})
    content["objective"] = _objective(recipe.resolved_objective(labelled=labelled))
    transfer, student = content["transfer"], content["student"]
    if transfer is not None and transfer["maker"] == "select":
        transfer["criterion"] = find_criterion(transfer["criterion"]).parts
    if student["model"] is not None and student["model"].casefold() in {name.casefold() for name in MODELS}:
        student["model"] = canonical(student["model"])
    return json.dumps(content, sort_keys=True, default=str)


def _objective(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The objective by the names of its terms, each with its weight and all options."""
    named = {NAMES.get(name, name): term for name, term in spec.items()}
    return {
        name: {
            **(OBJECTIVES[name].options if name in OBJECTIVES else {}),
            **(term if isinstance(term, Mapping) else {"weight": term}),
        }
        for name, term in named.items()
    }
