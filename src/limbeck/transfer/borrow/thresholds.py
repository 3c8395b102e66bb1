"""Thresholds on how sure the teacher must be of an image, for each class that it predicts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.data.classes import few
from limbeck.errors import UserError
from limbeck.transfer.borrow.settings import Threshold
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.rows import Candidates, Rows


@dataclass(frozen=True, eq=False)
class Passing:
    """Which images are sure enough.

    Attributes:
        passes: function of rows that were read with their group, giving bool `[B]`.
        values: float64 `[K]`, the least sure score that passes in every class; NaN for a class without one.
    """

    passes: Callable[[Rows], np.ndarray]
    values: np.ndarray


def class_thresholds(
    scores: np.ndarray,
    classes: np.ndarray,
    count: int,
    *,
    share: float = 1.0,
    fixed_count: int | None = None,
    highest: bool = True,
) -> np.ndarray:
    """Mean score of the surest calibration images of every class that a teacher predicts.

    t_c = (1 / k_c) sum of the k_c best scores of class c, with k_c = ceil(share N_c).

    Source: the mean (`share` 1) and the best hundred ("taking top 10 % into account") of
    https://github.com/shauryat97/SampleSelectionBasedKnowledgeDistillation, which divides the sum of the latter by 100
    even where a class has fewer images.

    Args:
        scores: float `[N]`.
        classes: int64 `[N]` in 0..count-1.
        count: K.
        share: in (0, 1], of every class.
        fixed_count: sum this many of the best in place of a share, and divide by this number even if there are fewer,
            as the reference implementation does.
        highest: whether the highest scores are the surest.

    Returns:
        float64 `[K]`; NaN for a class without images, with `fixed_count` 0.

    Example:
        >>> class_thresholds(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]), 3, share=0.5)
        array([ 3.,  5., nan])
    """
    thresholds = np.full(count, np.nan if fixed_count is None else 0.0)
    for label in np.unique(classes):
        own = np.sort(scores[classes == label].astype(np.float64))
        own = own[::-1] if highest else own
        limit = int(share_of(share, len(own))) if fixed_count is None else fixed_count
        best = own[:limit]
        thresholds[label] = best.sum() / (len(best) if fixed_count is None else fixed_count)
    return thresholds


def share_of(share: float, sizes: Any) -> Any:
    """A share of each of `sizes`, int64, rounded up except for floating-point errors: 0.1 of 30 is 3."""
    return np.ceil(share * np.asarray(sizes) - 1e-9).astype(np.int64)


def passing(
    table: ScoreTable, criterion: Criterion, threshold: Threshold, calibration: ScoreTable | None, seed: int
) -> Passing:
    """Which rows of a table pass a threshold, by the scores of `criterion`.

    Args:
        table: of the pools.
        criterion: whose scores say how sure the teacher is.
        threshold: for every class.
        calibration: scores of the calibration images, for thresholds that need them.
        seed: of the passes over the table; scores do not use it.

    Raises:
        UserError: a class that the teacher predicts for images of the pools has no calibration image.
    """
    candidates = Candidates(table, criterion, seed, "group")
    if threshold.of == "quantile":
        return _quantile(candidates, threshold.share)
    assert calibration is not None, "thresholds of a calibration set have one"
    values = _calibrated(calibration, criterion, threshold, len(candidates.classes), seed)
    _check_known(values, candidates, threshold)
    highest = criterion.order == "highest"

    def passes(rows: Rows) -> np.ndarray:
        required = values[rows.columns["group"]]
        return rows.scores >= required if highest else rows.scores <= required

    return Passing(passes, values)


def _calibrated(
    calibration: ScoreTable, criterion: Criterion, threshold: Threshold, count: int, seed: int
) -> np.ndarray:
    parts = list(Candidates(calibration, criterion, seed, "group").read("group"))
    return class_thresholds(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.columns["group"] for part in parts]),
        count,
        share=1.0 if threshold.of == "mean" else threshold.share,
        fixed_count=threshold.fixed_count,
        highest=criterion.order == "highest",
    )


def _check_known(values: np.ndarray, candidates: Candidates, threshold: Threshold) -> None:
    sizes = candidates.class_counts().numpy()
    unknown = [candidates.classes[place] for place in np.flatnonzero(np.isnan(values) & (sizes > 0))]
    if unknown:
        assert threshold.calibration is not None, "thresholds of classes that are unknown are of calibration images"
        raise UserError(
            f"`threshold.calibration` {threshold.calibration.name!r} has no image that the teacher takes for "
            f"{few([repr(name) for name in unknown])}, so nothing says how sure it must be of "
            f"{'it' if len(unknown) == 1 else 'them'}; give more images, or use the `quantile`, which needs none."
        )


def _quantile(candidates: Candidates, share: float) -> Passing:
    """Passes the best `share` of the images of every class, rounded up."""
    sizes = candidates.class_counts().numpy()
    cut = candidates.smallest(
        lambda: ((rows.columns["group"], candidates.ranking_keys(rows)) for rows in candidates.read("group")),
        share_of(share, sizes),
        sizes,
    )

    def passes(rows: Rows) -> np.ndarray:
        return cut.chosen(rows.columns["group"], candidates.ranking_keys(rows))

    highest = candidates.criterion.order == "highest"
    values = np.full(len(sizes), np.inf if highest else -np.inf)
    for rows in candidates.read("group"):
        inside = passes(rows)
        (np.minimum if highest else np.maximum).at(values, rows.columns["group"][inside], rows.scores[inside])
    return Passing(passes, np.where(sizes > 0, values, np.nan))
