"""Evidence of generating: how rounds went, what the images are, and whether a generator has collapsed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from limbeck.device import Device
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.evidence_figures import EvidenceFigure
from limbeck.transfer.generate.classes import class_figures, obtained_share
from limbeck.transfer.generate.collapse import signs_of_collapse
from limbeck.transfer.generate.curves import layer_figures, round_curves, round_table
from limbeck.transfer.generate.held import Held
from limbeck.transfer.generate.history import History
from limbeck.transfer.generate.likeness import MADE, Likeness, likeness
from limbeck.transfer.generate.methods import METHODS
from limbeck.transfer.generate.pictures import grids
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.words import percent

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

_BATCH = 2**16


def evidence_of(
    held: Held,
    history: History,
    settings: GenerateSettings,
    teacher: "Classifier",
    *,
    real: "ImageSet | None" = None,
    floors: Sequence[float] | Tensor = (),
    seed: int = 0,
    device: Device = "auto",
) -> Evidence:
    """Curves of the rounds, classes wanted and obtained, grids by round, a map, and signs of collapse.

    Before the first round there is nothing to show but what will be made.

    Args:
        held: the images.
        history: of the rounds that made them.
        settings: that they were made by.
        teacher: that was inverted; it is run on some images for the map and the distances alone.
        real: images of the task, where some are at hand; they are only compared with, and nothing was made of them.
        floors: batch-norm loss of real images in each layer, where it is known.
        seed: of the images that are made to compare with.
        device: where the teacher computes.
    """
    classes = teacher.classes or tuple(map(str, range(teacher.num_classes)))
    if not len(history) or not len(held):
        return Evidence(headline=_planned(settings), classes=classes, facts={"method": settings.method})
    labels = held.column("label")
    wanted = held.column("wanted") if settings.aims_at_classes else torch.full_like(labels, -1)
    floor = float(torch.as_tensor(floors).sum()) if len(floors) else None
    like = likeness(held, teacher, classes, real, seed=seed, device=device)
    figures: list[EvidenceFigure] = [
        *(round_curves(history, floor=floor) if len(history) > 1 else []),
        *layer_figures(history, floors),
        *class_figures(wanted, labels, classes),
        *([] if like is None else like.figures),
        round_table(history),
    ]
    signs = signs_of_collapse(history, classes, floor=floor)
    return Evidence(
        headline=_headline(held, history, settings),
        rows=lambda: _rows(held),
        pictures=grids(held, classes),
        classes=classes,
        score="confidence",
        group="round",
        group_order="first to last",
        facts=_facts(history, obtained_share(wanted, labels), like),
        notes=_notes(settings, like),
        findings=[f"A sign of collapse: {sign}".replace("`", "") for sign in signs],
        figures=figures,
    )


def _rows(held: Held) -> Iterator[Mapping[str, Any]]:
    for rows in held.rows.split(_BATCH):
        columns = {"id": "id", "label": "label", "score": "confidence", "group": "round"}
        batch = {name: held.column(column, rows).numpy() for name, column in columns.items()}
        yield {**batch, "score": batch["score"].astype(np.float64), "chosen": np.ones(len(rows), bool)}


def _planned(settings: GenerateSettings) -> str:
    return f"Images to be made from the teacher alone by {settings.method!r}, {settings.budget} at the end"


def _headline(held: Held, history: History, settings: GenerateSettings) -> str:
    made, rounds = sum(row.made for row in history), len(history)
    kept = f", of which {len(held):,} are held" if made > len(held) else ""
    passes = sum(row.teacher_passes for row in history)
    cost = f"{passes:,} teacher passes and {sum(row.seconds for row in history):,.0f} s"
    return (
        f"{made:,} images{kept} of {len(history[-1].counts):,} classes, made from the teacher alone by "
        f"{settings.method!r} in {rounds:,} round{'s' if rounds > 1 else ''}: {cost}"
    )


def _facts(history: History, obtained: float | None, like: Likeness | None) -> dict[str, str]:
    last, made = history[-1], sum(row.made for row in history)
    facts = {"rounds": f"{len(history):,}", "teacher passes": f"{sum(row.teacher_passes for row in history):,}"}
    counts = torch.as_tensor(last.counts)
    if obtained is not None:
        facts["of the class that was wanted"] = percent(obtained, 1)
    if len(counts):
        empty = int((counts == 0).sum())
        ratio = float(counts.max()) / float(counts.min().clamp_min(1))
        facts["largest over smallest class"] = f"{empty:,} of {len(counts):,} empty" if empty else f"{ratio:.3g}"
    facts["distinct of those made"] = percent(sum(row.distinct for row in history), made)
    losses = [row.losses["batch_norm"] for row in history if "batch_norm" in row.losses]
    facts |= {"batch-norm loss": f"{losses[-1]:.3g}"} if losses else {}
    if last.one_hot_weight != history[0].one_hot_weight:
        facts["one-hot weight"] = f"{history[0].one_hot_weight:g} to {last.one_hot_weight:.3g}"
    agreement = [row.agreement for row in history if row.agreement is not None]
    facts |= {"student's agreement on fresh images": percent(agreement[-1], 1)} if agreement else {}
    if like is not None and like.distances:
        facts |= {
            "distance from real images" if name == MADE else f"that of {name[0].lower()}{name[1:]}": f"{distance:.3g}"
            for name, distance in like.distances.items()
        }
    return facts


def _notes(settings: GenerateSettings, like: Likeness | None) -> list[str]:
    notes = [
        f"By {settings.method}: {METHODS[settings.method].summary}. No image went into it: nothing was chosen by real "
        "images, labelled or not.",
        "Losses, agreement and distances may all look well while a student learns little: what it reaches beside the "
        "controls tells.",
    ]
    if like is not None:
        notes.append(
            f"For the map and the distances alone the teacher was asked {like.passes:,} times more; the cost does not "
            "count these passes."
        )
    return notes
