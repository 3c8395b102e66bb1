"""What the makers of a comparison's arms report of their images: in its lead, in one table, and arm by arm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.report import formats
from limbeck.report.blocks import Block, Cell, Note, Section, Table
from limbeck.report.controls import Controls, arm_order
from limbeck.report.figures.style import Arm
from limbeck.report.transfer_set.own_figures import figure_blocks, weight
from limbeck.report.transfer_set.together import together_blocks
from limbeck.transfer.evidence import EVIDENCE, Evidence, read_evidence

Row = dict[str, Any]
Made = tuple[Row, Evidence]
"""The first run of an arm at a budget, and what was kept of its maker's evidence."""

FIGURE_BYTES = 400_000  # of charts on a page
_PLANNED = ("budget", "seed")  # facts that the comparison says itself


def made_by_arms(folder: Path, results: Row) -> list[Made]:
    """The evidence of every arm and budget that left any: the user's arms first, smaller budgets first."""
    first: dict[str, Row] = {}
    for run in results["runs"]:
        if run.get("folder"):
            first.setdefault(Path(run["folder"]).parent.name, run)
    order = arm_order(results)
    ordered = sorted(first.items(), key=lambda item: (item[1]["control"], item[1]["images"], order[item[1]["arm"]]))
    pairs = ((run, read_evidence(folder / EVIDENCE / group, pictures=False)) for group, run in ordered)
    return [(run, evidence) for run, evidence in pairs if evidence is not None]


def findings(made: Sequence[Made], controls: Controls) -> list[str]:
    """What the maker of the user's first arm found, at its largest budget; what others found is in the table."""
    users = _largest([pair for pair in made if not pair[0]["control"] and pair[1].findings])
    return [f"{_name(run, controls)}: {finding}" for run, evidence in users[:1] for finding in evidence.findings]


def made_section(made: Sequence[Made], controls: Controls, styles: Mapping[str, Arm]) -> Section | None:
    """What the arms were taught on, as far as their makers tell more than which images; None where none does.

    Args:
        made: by each arm.
        controls: of the comparison.
        styles: how each arm is drawn.
    """
    largest = {run["arm"]: evidence.figures for run, evidence in _largest(made)}
    blocks = [*_facts(made, controls), *together_blocks(largest, styles), *_figures(made, controls)]
    return Section("made", "What the arms were taught on", blocks) if blocks else None


def _facts(made: Sequence[Made], controls: Controls) -> list[Block]:
    """A row for each arm and budget, a column for each fact that any of them has; nothing without facts."""
    names = list(dict.fromkeys(name for _, evidence in made for name in evidence.facts if name not in _PLANNED))
    if not names:
        return []
    rows = [
        [Cell(_name(run, controls), tone="quiet" if run["control"] else "strong")]
        + [str(evidence.facts.get(name, formats.ABSENT)) for name in names]
        for run, evidence in made
        if any(name in evidence.facts for name in names)
    ]
    return [Table("First seed of each", ["Arm", *names], rows)]


def _figures(made: Sequence[Made], controls: Controls) -> list[Block]:
    """Tables and charts for each arm in turn, at its largest budget, as long as the page stays light."""
    blocks: list[Block] = []
    spent, left_out = 0, 0
    for place, (run, evidence) in enumerate(_largest(made)):
        fits = spent < FIGURE_BYTES
        own = [figure for figure in evidence.figures if figure.beside == "each"]
        drawn = figure_blocks(own, f"made-{place}", folded=True, noted=not blocks) if fits else []
        if drawn:
            spent += weight(drawn)
            blocks += [Note(f"{_name(run, controls)}:"), *drawn]
        left_out += bool(own and not drawn)
    if left_out:
        blocks.append(
            Note(f"Tables and charts of {formats.plural(left_out, 'more arm')} are on the pages of their runs.")
        )
    return blocks


def _largest(made: Sequence[Made]) -> list[Made]:
    """Each arm at its largest budget."""
    return list({run["arm"]: (run, evidence) for run, evidence in made}.values())


def _name(run: Row, controls: Controls) -> str:
    return f"{controls.label(run['arm'])}{formats.at(run['budget'])}"
