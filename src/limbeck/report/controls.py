"""The controls of a comparison, as its results list them: their labels, and which of them decides a verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Row = dict[str, Any]
CONTROL_KEYS = ("name", "label", "kind", "teacher", "strict")

_OF_BEFORE: tuple[Row, ...] = (
    {"name": "balanced-random", "label": "balanced random", "kind": "budget", "teacher": True, "strict": 2},
    {"name": "random", "label": "random", "kind": "budget", "teacher": True, "strict": 1},
    {"name": "no-teacher", "label": "no teacher", "kind": "budget", "teacher": False, "strict": None},
    {"name": "full", "label": "full data", "kind": "full", "teacher": True, "strict": None},
    {"name": "full-no-teacher", "label": "full data without teacher", "kind": "full", "teacher": False, "strict": 0},
)
"""The controls of results that were written before results listed them."""


@dataclass(frozen=True)
class Control:
    """An arm that nobody has to ask for.

    Attributes:
        name: of the arm.
        label: the same in words.
        kind: "budget" for one beside the arms at every budget, "full" for one that learns from all the images.
        teacher: whether it has one.
        strict: rank; the control of the largest rank decides a verdict; None for one that never does.
        arms: the only ones that it is a control of; empty if it is one of all arms.
    """

    name: str
    label: str
    kind: str
    teacher: bool
    strict: int | None
    arms: tuple[str, ...] = ()


class Controls:
    """The controls of one comparison, in order.

    Example:
        >>> noise = {"name": "noise", "label": "pure noise", "kind": "budget", "teacher": True, "strict": 1}
        >>> controls = Controls([noise])
        >>> controls.label("noise"), controls.label("mine"), controls.strictest()
        ('pure noise', 'mine', ['noise'])
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], against: Iterable[Mapping[str, Any]] = ()) -> None:
        self._known = {row["name"]: _control(row) for row in rows}
        self._against = {row["arm"]: row["control"] for row in against}

    @property
    def theirs(self) -> str:
        """What arms with different controls are compared with, in words."""
        return "their control" if self._against else "their strictest control"

    @classmethod
    def of(cls, results: Row) -> "Controls":
        """The controls that results list; for older results, those that all comparisons had."""
        listed = results.get("controls")
        return cls(_OF_BEFORE if listed is None else listed, results.get("against") or ())

    def get(self, arm: str) -> Control | None:
        """The control of this name; None for an arm of the user's."""
        return self._known.get(arm)

    def label(self, arm: str) -> str:
        """An arm as it is shown: the controls in words, the user's own arms verbatim."""
        control = self._known.get(arm)
        return arm if control is None else control.label

    @cached_property
    def full(self) -> list[str]:
        """Names of those that learn from all the images."""
        return [control.name for control in self._known.values() if control.kind == "full"]

    @cached_property
    def of_budget(self) -> list[str]:
        """Names of those beside the arms at every budget."""
        return [control.name for control in self._known.values() if control.kind != "full"]

    def strictest(self, baseline: str | None = None, *, arm: str | None = None) -> list[str]:
        """Names of what may decide a verdict, in order: controls of the same budget, the baseline, then all the data.

        Args:
            baseline: of the comparison.
            arm: the control that suits it comes first, and controls of other arms alone are left out.
        """
        ranked = [control for control in self._known.values() if control.strict is not None]
        ranked = [control for control in ranked if arm is None or not control.arms or arm in control.arms]
        suited = None if arm is None else self._against.get(arm)
        ranked.sort(key=lambda control: (control.name != suited, -(control.strict or 0)))
        own, full = ([control.name for control in ranked if (control.kind == "full") == full] for full in (False, True))
        return [*own, *([] if baseline is None else [baseline]), *full]

    def sentence(self, arms: Iterable[str], *, budgets: bool) -> str:
        """Which of the controls are among `arms`, in words; "" for none.

        Args:
            arms: names.
            budgets: whether the arms have budgets.
        """
        named = set(arms)
        own, full = ([self.label(name) for name in group if name in named] for group in (self.of_budget, self.full))
        if not budgets or not own:
            listed = ", ".join(own + full)
        else:
            listed = ", and ".join([f"{', '.join(own)} at each budget", *([", ".join(full)] if full else [])])
        return f"Controls, which nobody has to ask for: {listed}." if listed else ""


def _control(row: Mapping[str, Any]) -> Control:
    return Control(**{key: row[key] for key in CONTROL_KEYS}, arms=tuple(row.get("arms", ())))


def arm_order(results: Row) -> dict[str, int]:
    """The place of every arm in all tables, charts and legends: the user's as in the recipe, then the controls.

    Example:
        >>> noise = {"name": "noise", "label": "pure noise", "kind": "budget", "teacher": True, "strict": 1}
        >>> runs = [{"arm": arm, "control": arm == "noise"} for arm in ("noise", "second", "first", "second")]
        >>> arm_order({"runs": runs, "controls": [noise]})
        {'second': 0, 'first': 1, 'noise': 2}
    """
    control = {run["arm"]: bool(run["control"]) for run in results["runs"]}
    controls = Controls.of(results)
    listed = [arm for arm in (*controls.of_budget, *controls.full) if control.get(arm)]
    users = [arm for arm, is_control in control.items() if not is_control]
    others = [arm for arm, is_control in control.items() if is_control and arm not in listed]
    return {arm: place for place, arm in enumerate([*users, *listed, *others])}
