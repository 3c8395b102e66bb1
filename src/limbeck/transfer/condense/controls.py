"""What condensed images have to beat; without importing torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.settings import Control

HARD, SOFT, RDED = "condense-random", "condense-random-soft", "condense-rded"

_REAL: dict[str, Any] = {"maker": "condense", "method": "mtt", "iterations": 0, "initialise": "real"}
CONTROLS: Mapping[str, Control] = {
    HARD: Control(
        label="random images of each class, hard labels",
        changes={**_REAL, "labels": "hard"},
        strict=1,
        taught_alike=True,
    ),
    SOFT: Control(
        label="random images of each class, the same soft labels",
        changes={**_REAL, "labels": "soft"},
        strict=2,
        taught_alike=True,
    ),
    RDED: Control(
        label="crops that the teacher is sure of (RDED)",
        changes={"maker": "condense", "method": "rded"},
        taught_alike=True,
    ),
}
"""As many real images of each class, and RDED's, which are only beside what is learned otherwise."""

_TEACHER_LABELS = Control(
    label="random images of each class, the teacher's soft labels",
    changes={"maker": "select", "criterion": "balanced-random"},
    strict=2,
    taught_alike=True,
)
"""Beside crops, about whose views the teacher is asked."""

_BATCH = 128  # `use.batch_size` by default
_SHARED = ("network", "keep", "use")
"""What a control has of the arm beside which it stands, so that arms which differ in other things share theirs."""


def controls_of(said: Mapping[str, Any]) -> dict[str, Control]:
    """The controls of an arm.

    Args:
        said: its settings, without a budget.

    Example:
        >>> list(controls_of({"method": "datm", "labels": "soft", "by": "trajectories"}))
        ['condense-random', 'condense-random-soft', 'condense-rded']
    """
    shared = {name: said[name] for name in _SHARED if name in said}
    if "use" in shared:
        shared["use"] = _use_of(said["use"], str(said.get("method", "")))
    changes_by_control = {HARD: shared}
    if said.get("by") == "crops":
        return {HARD: _with(HARD, shared), SOFT: _TEACHER_LABELS}
    if said.get("labels") in ("soft", "teacher"):
        # Soft labels are those of the arm's own judges.
        changes_by_control[SOFT] = shared | {name: said[name] for name in ("labels", "experts") if name in said}
    changes_by_control[RDED] = shared | {name: said[name] for name in ("crops",) if name in said}
    return {name: _with(name, changes) for name, changes in changes_by_control.items()}


def _use_of(use: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """Its `use`, in usual batches where they are the method's own: arms of several methods share controls all the same.

    Comparisons say themselves in which batches students are taught.
    """
    published = METHODS[method].values.get("use", {}).get("batch_size") if method in METHODS else None
    return {**use, "batch_size": _BATCH} if published is not None and use.get("batch_size") == published else use


def _with(name: str, changes: Mapping[str, Any]) -> Control:
    return replace(CONTROLS[name], changes={**CONTROLS[name].changes, **changes})
