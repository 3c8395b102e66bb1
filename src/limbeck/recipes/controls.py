"""The controls of a comparison: what every arm is compared with, named here and, for images, by the makers.

The results describe them, so that reports and tables need no list of their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
        control: its description.
        transfer: its settings, without a budget.
        arms: that it is a control of.
        alone: whether it is the only control of its kind in the comparison.
        known_as: its name among the controls of its maker.
    """

    name: str
    control: Control
    transfer: dict[str, Any]
    arms: tuple[str, ...]
    alone: bool = True
    known_as: str = ""


class StudentArm(NamedTuple):
    """A student without a teacher, on the images of a control.

    Attributes:
        name: in tables.
        on: the control whose images it learns from.
        arms: that are compared with it.
        alone: whether it is the only one.
    """

    name: str
    on: ControlArm
    arms: tuple[str, ...]
    alone: bool


class Against(NamedTuple):
    """What an arm is compared with for its verdicts.

    Attributes:
        arm: its name.
        control: name of the control.
        why: the reason, in words.
        student: name of the student without a teacher that the arm is compared with, None if there is none.
        same_images: whether arm and control have the same images.
    """

    arm: str
    control: str
    why: str
    student: str | None
    same_images: bool


def reserved_names(makers: Iterable[str]) -> set[str]:
    """Names that arms of these makers may not have: those of the makers' controls and of limbeck's own."""
    all_makers = dict.fromkeys([*MAKERS.built_in, *makers])
    controls = {name for maker in all_makers for name in settings_of(maker).controls}
    return {*_STUDENTS, *controls, *(f"{NO_TEACHER}-{name}" for name in controls)}


def controls_beside(arms: Mapping[str, Mapping[str, Any]]) -> list[ControlArm]:
    """The controls of arms, each once.

    Arms that differ in a setting that a control takes from them, as the pools that they borrow from, have a control
    each. The first has the usual name, so that arms added later rename none; the others are named after their first
    arm.

    Args:
        arms: name -> settings under `transfer`.

    Example:
        >>> margin = {"maker": "borrow", "by": "margin"}
        >>> arms = {"here": {**margin, "pools": ["cifar100"]}, "there": {**margin, "pools": ["svhn"]}}
        >>> [one.name for one in controls_beside(arms) if one.control.strict == 1]
        ['borrowed-random', 'borrowed-random-of-there']
    """
    entries: list[tuple[str, Control, dict[str, Any], list[str]]] = []
    for arm, transfer in arms.items():
        for name, control in settings_of(str(transfer["maker"])).controls_beside(transfer).items():
            below = {} if "maker" in control.changes else {key: transfer[key] for key in transfer if key != "budget"}
            settings = merge(below, control.changes)
            existing = next((entry for entry in entries if (entry[0], entry[2]) == (name, settings)), None)
            if existing is None:
                entries.append((name, control, settings, [arm]))
            else:
                existing[3].append(arm)
    shared_names = {name for name, count in Counter(entry[0] for entry in entries).items() if count > 1}
    firsts = {name: settings for name, _, settings, _ in reversed(entries)}
    return [
        ControlArm(
            name if settings is firsts[name] else f"{name}-of-{beside[0]}",
            replace(control, label=f"{control.label} ({', '.join(beside)})") if name in shared_names else control,
            settings,
            tuple(beside),
            alone=name not in shared_names,
            known_as=name,
        )
        for name, control, settings, beside in entries
    ]


def opponents(arms: Mapping[str, Mapping[str, Any]], controls: Sequence[ControlArm]) -> dict[str, ControlArm]:
    """Arm -> the control that it is compared with, among those available, see `MakerSettings.opponent`.

    Args:
        arms: name -> settings under `transfer`.
        controls: of these arms; some may be missing, as when images have no labels.
    """
    chosen = {}
    for arm, transfer in arms.items():
        candidates = {
            candidate.known_as: candidate
            for candidate in controls
            if arm in candidate.arms and candidate.control.strict
        }
        wanted = settings_of(str(transfer["maker"])).opponent(transfer)
        if candidates:
            strictest = max(candidates.values(), key=lambda candidate: candidate.control.strict)
            chosen[arm] = strictest if wanted is None else candidates.get(wanted.control, strictest)
    return chosen


