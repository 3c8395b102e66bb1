"""The evidence of condensing for its report: how iterations went, what the images became, how they are stored."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.transfer.condense.curves import GIB, iteration_figures
from limbeck.transfer.condense.frames import Frame
from limbeck.transfer.condense.history import History
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.pictures import frame_pictures
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.unread_settings import unread_settings
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.words import image_count, percent

if TYPE_CHECKING:
    from limbeck.cost import Cost
    from limbeck.data import ImageSet
    from limbeck.data.transfer_set import TransferSet
    from limbeck.transfer.condense.experts import ExpertStore

_OFTEN = 0.5
"""Share of skipped iterations above which the page says so at its head."""


def evidence_of(
    settings: CondenseSettings,
    images: "ImageSet",
    history: History,
    frames: Sequence[Frame] = (),
    *,
    pool: int,
    cost: "Cost",
    facts: Mapping[str, str] | None = None,
    findings: Sequence[str] = (),
) -> Evidence:
    """Curves of loss, skipped iterations, accuracy, memory and time; images by class over iterations; activation maps.

    Args:
        settings: that the set was made by.
        images: the finished ones.
        history: of the iterations; empty where nothing is learned.
        frames: the images during learning, in order, with the maps and accuracies that are known.
        pool: how many images they stand for.
        cost: of making them, including experts.
        facts: further facts for the head of the page, as what storing in 8 bits changed.
        findings: further findings, as what is wrong with the experts.
    """
    best = max((frame for frame in frames if frame.accuracy is not None), key=_accuracy, default=None)
    return Evidence(
        headline=_headline(settings, images, history, pool, cost),
        rows=lambda: _rows(images),
        pictures=frame_pictures(frames, images.classes),
        classes=images.classes,
        facts={**_facts(settings, images, history, best), **(facts or {})},
        notes=_notes(settings),
        findings=[*_findings(settings, history, frames, best), *map(_capitalised, findings)],
        figures=iteration_figures(history, frames, by=settings.by),
    )


def facts_of_set(settings: CondenseSettings, made: "TransferSet", store: "ExpertStore | None") -> dict[str, str]:
    """Facts for the head of the page about a finished set: its learned rate, its experts, and rounding to 8 bits.

    Args:
        settings: that the set was made by.
        made: the finished set.
        store: the experts, if any were read.
    """
    facts, rounding = {}, made.about.get("rounding")
    if settings.by == "trajectories" and settings.iterations:
        assert made.use is not None
        facts["learned rate"] = f"{made.use['training']['learning_rate']:.3g}"  # the one of the images that are kept
    if store is not None and settings.experts.folder is not None:
        facts["experts"] = f"{store.count:,} of {str(store.folder)!r}, which took {store.cost().seconds:,.0f} s"
    if rounding is not None:
        clipped, change = 100 * rounding["clipped"], 255 * rounding["change"]
        facts["stored in 8 bits"] = f"{clipped:.2g} % of values clipped, {change:.2g} levels off"
    return facts


def _rows(images: "ImageSet") -> Iterator[Mapping[str, Any]]:
    columns: dict[str, Any] = {"id": images.ids.numpy(), "chosen": np.ones(len(images), bool)}
    yield columns if images.labels is None else {**columns, "label": images.labels.numpy()}


def _headline(settings: CondenseSettings, images: "ImageSet", history: History, pool: int, cost: "Cost") -> str:
    headline = (
        f"{image_count(len(images))} of {len(images.classes):,} classes in place of {pool:,}, by {settings.method!r}"
    )
    if not len(history):
        return f"{headline}, put together in {cost.seconds:,.0f} s"
    count = f"{len(history):,} iteration{'' if len(history) == 1 else 's'}"
    return f"{headline} in {count}: {cost.seconds:,.0f} s, experts and all"


def _facts(settings: CondenseSettings, images: "ImageSet", history: History, chosen: Frame | None) -> dict[str, str]:
    facts = {"method": settings.method, "labels": settings.labels}
    if settings.per_image > 1:
        facts["images when used"] = f"{len(images) * settings.per_image:,}, {settings.per_image} cut from each"
    losses, memory = history.known("loss"), history.known("memory")
    if losses:
        facts["loss"] = f"{losses[0]:.3g} at first, {losses[-1]:.3g} at last"
    if any(history.column("skipped")):
        facts["skipped iterations"] = percent(sum(history.known("skipped")), len(history))
    if chosen is not None:
        assert chosen.accuracy is not None
        facts["best on validation images"] = f"{percent(chosen.accuracy, 1)} after {chosen.iteration:,} iterations"
    if memory:
        facts["memory"] = f"{max(memory) / GIB:.2g} GiB"
    return facts


_LATEST, _NO_STEP = 10, 0.95
"""How many last iterations show how a run ended, and the matching loss above which the images lead (nearly) nowhere."""


def _findings(settings: CondenseSettings, history: History, frames: Sequence[Frame], chosen: Frame | None) -> list[str]:
    findings = unread_settings(settings)
    skipped, count, threshold = sum(history.known("skipped")), len(history), settings.matching.skip_above
    if threshold is not None and skipped > _OFTEN * count:
        least_loss = min(history.known("loss"), default=float("nan"))
        which = "All" if skipped == count else f"{percent(skipped, count)} of the"
        findings.append(
            f"{which} iterations changed nothing, as their loss was above skip_above ({threshold:g}); the least was "
            f"{least_loss:.3g}: a lower rate or a higher threshold lets more of them count"
        )
    losses, rates = history.known("loss")[-_LATEST:], history.known("rate")
    if settings.by == "trajectories" and losses and min(losses) > _NO_STEP:
        rate = f" (the rate went from {settings.matching.rate:.3g} to {rates[-1]:.3g})" if rates else ""
        findings.append(
            f"At the end the loss was {losses[-1]:.3g}, and 1 is that of no step at all: the images lead nowhere{rate}"
            ". A lower image_rate or rate keeps pixels from running away; more synthetic_steps or experts with closer "
            "snapshots make the way possible"
        )
    evaluated = [frame for frame in frames if frame.accuracy is not None]
    if chosen is not None and settings.choose == "last-validated" and evaluated[-1].iteration != chosen.iteration:
        assert chosen.accuracy is not None
        last = evaluated[-1].accuracy
        assert last is not None
        findings.append(
            f"The images after {chosen.iteration:,} iterations were better on validation images than the last "
            f"({percent(chosen.accuracy, 1)} against {percent(last, 1)}); choose: validation keeps the best"
        )
    return findings


def _notes(settings: CondenseSettings) -> list[str]:
    notes = [f"By {settings.method}: {METHODS[settings.method].summary}."]
    if settings.choose == "validation":
        notes.append("Which iteration's images are kept, validation images chose; test images choose nothing.")
    if settings.labels != "hard":
        notes.append(
            "A part of what a student learns is in the soft labels: only a control that has such labels, too, tells "
            "what the images are worth."
        )
    if settings.per_image > 1:
        times = settings.per_image
        notes.append(f"Each stored image is used as {times}: beside sets that are not cut, count those that are used.")
    return notes


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _accuracy(frame: Frame) -> float:
    return frame.accuracy if frame.accuracy is not None else -1.0
