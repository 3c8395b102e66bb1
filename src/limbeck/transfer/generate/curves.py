"""Rounds as curves: what was obtained, how classes and losses went, and batch-norm loss layer by layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nan

from limbeck.transfer.evidence_figures import EvidenceFigure, LineFigure, Points, TableFigure, Value
from limbeck.transfer.generate.history import History, Round

MOST_POINTS = 160  # of a curve
MOST_LINES = 6  # of layers
MOST_ROWS = 100  # of the table
_TITLES = {
    "batch_norm": "Batch-norm loss",
    "one_hot": "One-hot loss",
    "adversarial": "Adversarial loss",
    "activation": "Activation loss",
    "balance": "Loss of class balance",
    "total_variation": "Total variation",
    "total_variation_l2": "Total variation over a batch",
    "l2": "L2 norm",
    "contrast": "Contrastive loss",
}
_X = "round"


def round_curves(history: History, *, floor: float | None = None) -> list[LineFigure]:
    """Small curves of all that is known of the rounds, those that arms of a comparison share first.

    Args:
        history: of the rounds.
        floor: batch-norm loss of real images, where it is known.
    """
    ratios = [_ratio(row) for row in history]
    share = [row.distinct / row.made if row.made else nan for row in history]
    weights = history.column("one_hot_weight")
    figures = [
        _curve(history, "Wanted class obtained", history.column("obtained"), share=True, note=_OBTAINED),
        _curve(history, "Largest class over smallest", ratios, note=_COUNTED),
        _curve(history, "Distinct of the images made", share, share=True, note=_DISTINCT),
        _curve(history, "Spread within a class", history.column("spread"), note=_SPREAD),
        _curve(history, "Student's agreement on fresh images", history.column("agreement"), share=True, note=_AGREES),
        _curve(history, "Distillation loss on images of before", history.column("distillation"), note=_DIVERGES),
        *(_curve(history, "Weight of the one-hot loss", weights) for _ in range(len(set(weights)) > 1)),
    ]
    figures += [_loss(history, name, floor) for name in history.losses]
    removed = [row.removed for row in history]
    if any(removed):
        cumulative = (_numbers(history), [float(sum(removed[: place + 1])) for place in range(len(removed))])
        lines = {"held": _points(history, history.column("held")), "removed": _thin(*cumulative)}
        figures.append(LineFigure(title="Images", x=_X, y="", lines=lines, small=True, beside="alone"))
    return [figure for figure in figures if any(points[0] for points in figure.lines.values())]


def layer_figures(history: History, floors: Sequence[float] | Tensor = ()) -> list[EvidenceFigure]:
    """Batch-norm loss of groups of neighbouring layers over the rounds, and of every layer in a table.

    Args:
        history: of the rounds.
        floors: the loss of real images in each layer, where it is known; then curves are shares of it.
    """
    measured = [row for row in history if len(row.layers)]
    if not measured:
        return []
    losses = torch.stack([torch.as_tensor(row.layers).double() for row in measured])  # [rounds, L]
    layers = losses.shape[1]
    floor = torch.as_tensor(floors).double() if len(floors) == layers else None
    shown = losses if floor is None else losses / floor.clamp_min(1e-12)
    groups = torch.arange(layers).tensor_split(min(layers, MOST_LINES))
    numbers = [row.number + 1.0 for row in measured]
    lines = {_layer_name(group): _thin(numbers, shown[:, group].mean(1).tolist()) for group in groups}
    note = "Means over layers, counted from the images on." if layers > MOST_LINES else ""
    if floor is None:
        title = "Batch-norm loss by layer"
        note += f" {_FLOORLESS}"
    else:
        title = "Batch-norm loss by layer, over that of real images"
        note += f" {_FLOOR}"
    chart = LineFigure(title=title, x=_X, y="", lines=lines, note=note.strip(), beside="alone")
    return [*([chart] if len(measured) > 1 else []), _layer_table(measured, losses, floor)]


def round_table(history: History) -> TableFigure:
    """A row for each round; of very many rounds, some that are evenly spread."""
    count = len(history)
    history = History([history[place] for place in _spread(count, MOST_ROWS)])
    columns = {
        "Made": [row.made for row in history],
        "Distinct": [row.distinct for row in history],
        "Removed": [row.removed for row in history],
        "Held": [row.held for row in history],
        "Obtained": [row.obtained for row in history],
        "Largest over smallest class": [_ratio(row) for row in history],
        "One-hot weight": [row.one_hot_weight for row in history],
        **{_title(name): [row.losses.get(name) for row in history] for name in history.losses},
        "Agreement": [row.agreement for row in history],
        "Distillation loss": [row.distillation for row in history],
        "Teacher passes": [row.teacher_passes for row in history],
        "Seconds": [row.seconds for row in history],
    }
    shown = {name: values for name, values in columns.items() if any(_is_known(value) for value in values)}
    rows: list[list[Value]] = [
        [row.number + 1, *(values[place] for values in shown.values())] for place, row in enumerate(history)
    ]
    return TableFigure(
        title="Every round" if len(history) == count else f"{len(history)} of {count} rounds",
        columns=["Round", *shown],
        rows=rows,
        percent=[name for name in ("Obtained", "Agreement") if name in shown],
        beside="alone",
    )


_OBTAINED = "Share of the images of the round that the teacher takes for the class that was wanted."
_COUNTED = "Images held of the largest class, for one of the smallest; classes are those that the teacher gives."
_DISTINCT = "Of images that nearly equal one another only one counts."
_SPREAD = "How far images of a class are apart as the teacher sees them; a fall says that they look ever more alike."
_AGREES = "Share of the round's images of which the student, before it is taught on them, says what the teacher says."
_DIVERGES = "Divergence of the student from the teacher. Near zero is collapse, not success, while rounds go on."
_REAL = "Below what real images have, a smaller loss says nothing."
_FLOOR = "1 is what real images have; below it a smaller loss says nothing."
_FLOORLESS = "Real images have a loss above zero, too, which is not known here; below it a smaller one says nothing."


def _loss(history: History, name: str, floor: float | None) -> LineFigure:
    curve = _curve(history, _title(name), history.column(name))
    if name != "batch_norm" or floor is None:
        return curve
    ends = _numbers(history)
    lines = {"made": curve.lines[curve.title], "real": ([ends[0], ends[-1]], [floor, floor])}
    return replace(curve, lines=lines, note=_REAL)


def _curve(history: History, title: str, values: Sequence[float], *, share: bool = False, note: str = "") -> LineFigure:
    lines = {title: _points(history, values)}
    return LineFigure(title=title, x=_X, y="", lines=lines, share=share, small=True, note=note, beside="together")


def _title(name: str) -> str:
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def _numbers(history: Sequence[Round]) -> list[float]:
    return [row.number + 1.0 for row in history]


def _points(history: History, values: Sequence[float]) -> Points:
    points = [(x, y) for x, y in zip(_numbers(history), values, strict=True) if math.isfinite(y)]
    return _thin([x for x, _ in points], [y for _, y in points])


def _thin(x: Sequence[float], y: Sequence[float]) -> Points:
    """At most `MOST_POINTS`, evenly spread, first and last among them."""
    kept = _spread(len(x), MOST_POINTS)
    return [x[place] for place in kept], [y[place] for place in kept]


def _spread(count: int, most: int) -> Sequence[int]:
    if count <= most:
        return range(count)
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def _ratio(row: Round) -> float:
    """Largest class over smallest; NaN as long as a class is empty."""
    counts = torch.as_tensor(row.counts)
    return float(counts.max()) / float(counts.min()) if len(counts) and bool(counts.min() > 0) else nan


def _layer_name(group: Tensor) -> str:
    first, last = int(group[0]) + 1, int(group[-1]) + 1
    return f"{first}\N{EN DASH}{last}" if last > first else f"layer {first}"


def _layer_table(known: Sequence[Round], losses: Tensor, floor: Tensor | None) -> TableFigure:
    ends: Mapping[str, Tensor] = {f"Round {row.number + 1}": losses[place] for row, place in _ends(known)}
    columns = ["Layer", *ends, *(["Real images"] if floor is not None else [])]
    values = [*ends.values(), *([floor] if floor is not None else [])]
    rows: list[list[Value]] = [
        [str(layer + 1), *(float(column[layer]) for column in values)] for layer in range(losses.shape[1])
    ]
    return TableFigure(title="Batch-norm loss of every layer", columns=columns, rows=rows, beside="alone")


def _ends(known: Sequence[Round]) -> list[tuple[Round, int]]:
    places = dict.fromkeys((0, len(known) - 1))
    return [(known[place], place) for place in places]


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value) and value != 0