def students_beside(arms: Mapping[str, Mapping[str, Any]], controls: Sequence[ControlArm]) -> list[StudentArm]:
    """The students without a teacher: one for each labelled control that an arm is compared with, on its images.

    All other arms share the first of them. The student on the strictest control has the usual name, and the others are
    named after their control, so that arms added later rename none.
    """
    labelled = [control for control in controls if control.control.from_labels]
    against = {arm: control for arm, control in opponents(arms, controls).items() if control.control.from_labels}
    used = list({control.name: control for control in against.values()}.values()) or labelled[:1]
    students = []
    for index, control in enumerate(used):
        beside = [arm for arm in arms if (against[arm].name == control.name if arm in against else index == 0)]
        strictest = max((other.control.strict for other in labelled if {*other.arms} & {*control.arms}), default=0)
        name = NO_TEACHER if control.control.strict == strictest else f"{NO_TEACHER}-{control.name}"
        students.append(StudentArm(name, control, tuple(beside), alone=len(used) == 1))
    return students


def set_against(
    arms: Mapping[str, Mapping[str, Any]], controls: Sequence[ControlArm], changes: Mapping[str, Sequence[str]]
) -> list[Against]:
    """What each arm is compared with for its verdicts, and why.

    Args:
        arms: name -> settings under `transfer`.
        controls: of these arms.
        changes: name of an arm -> what else it changes, as "objective".
    """
    rows, students = [], students_beside(arms, controls)
    for arm, control in opponents(arms, controls).items():
        wanted = settings_of(str(arms[arm]["maker"])).opponent(arms[arm])
        fits = wanted is not None and wanted.control == control.known_as
        why = wanted.why if wanted is not None and fits else "it is the strictest of those that there are"
        same_images = wanted is not None and fits and wanted.same_images
        if changed := " and ".join(changes.get(arm, ())):
            why += f", and another {changed}" if same_images else f"; it has another {changed}, too"
        student = next((student.name for student in students if arm in student.arms), None)
        rows.append(Against(arm, control.name, why, student, same_images))
    return rows


def described(controls: Iterable[ControlArm], students: Sequence[StudentArm], *, budgets: bool) -> list[dict[str, Any]]:
    """The controls as the results describe them, the strictest of each kind first.

    Returns:
        For each `name`, `label` in words, `kind` ("budget" for as many images as an arm has, "full" for all of them),
        `teacher` (whether the student had one) and `strict`: the control with the highest value decides the verdict;
        None if it never does. A control of only some of the arms has their names under `arms`.
    """
    rows: list[dict[str, Any]] = []
    for control in sorted(controls, key=lambda control: -control.control.strict):
        kind = {"kind": "budget", "teacher": True, "strict": control.control.strict}
        beside = {} if control.alone else {"arms": list(control.arms)}
        rows.append({"name": control.name, "label": control.control.label, **kind, **beside})
    for student in students:
        label = _STUDENTS[NO_TEACHER] if student.alone else f"{_STUDENTS[NO_TEACHER]}, {student.on.control.label}"
        beside = {} if student.alone else {"arms": list(student.arms)}
        kind = {"kind": "budget", "teacher": False, "strict": None, "images": student.on.name}
        rows.append({"name": student.name, "label": label, **kind, **beside})
    for name in (FULL, FULL_NO_TEACHER) if budgets else (FULL_NO_TEACHER,):
        row = {"name": name, "label": _STUDENTS[name], "kind": "full"}
        rows.append({**row, "teacher": name == FULL, "strict": 0 if name == FULL_NO_TEACHER else None})
    return rows
