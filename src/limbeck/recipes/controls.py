"""The controls of a comparison: what every arm is set against, named here and, for images, by the makers.

They travel in the results, so that reports and tables need no list of their own.
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
        control: what it is.
        transfer: its settings, without a budget.
        arms: beside which it stands.
        alone: whether arms of the comparison have no other control of this kind.
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
        on: the control.
        arms: that are set against it.
        alone: whether there is no other.
    """

    name: str
    on: ControlArm
    arms: tuple[str, ...]
    alone: bool


class Against(NamedTuple):
    """What the verdicts on an arm go by.

    Attributes:
        arm: its name.
        control: name of the control.
        why: in words.
        student: name of the student without a teacher that it is set against, None where there is none.
        same_images: whether arm and control have the same images.
    """

    arm: str
    control: str
    why: str
    student: str | None
    same_images: bool


def reserved_names(makers: Iterable[str]) -> set[str]:
    """What no arm may be called, beside arms of these makers: names of controls, of theirs and of limbeck's own."""
    all_makers = dict.fromkeys([*MAKERS.built_in, *makers])
    controls = {name for maker in all_makers for name in settings_of(maker).controls}
    return {*_STUDENTS, *controls, *(f"{NO_TEACHER}-{name}" for name in controls)}


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
    """The control that each arm is set against, see `MakerSettings.opponent`; of those that there are.

    Args:
        arms: name -> settings under `transfer`.
        controls: of these arms; there may be less of them, as where images have no labels.
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
    """The students without a teacher: one for each control with labels that an arm is set against, on its images.

    Arms that are set against others share the first. The student on the strictest control has the usual name, and the
    others are called after theirs, so that arms which are added change none.
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
    """What verdicts on each arm go by, and why.

    Args:
        arms: name -> settings under `transfer`.
        controls: of these arms.
        changes: name of an arm -> what else it changes, as its "objective".
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
    """What results say of the controls, the strictest of each kind first.

    Returns:
        For each `name`, `label` in words, `kind` ("budget" for as many images as an arm has, "full" for all of them),
        `teacher` (whether the student had one) and `strict`: of several the highest is what a verdict is about, None
        for those that are none. One that stands beside some of the arms alone has their names under `arms`.
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
