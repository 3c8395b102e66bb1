"""Evidence of borrowing: where images are from, how sure the teacher was, and how similar they are to real images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.device import Device
from limbeck.transfer.borrow.considered import Array, considered, marked
from limbeck.transfer.borrow.counts import (
    class_bars,
    class_table,
    known_sentence,
    known_share,
    pool_counts,
    pool_table_figure,
)
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.likeness import BORROWED, RANDOM, Likeness, likeness, procedural
from limbeck.transfer.borrow.samples import samples
from limbeck.transfer.borrow.score_curves import score_curves
from limbeck.transfer.borrow.settings import CRITERIA, NONE
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.evidence_figures import EvidenceFigure
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.words import few, image_count, listing, percent

if TYPE_CHECKING:
    from limbeck.data import ImageSet, TransferSet
    from limbeck.models import Classifier
    from limbeck.transfer.borrow.chosen import Chosen
    from limbeck.transfer.borrow.pools import Pool


def evidence_of(
    chosen: "Chosen",
    table: ScoreTable,
    pools: Sequence["Pool"],
    transfer_set: "TransferSet",
    teacher: "Classifier",
    real: "ImageSet | None" = None,
    *,
    beside: Mapping[str, "ImageSet"] | None = None,
    device: Device = "auto",
) -> Evidence:
    """Counts of pools and classes, score curves, pictures, and the distance to real images if there are some.

    Args:
        chosen: from the table.
        table: of the pools; its `about` says why other images were left out.
        pools: with the images.
        transfer_set: made of the chosen images.
        teacher: computes embeddings of some images, for the distance alone.
        real: images of the target task; None if there are none.
        beside: other images whose distance is reported, too, by their name in the report; by default procedural ones,
            which need no data at all.
        device: where the teacher computes.
    """
    found = considered(table, chosen)
    counts = pool_counts(found, table.sources, pools, chosen.classes, table.about.get("pools", {}))
    like = None
    if real is not None:
        precision = str(table.about.get("precision", "auto"))
        beside = procedural(transfer_set.images.shape) if beside is None else beside
        like = likeness(chosen, table, pools, teacher, real, beside=beside, device=device, precision=precision)
    by = _scored(chosen, table)
    facts = {"budget": f"{chosen.count:,}", "seed": str(chosen.seed), "pools": str(len(pools))}
    if any(not pool.unmatched for pool in counts):
        facts["of classes known by name"] = percent(known_share(counts), 1)
    figures: list[EvidenceFigure] = [pool_table_figure(counts), class_table(found, pools, table.sources, chosen)]
    if len(table.sources) > 1:
        figures.append(class_bars(found, table.sources, chosen.classes))
    figures += score_curves(table, chosen)
    notes = [*_criteria_notes(chosen), *chosen.notes]
    if like is not None:
        figures.append(like.figure)
        facts |= _distance_facts(like)
        notes.append(
            f"For the distances alone the teacher was asked {like.passes:,} times more; the cost does not count these "
            "passes."
        )
    elif real is not None:
        notes.append(
            "The teacher has no tap for its embedding, so nothing tells how far the images are from real ones."
        )
    return Evidence(
        headline=_headline(chosen, found.sizes, transfer_set, [pool.name for pool in pools]),
        rows=lambda: _rows(table, chosen, criterion_by(by).column if by else ""),
        pictures=samples(found, table.sources, pools, chosen.classes),
        classes=chosen.classes,
        score=by,
        facts=facts,
        notes=notes,
        findings=[known_sentence(counts), *_short_sentences(chosen), *filter(None, [chosen.takes_all])],
        figures=figures,
    )


def _scored(chosen: "Chosen", table: ScoreTable) -> str:
    """The first criterion with scores, which the page shows; "" if none has any."""
    scored = [part.by for part in chosen.parts if criterion_by(part.by).score != "random"]
    return next((by for by in scored if table.has(criterion_by(by).column)), "")


def _rows(table: ScoreTable, chosen: "Chosen", score: str) -> Iterator[Mapping[str, Array]]:
    names = np.array(table.sources, dtype=object)
    for batch in marked(table, chosen, "group", *([score] if score else [])):
        rows: dict[str, Any] = {"id": batch["id"], "source": names[batch["source"]], "label": batch["group"]}
        rows |= {"score": batch[score]} if score else {}
        yield rows | {"chosen": batch["chosen"]}


def _headline(chosen: "Chosen", sizes: Array, transfer_set: "TransferSet", pools: Sequence[str]) -> str:
    distinct, shown, total = int(chosen.distinct.sum()), len(transfer_set), int(sizes.sum())
    again = f", {shown - distinct:,} of them shown again," if shown > distinct else ""
    images = f"{image_count(shown)}{again} of {total:,} of {few(sorted(pools))}"
    if [part.by for part in chosen.parts] == [NONE]:
        return f"{images}, the first that come, pools in their order"
    return f"{images}, borrowed by {listing([repr(part.by) for part in chosen.parts])}"


def _criteria_notes(chosen: "Chosen") -> list[str]:
    notes = [f"By {part.by}: {CRITERIA[part.by]}." for part in chosen.parts]
    if len(chosen.parts) > 1:
        gave = listing([f"{int(part.distinct.sum()):,} by {part.by}" for part in chosen.parts])
        notes.append(f"One criterion after another chose among what was left: {gave}.")
    notes.append("Classes are those that the teacher gives; labels of the pools are told of, and never taught.")
    return notes


def _short_sentences(chosen: "Chosen") -> list[str]:
    """Sentences on classes, or pools as a whole, with too few images and what was done; none if all had enough."""
    by_class = np.zeros(len(chosen.classes), dtype=np.int64)
    by_class = sum((part.repeated for part in chosen.parts if part.wanted is not None), by_class)
    spread, short = int(chosen.beyond_share.sum()), np.flatnonzero(chosen.short + by_class)
    lacking = int((chosen.short + by_class).sum())
    sentences = []
    if len(short):
        classes = f"{len(short):,} of {len(chosen.classes):,} classes had fewer images than their share"
        names = few([chosen.classes[place] for place in short])
        done = {"shown again": int(by_class.sum()), "made up for by other classes": spread}
        words = listing([verb for verb, count in done.items() if count])
        are = f"were {words}" if words else "is lacking" if lacking == 1 else "are lacking"
        sentences.append(f"{classes} ({names}): {lacking:,} {are}")
    again = int(chosen.repeated.sum() - by_class.sum())
    rest = chosen.count - len(chosen) - (int(chosen.short.sum()) - spread)  # of criteria that do not work per class
    if again or rest > 0:
        were = f"{again:,} {'was' if again == 1 else 'were'} shown again" if again else ""
        are = f"{rest:,} {'is' if rest == 1 else 'are'} lacking" if rest > 0 else ""
        sentences.append(
            f"The pools hold fewer distinct images than the budget: {listing(list(filter(None, [were, are])))}"
        )
    return sentences


def _distance_facts(like: Likeness) -> dict[str, str]:
    """The distances over all classes together, as far as they could be measured."""
    named = {BORROWED: "distance from real images", RANDOM: "that of balanced random ones"}
    facts = {named.get(name, f"that of {name.lower()}"): distance for name, distance in like.distances.items()}
    facts["that of halves of the real ones"] = like.chance
    return {name: f"{distance:.3g}" for name, distance in facts.items() if distance is not None}
