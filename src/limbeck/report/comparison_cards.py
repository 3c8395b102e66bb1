"""The cards at the top of a comparison's page: the teacher, then every arm at its largest budget."""

from typing import Any

from limbeck.report import formats
from limbeck.report.blocks import Fact
from limbeck.report.controls import Controls, arm_order
from limbeck.report.sentences import deciding, unequal, verdict

Row = dict[str, Any]
_TONES = {"better": "good", "worse": "bad"}


def comparison_cards(results: Row) -> list[Fact]:
    """A card for the teacher and for each arm that has finished, in the order of all tables."""
    cards = []
    teacher = results.get("teacher") or {}
    if top1 := (teacher.get("evaluation") or {}).get("top1"):
        cards.append(Fact("teacher", formats.percent(top1), str(teacher.get("name", ""))))
    order, differences, controls = arm_order(results), deciding(results), Controls.of(results)
    largest = {row["arm"]: row for row in sorted(results["table"], key=lambda row: row["images"])}
    for row in sorted(largest.values(), key=lambda row: order[row["arm"]]):
        difference = differences.get((row["arm"], row["budget"]))
        words = [formats.plural(row["images"], "image")] if formats.at(row["budget"]) or row["control"] else []
        if difference is not None:
            words.append(_beside(difference, controls))
        tone = _TONES.get(verdict(difference), "") if difference else ""
        cards.append(Fact(controls.label(row["arm"]), formats.percent(row["mean"]), "; ".join(words), tone))
    return cards


def _beside(difference: Row, controls: Controls) -> str:
    """'+1.3 to balanced random, beyond seed noise'."""
    outcome = verdict(difference)
    noise = "beyond seed noise" if outcome in _TONES else outcome
    return (
        f"{formats.points(difference['mean'])} to {controls.label(difference['against'])}, {noise}{unequal(difference)}"
    )
