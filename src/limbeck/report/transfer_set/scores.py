"""How the scores of all images are spread, and where the chosen part of them lies."""

import math
from collections.abc import Callable
from typing import Any

from limbeck.report import formats
from limbeck.report.blocks import Block, Chart, Note
from limbeck.report.figures import transfer_set as figures
from limbeck.report.vega import figure
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.summary import Distribution, Shares, Summary

Row = dict[str, Any]
Write = Callable[[float], str]


def score_blocks(evidence: Evidence, summary: Summary) -> list[Block]:
    """All images by score, and the share chosen at each score; for equal scores a sentence, for none nothing."""
    scores = summary.scores
    if scores is None or not evidence.score:
        return []
    write = _writer(scores)
    if scores.lowest == scores.highest and not scores.outside:
        score = write(scores.lowest)
        return [Note(f"All images have the score {score}, so it told none from another: equal scores go by lowest id.")]
    heights = _heights(evidence, summary, scores, write)
    return [heights, _parts(evidence, summary, scores, write)] if summary.chosen < summary.images else [heights]


def _heights(evidence: Evidence, summary: Summary, scores: Distribution, write: Write) -> Chart:
    rules = _rules(summary, scores, write)
    chart = figures.columns(_bins(scores, write), _axis(scores, evidence.score), rules=rules)
    words = ["The axis is logarithmic."] if scores.logarithmic else []
    if scores.outside:
        far = formats.plural(scores.outside, "image")
        zero = "0, " if scores.logarithmic and scores.lowest == 0 else ""
        words.append(f"Not drawn: {far} whose scores are {zero}infinite or far from all others; the finite ones lie")
        words.append(f"between {write(scores.lowest)} and {write(scores.highest)}.")
    if unscored := summary.images - sum(scores.counts) - scores.outside:
        words.append(f"Without a score: {formats.plural(unscored, 'image')}.")
    return Chart(figure(chart, "scores", "Images by score"), "Images by score", " ".join(words))


def _parts(evidence: Evidence, summary: Summary, scores: Distribution, write: Write) -> Chart:
    even = summary.chosen / summary.images
    chart = figures.chosen_shares(_bins(scores, write), _axis(scores, evidence.score), even=even)
    line = _line(evidence, summary, write)
    caption = f"Dashed: {formats.percent(even)}, what chance would take at every score. {line}"
    drawn = figure(chart, "score-shares", "Share chosen at each score")
    return Chart(drawn, "Share chosen at each score", caption.strip())


def _axis(scores: Distribution, name: str) -> figures.X:
    end = scores.start + scores.width * len(scores.counts)
    return figures.score_axis(name, scores.start, end, logarithmic=scores.logarithmic)


def _bins(scores: Distribution, write: Write) -> list[Row]:
    rows = []
    for place, (count, chosen) in enumerate(zip(scores.counts, scores.chosen, strict=True)):
        low = scores.start + place * scores.width
        high = low + scores.width
        ends = (low + 0.5, high - 0.5) if _whole(scores) else (low, high)
        ends = tuple(10**end for end in ends) if scores.logarithmic else ends
        words = " to ".join(dict.fromkeys(map(write, ends)))
        rows.append({"low": low, "high": high, "chosen": chosen, "left": count - chosen, "words": words})
    return rows


def _rules(summary: Summary, scores: Distribution, write: Write) -> list[tuple[float, str]]:
    """Medians and threshold, those that lie within the bins."""
    whole = summary.whole
    places = {
        "median of the chosen": scores.chosen_median if summary.chosen < summary.images else None,
        "median of all images": scores.median,
        "threshold": whole.lines[0] if whole.order else None,
    }
    end = scores.start + scores.width * len(scores.counts)
    placed = [(_place(at, scores), f"{words}, {write(at)}") for words, at in places.items() if at is not None]
    return [(place, words) for place, words in placed if place is not None and scores.start <= place <= end]


def _place(score: float, scores: Distribution) -> float | None:
    """Where a score lies on the axis."""
    if not scores.logarithmic:
        return score
    return math.log10(score) if score > 0 else None


def _line(evidence: Evidence, summary: Summary, write: Write) -> str:
    """Where the chosen begin: once for all images, else in every class, else in every group."""
    if summary.whole.order and summary.whole.lines[0] is not None:
        ends = ("least", "most") if summary.whole.order == "highest" else ("most", "least")
        threshold = write(summary.whole.lines[0])
        return f"What was chosen scores at {ends[0]} {threshold}, what was left out at {ends[1]} that."
    for kind, shares in (("class", summary.classes), (evidence.group or "group", summary.groups)):
        if shares is not None and shares.order:
            return _begin(kind, shares, write, evidence)
    return ""


def _begin(kind: str, shares: Shares, write: Write, evidence: Evidence) -> str:
    lines = [(line, place) for place, line in enumerate(shares.lines) if line is not None]
    words = f"Within each {kind} the chosen are those of {shares.order} score"
    if not lines:
        return f"{words}."
    first, last = (
        f"{write(line)} ({formats.name_of(place, evidence.classes)})" if kind == "class" else write(line)
        for line, place in (min(lines), max(lines))
    )
    if len(lines) == 1:
        return f"{words} from {first} on."
    return f"{words}; where they begin differs, from {first} to {last}."


def _writer(scores: Distribution) -> Write:
    if scores.logarithmic:
        return formats.short
    return formats.number if _whole(scores) else formats.figures_for(scores.width * len(scores.counts))


def _whole(scores: Distribution) -> bool:
    """Whether the bins are of whole numbers."""
    return scores.width >= 1 and scores.width.is_integer() and (scores.start + 0.5).is_integer()
