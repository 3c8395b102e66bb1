"""What runs cost, as cells of tables: making, teaching and the teacher itself."""

from collections.abc import Sequence

from limbeck.cost import Cost, RunCost
from limbeck.report import formats
from limbeck.report.blocks import Cell

COLUMNS = ("Images read", "Teacher passes", "Of these saved", "Steps", "Time", "Energy")


def cells(costs: Sequence[Cost]) -> tuple[str, ...]:
    """The means of several costs, in the order of `COLUMNS`."""
    total = sum(costs, Cost())
    counts = (total.images_read, total.teacher_passes, total.passes_saved, total.steps)
    return (
        *(formats.number(count / len(costs)) for count in counts),
        formats.duration(total.seconds / len(costs)),
        energy(total, len(costs)),
    )


def parts(costs: Sequence[RunCost]) -> list[tuple[str, ...]]:
    """A row of cells for making, where it was counted, and one for teaching: what, then the means."""
    making = [cost.making for cost in costs if cost.making is not None]
    rows = [("making", *cells(making))] if any(cost != Cost(measured=cost.measured) for cost in making) else []
    return [*rows, ("teaching", *cells([cost.teaching for cost in costs]))] if costs else []


def totals(cost: RunCost) -> tuple[Cell, Cell, Cell]:
    """Teacher passes, time and energy, each with the share of making."""
    if not cost.known:
        return Cell(formats.ABSENT), Cell(formats.ABSENT), Cell(formats.ABSENT)
    total = cost.total
    words = {
        "teacher_passes": formats.number(total.teacher_passes),
        "seconds": formats.duration(total.seconds),
        "kwh": formats.energy(total.kwh or None),
    }
    passes, seconds, kwh = (Cell(word, note=_making(cost, name)) for name, word in words.items())
    return passes, seconds, kwh


def together(costs: Sequence[RunCost], how: Sequence[str]) -> str:
    """What all runs took, in a sentence.

    Args:
        costs: one or more.
        how: ways in which their energy is known.
    """
    total = sum((cost.total for cost in costs), Cost())
    making = sum((cost.making for cost in costs if cost.making is not None), Cost())
    share = f", of which making the transfer sets took {formats.percent(making.seconds / total.seconds)}"
    saved = f" ({formats.number(total.passes_saved)} of them read from the view cache)" if total.passes_saved else ""
    sources = f" ({'; '.join(how)})" if how else ""
    return (
        f"All {formats.plural(len(costs), 'run')} together took {formats.duration(total.seconds)}"
        f"{share if making.seconds else ''}, {formats.number(total.teacher_passes)} teacher passes{saved} and "
        f"{energy(total)}{sources}."
    )


def energy(cost: Cost, count: int = 1) -> str:
    """Mean energy with whether all of it was measured."""
    return f"{formats.energy(cost.kwh / count)} {known_by(cost)}" if cost.kwh else formats.ABSENT


def known_by(cost: Cost) -> str:
    """Whether energy was measured."""
    return "measured" if cost.measured else "estimated"


def _making(cost: RunCost, name: str) -> str:
    share = cost.share(name)
    return f"{formats.percent(share, 0 if share >= 0.01 else 1)} making" if share else ""
