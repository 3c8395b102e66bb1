"""Teacher passes of arms that use the teacher to make images, compared with their controls."""

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.recipes.controls import ControlArm
from limbeck.transfer.catalogue import settings_of


def compared_passes(
    arms: Mapping[str, Mapping[str, Any]],
    controls: Sequence[ControlArm],
    table: Sequence[Mapping[str, Any]],
    against: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Teacher passes of arms, of the controls that they are compared with, and of controls at equal passes.

    Args:
        arms: name -> settings under `transfer`.
        controls: of these arms.
        table: per arm and budget, with mean costs.
        against: what each arm is compared with, see `Against`.

    Returns:
        For each arm and budget of makers that have controls at equal passes: `arm`, `budget`, `passes`, `controls`,
        each with its `name`, `passes`, and whether it was to have as many passes (`equal`), and `mend`, the setting
        that gives an arm such controls. All passes are those of making and training together, means per run.
    """
    passes = {(row["arm"], row["budget"]): row["teacher_passes"] for row in table}
    opponent = {row["arm"]: row["control"] for row in against}
    rows = []
    for (arm, budget), own in passes.items():
        mend = settings_of(str(arms[arm]["maker"])).equal_passes if arm in opponent else ""
        if not mend:
            continue
        controls_of_arm = [control for control in controls if arm in control.arms and (control.name, budget) in passes]
        shown = [
            {"name": control.name, "passes": passes[control.name, budget], "equal": control.control.asked_as_often}
            for control in controls_of_arm
            if control.name == opponent[arm] or control.control.asked_as_often
        ]
        if shown:
            rows.append({"arm": arm, "budget": budget, "passes": own, "controls": shown, "mend": mend})
    return rows
