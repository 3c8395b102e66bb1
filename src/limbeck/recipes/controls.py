"""The controls of a comparison: what every arm is set against, named here and, for images, by the makers.

They travel in the results, so that reports and tables need no list of their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from limbeck.errors import UserError
from limbeck.recipes.inheritance import merge
from limbeck.transfer.catalogue import MAKERS, settings_of
from limbeck.transfer.settings import Control

NO_TEACHER, FULL, FULL_NO_TEACHER = "no-teacher", "full", "full-no-teacher"
_STUDENTS = {
    NO_TEACHER: "no teacher",
    FULL: "full data",
    FULL_NO_TEACHER: "full data without teacher",
}


class ControlArm(NamedTuple):
    """A control of some arms at one budget: its name, what it is, and its settings, without a budget."""

    name: str
    control: Control
    transfer: dict[str, Any]


def reserved_names(makers: Iterable[str]) -> set[str]:
    """What no arm may be called, beside arms of these makers: names of controls, of theirs and of limbeck's own."""
    known = dict.fromkeys([*MAKERS.built_in, *makers])
    return {*_STUDENTS, *(name for maker in known for name in settings_of(maker).controls)}


def controls_beside(arms: Iterable[Mapping[str, Any]]) -> list[ControlArm]:
    """The controls of arms with these settings under `transfer`, each once.

    Raises:
        UserError: two arms whose controls have one name and other settings.
    """
    found: dict[str, ControlArm] = {}
    for transfer in arms:
        for name, control in settings_of(str(transfer["maker"])).controls_beside(transfer).items():
            below = {} if "maker" in control.changes else {key: transfer[key] for key in transfer if key != "budget"}
            one = ControlArm(name, control, merge(below, control.changes))
            if found.setdefault(name, one).transfer != one.transfer:
                raise UserError(
                    f"the control {name!r} would be {found[name].transfer} for one arm and {one.transfer} for another; "
                    "compare these arms in two comparisons."
                )
    return list(found.values())


def described(controls: Iterable[ControlArm], *, budgets: bool) -> list[dict[str, Any]]:
    """What results say of the controls, the strictest of each kind first.

    Returns:
        For each `name`, `label` in words, `kind` ("budget" for as many images as an arm has, "full" for all of them),
        `teacher` (whether the student had one) and `strict`: of several the highest is what a verdict is about, None
        for those that are none.
    """
    rows: list[dict[str, Any]] = []
    for name, control, _ in sorted(controls, key=lambda one: -one.control.strict):
        kind = {"kind": "budget", "teacher": True, "strict": control.strict}
        rows.append({"name": name, "label": control.label, **kind})
    students = (NO_TEACHER, FULL, FULL_NO_TEACHER) if budgets else (FULL_NO_TEACHER,)
    for name in students:
        row = {"name": name, "label": _STUDENTS[name], "kind": "budget" if name == NO_TEACHER else "full"}
        rows.append({**row, "teacher": name == FULL, "strict": 0 if name == FULL_NO_TEACHER else None})
    return rows
