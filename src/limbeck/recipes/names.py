"""Names in recipes, checked against the catalogues without building anything."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from limbeck.data.catalogue import DATASETS
from limbeck.errors import UserError, unknown_name
from limbeck.models.catalogue import MODELS, TIMM_PREFIX
from limbeck.objectives.catalogue import NAMES, OBJECTIVES
from limbeck.transfer.select.budget import parse_budget
from limbeck.transfer.select.catalogue import CRITERIA, Criterion

FROM_PYTHON = "python:"
"""Starts the name of an object that was handed over in Python, where a recipe has a name."""


def _dataset(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if not isinstance(value, str) or value in DATASETS or "/" in value or Path(value).exists():
        return value
    if value.startswith(FROM_PYTHON) or value.split(":")[0] in DATASETS or Path(value).suffix:
        return value  # a subset or a file: `load` knows what is wrong with it
    raise unknown_name("data set", value, DATASETS, "`limbeck ls datasets` lists them all; a folder needs a '/'")


def _model(value: Any) -> Any:
    folded = {name.casefold() for name in MODELS}
    if not isinstance(value, str) or value.startswith((TIMM_PREFIX, FROM_PYTHON)) or value.casefold() in folded:
        return value
    raise unknown_name("model", value, MODELS, "`limbeck ls models` lists them all; timm's are 'timm:<name>'")


def _objective(value: Any) -> Any:
    for name in [value] if isinstance(value, str) else value if isinstance(value, Mapping) else []:
        if name not in NAMES:
            raise unknown_name("objective", str(name), NAMES, "`limbeck ls objectives` lists them all")
    return {value: OBJECTIVES[NAMES[value]].weight} if isinstance(value, str) else value


def _criterion(value: Any) -> Any:
    if isinstance(value, str) and value not in CRITERIA:
        raise unknown_name("criterion", value, CRITERIA, "`limbeck ls criteria` lists them all")
    if isinstance(value, Mapping):
        build_criterion(dict(value))
    return value


def build_criterion(spec: str | dict[str, Any]) -> Criterion:
    """The criterion of that name, or one put together from `representation`, `score`, `allocation` and `order`."""
    if isinstance(spec, str):
        return CRITERIA[spec]
    known = [one.name for one in fields(Criterion)]
    unknown = sorted(set(spec) - set(known))
    if unknown:
        raise unknown_name("part of a criterion:", unknown[0], known)
    if "score" not in spec:
        raise UserError("a criterion put together from parts must have a `score`.")
    return Criterion(**spec)


def _budget(value: Any) -> Any:
    parse_budget(value)
    return value


DatasetName = Annotated[str, BeforeValidator(_dataset)]
ModelName = Annotated[str, BeforeValidator(_model)]
ObjectiveSpec = Annotated[dict[str, Any], BeforeValidator(_objective)]
CriterionSpec = Annotated[str | dict[str, Any], BeforeValidator(_criterion)]
BudgetSpec = Annotated[int | float | str, BeforeValidator(_budget)]
