"""The controls that condensed images have to beat. torch is not imported."""

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
"""As many real images per class, and RDED's crops, which only stand beside sets that are not crops themselves."""

_TEACHER_LABELS = Control(
    label="random images of each class, the teacher's soft labels",
    changes={"maker": "select", "criterion": "balanced-random"},
    strict=2,
    taught_alike=True,
)
"""Stands beside crops, which are used with the teacher's answers to every view."""

_BATCH = 128  # default of `use.batch_size`
_SHARED = ("network", "keep", "use")
"""Settings that a control takes from its arm; arms that differ only in others share their controls."""


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
        # The arm's own judges give the soft labels.
        changes_by_control[SOFT] = shared | {name: said[name] for name in ("labels", "experts") if name in said}
    changes_by_control[RDED] = shared | {name: said[name] for name in ("crops",) if name in said}
    return {name: _with(name, changes) for name, changes in changes_by_control.items()}


def _use_of(use: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """The arm's `use`, with the default batch size where the arm has its method's own.

    So arms of several methods share their controls. Comparisons set the batch size of students themselves.
    """
    published = METHODS[method].values.get("use", {}).get("batch_size") if method in METHODS else None
    return {**use, "batch_size": _BATCH} if published is not None and use.get("batch_size") == published else use


def _with(name: str, changes: Mapping[str, Any]) -> Control:
    return replace(CONTROLS[name], changes={**CONTROLS[name].changes, **changes})
