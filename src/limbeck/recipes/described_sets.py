"""Fills a recipe from the `use` of the transfer set it trains on, without importing torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.data.catalogue import in_catalogue
from limbeck.data.own_splits import TRANSFER_SET
from limbeck.data.place import FROM_PYTHON, path_text
from limbeck.errors import UserError
from limbeck.recipes.inheritance import SHORT, merge

_ELSEWHERE = ("compare", "transfer", "select")


def with_use(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` of a recipe, completed by the `use` of the transfer set whose folder its `data.train` is.

    Other recipes are returned unchanged: those that make a transfer set of their own from the images of the folder, and
    comparisons, whose arms are trained alike.

    Args:
        content: of a recipe, as in its file.

    Example:
        >>> with_use({"data": {"train": "digits"}, "training": {"steps": 5}})
        {'data': {'train': 'digits'}, 'training': {'steps': 5}}
    """
    content = dict(content)
    if any(content.get(key) is not None for key in _ELSEWHERE):
        return content
    use = _use_of(content.get("data"))
    student, training = content.get("student"), content.get("training")
    if use is None or not isinstance(student, str | Mapping | None) or not isinstance(training, Mapping | None):
        return content
    content["student"] = over(student_of_use(use.get("student", {})), {} if student is None else student)
    content["training"] = merge(training_of_use(use), training or {})
    if content.get("objective") is None:
        if "teacher" not in content and (teacher := teacher_of_use(use)):
            content["teacher"] = teacher
        if objective := objective_of_use(use, content.get("teacher") is not None):
            content["objective"] = objective
    return content


def student_of_use(said: Mapping[str, Any]) -> dict[str, Any]:
    """The student of a `use` as recipes have it: `whitening: true` stands for the whitening that the set carries."""
    whitened = {"whitening": True} if said.get("whitening") else {}
    return {key: value for key, value in said.items() if key != "whitening"} | whitened


def training_of_use(use: Mapping[str, Any]) -> dict[str, Any]:
    """The training of a `use` as recipes have it; `views`, those of 8-bit images, default to "none"."""
    return {"views": "none", **use.get("training", {})}


def objective_of_use(use: Mapping[str, Any], teacher: bool) -> Any:
    """The objective of a `use`; None if there is a `teacher` that it would not use."""
    from limbeck.objectives.sums import weighted_sum  # late, as it imports torch

    carried = use.get("objective")
    asks = carried is not None and (not teacher or weighted_sum(carried).outputs_needed("teacher"))
    return carried if asks else None


def teacher_of_use(use: Mapping[str, Any]) -> dict[str, Any]:
    """The teacher of a `use`, which labels every view, as recipes have it; empty if there is none.

    Raises:
        UserError: the teacher was handed over in Python, so no name finds it, or it is not where it was.
    """
    teacher = dict(use.get("teacher") or {})
    if (weights := str(teacher.get("weights", ""))).startswith(FROM_PYTHON):
        raise UserError(
            f"the transfer set is taught on by the answers of a teacher that was handed over in Python, {weights!r}; "
            "give it as the `teacher` (--teacher), or an `objective` that asks none."
        )
    if Path(weights).is_absolute() and not Path(weights).exists():
        raise UserError(
            f"the transfer set is taught on by the answers of the teacher {weights!r}, which is not there; give the "
            "same network from where it is now as the `teacher` (--teacher), or an `objective` that asks none."
        )
    return teacher


def over(student: Mapping[str, Any], stated: str | Mapping[str, Any]) -> dict[str, Any]:
    """`stated` laid over `student`: the normalisation is kept, options belong to their model and go with it."""
    stated = {SHORT["student"]: stated} if isinstance(stated, str) else dict(stated)
    below = dict(student)
    if stated.get("weights") is not None:
        return stated  # weights bring their own model and normalisation
    if stated.get("model", below.get("model")) != below.get("model"):
        below.pop("options", None)
    if {"mean", "std", "whitening"} & stated.keys():
        below = {key: value for key, value in below.items() if key not in ("mean", "std", "whitening")}
    return {**below, **stated}


def _use_of(data: Any) -> Mapping[str, Any] | None:
    """The `use` of the transfer set that `data` trains on; None if it is no transfer set, or has no `use`."""
    train = data.get("train", data.get("name")) if isinstance(data, Mapping) else data
    name = train.get("name") if isinstance(train, Mapping) else train
    if not isinstance(name, str | Path) or in_catalogue(name):
        return None
    try:
        config = json.loads((Path(path_text(name)).expanduser() / TRANSFER_SET).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # loading it reports the error
    use = config.get("use") if isinstance(config, dict) else None
    return use if isinstance(use, dict) else None
