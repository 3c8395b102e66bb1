"""The controls of a comparison: what every arm is set against, named here and, for images, by the makers.

They travel in the results, so that reports and tables need no list of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

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
    """A control of some arms at one budget.

    Attributes:
        name: in tables.
        control: what it is.
        transfer: its settings, without a budget.
        arms: beside which it stands.
        alone: whether arms of the comparison have no other control of this kind.
    """

    name: str
    control: Control
    transfer: dict[str, Any]
    arms: tuple[str, ...]
    alone: bool = True


def reserved_names(makers: Iterable[str]) -> set[str]:
    """What no arm may be called, beside arms of these makers: names of controls, of theirs and of limbeck's own."""
    known = dict.fromkeys([*MAKERS.built_in, *makers])
    return {*_STUDENTS, *(name for maker in known for name in settings_of(maker).controls)}


def controls_beside(arms: Mapping[str, Mapping[str, Any]]) -> list[ControlArm]:
    """The controls of arms, each once.

    Arms that differ in what a control has from them, as in the pools that they borrow from, have one each. The first
    has the usual name, so that arms which are added later change none; the others are called after their first arm.

    Args:
        arms: name -> settings under `transfer`.

    Example:
        >>> margin = {"maker": "borrow", "by": "margin"}
        >>> arms = {"here": {**margin, "pools": ["cifar100"]}, "there": {**margin, "pools": ["svhn"]}}
        >>> [one.name for one in controls_beside(arms) if one.control.strict == 1]
        ['borrowed-random', 'borrowed-random-of-there']
    """
    found: list[tuple[str, Control, dict[str, Any], list[str]]] = []
    for arm, transfer in arms.items():
        for name, control in settings_of(str(transfer["maker"])).controls_beside(transfer).items():
            below = {} if "maker" in control.changes else {key: transfer[key] for key in transfer if key != "budget"}
            settings = merge(below, control.changes)
            same = next((one for one in found if (one[0], one[2]) == (name, settings)), None)
            if same is None:
                found.append((name, control, settings, [arm]))
            else:
                same[3].append(arm)
    several = {name for name, count in Counter(one[0] for one in found).items() if count > 1}
    firsts = {name: settings for name, _, settings, _ in reversed(found)}
    return [
        ControlArm(
            name if settings is firsts[name] else f"{name}-of-{beside[0]}",
            replace(control, label=f"{control.label} ({', '.join(beside)})") if name in several else control,
            settings,
            tuple(beside),
            alone=name not in several,
        )
        for name, control, settings, beside in found
    ]


def described(controls: Iterable[ControlArm], *, budgets: bool) -> list[dict[str, Any]]:
    """What results say of the controls, the strictest of each kind first.

    Returns:
        For each `name`, `label` in words, `kind` ("budget" for as many images as an arm has, "full" for all of them),
        `teacher` (whether the student had one) and `strict`: of several the highest is what a verdict is about, None
        for those that are none. One that stands beside some of the arms alone has their names under `arms`.
    """
    rows: list[dict[str, Any]] = []
    for one in sorted(controls, key=lambda one: -one.control.strict):
        kind = {"kind": "budget", "teacher": True, "strict": one.control.strict}
        some = {} if one.alone else {"arms": list(one.arms)}
        rows.append({"name": one.name, "label": one.control.label, **kind, **some})
    students = (NO_TEACHER, FULL, FULL_NO_TEACHER) if budgets else (FULL_NO_TEACHER,)
    for name in students:
        row = {"name": name, "label": _STUDENTS[name], "kind": "budget" if name == NO_TEACHER else "full"}
        rows.append({**row, "teacher": name == FULL, "strict": 0 if name == FULL_NO_TEACHER else None})
    return rows
