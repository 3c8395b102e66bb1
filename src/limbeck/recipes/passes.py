"""How often the teacher was asked for arms that ask it while they make images, beside their controls."""

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
    """Teacher passes of arms and of the controls that they are set against, and of those that were asked as often.

    Args:
        arms: name -> settings under `transfer`.
        controls: of these arms.
        table: per arm and budget, with mean costs.
        against: what verdicts on each arm go by, see `Against`.

    Returns:
        For each arm and budget of makers that know controls at equal passes `arm`, `budget`, `passes`, and `controls`,
        each with its `name`, `passes`, and whether it was to be asked as often (`equal`); what an arm has to say to
        have such ones is `mend`. Both passes are those of making and teaching together, means per run.
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
