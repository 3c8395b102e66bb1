"""Summaries of selections against what numpy finds with all scores in memory."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.transfer.summary import BINS, Array, Distribution, Rows, Shares, Summary, summarise


def rows_of(chosen: Array, size: int = 7, **columns: Array) -> Rows:
    def rows() -> Iterator[dict[str, Array]]:
        for start in range(0, len(chosen), size):
            part = slice(start, start + size)
            yield {"chosen": chosen[part], **{name: column[part] for name, column in columns.items()}}

    return rows


def distribution(scores: Array, chosen: Array | None = None) -> Distribution:
    chosen = np.arange(len(scores)) % 3 == 0 if chosen is None else chosen
    summary = summarise(rows_of(chosen, score=np.asarray(scores, dtype=np.float64))).scores
    assert summary is not None
    assert sum(summary.counts) + summary.outside == len(scores)
    assert len(summary.counts) == len(summary.chosen) <= BINS
    assert all(part <= whole for part, whole in zip(summary.chosen, summary.counts, strict=True))
    return summary


def lower_median(scores: Array) -> float:
    return float(np.sort(scores)[(len(scores) - 1) // 2])


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(20, 60), st.integers(0, 10_000))
def test_batches_do_not_matter_and_nothing_is_lost(count: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    chosen = random.random(count) < 0.4
    chosen[0] = True
    columns = {"score": random.normal(0, 10.0 ** random.integers(-3, 4), count), "label": random.integers(0, 4, count)}
    summary = summarise(rows_of(chosen, size, **columns))
    assert summary == summarise(rows_of(chosen, count, **columns))
    assert (summary.images, summary.chosen) == (count, chosen.sum())
    assert summary.classes is not None
    assert summary.classes.sizes == tuple(np.bincount(columns["label"]))
    assert sum(summary.classes.chosen) == chosen.sum()
    assert summary.scores is not None
    assert summary.scores.median == pytest.approx(lower_median(columns["score"]), rel=1e-4, abs=1e-9)
    assert summary.scores.chosen_median == pytest.approx(lower_median(columns["score"][chosen]), rel=1e-4, abs=1e-9)
    assert Summary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary


def test_bins_hold_what_numpy_counts() -> None:
    scores = np.random.default_rng(0).normal(5, 1, 5000)
    result = distribution(scores)
    edges = result.start + result.width * np.arange(len(result.counts) + 1)
    assert np.abs(np.histogram(scores, edges)[0] - result.counts).sum() <= 2
    assert not result.logarithmic


def test_whole_numbers_have_a_bin_each() -> None:
    result = distribution(np.array([3, 3, 4, 7, 7, 7]), np.array([True, False, True, False, False, False]))
    assert (result.start, result.width) == (2.5, 1.0)
    assert result.counts == (2, 1, 0, 0, 3)
    assert result.chosen == (1, 1, 0, 0, 0)
    assert (result.median, result.chosen_median) == (4, 3)
    assert distribution(np.arange(1000)).width == 16


def test_equal_scores_are_one_bin() -> None:
    result = distribution(np.full(10, 3.25))
    assert (result.lowest, result.highest, result.counts) == (3.25, 3.25, (10,))
    assert result.median == pytest.approx(3.25)


def test_far_scores_do_not_squeeze_the_others() -> None:
    scores = np.random.default_rng(1).normal(0, 1, 5000)
    scores[:3] = 1e9, -1e12, np.inf
    result = distribution(scores, np.arange(5000) % 2 == 1)
    assert result.outside <= 20
    assert result.start > -100
    assert (result.lowest, result.highest) == (-1e12, 1e9)
    assert result.median == pytest.approx(lower_median(scores), rel=1e-4)


def test_skewed_scores_are_binned_by_their_logarithms() -> None:
    scores = 10.0 ** np.random.default_rng(2).normal(-7, 2, 5000)
    result = distribution(scores)
    assert result.logarithmic
    assert result.start == pytest.approx(np.log10(scores.min()))
    assert result.outside == 0
    assert result.median == pytest.approx(lower_median(scores), rel=1e-4)
    scores[:100] = 0
    assert distribution(scores).outside == 100
    assert not distribution(np.where(np.arange(5000) < 4000, 0, scores)).logarithmic
    assert not distribution(-scores).logarithmic


@pytest.mark.parametrize("order", ["highest", "lowest"])
def test_where_the_chosen_begin(order: str) -> None:
    scores, groups = np.array([1.0, 2, 3, 11, 12, 13]), np.array([0, 0, 0, 2, 2, 2])
    chosen = np.isin(scores, [3, 12, 13] if order == "highest" else [1, 11, 12])
    summary = summarise(rows_of(chosen, score=scores, group=groups))
    assert summary.whole.order is None
    assert summary.groups is not None
    assert summary.groups.order == order
    assert summary.groups.lines == ((3, None, 12) if order == "highest" else (1, None, 12))
    assert summary.groups.sizes == (3, 0, 3)
    whole = summarise(rows_of(np.argsort(scores) >= 4, score=scores)).whole
    assert (whole.order, whole.lines) == ("highest", (12,))


def test_without_scores_or_labels() -> None:
    summary = summarise(rows_of(np.array([True, False])))
    assert (summary.scores, summary.classes, summary.groups, summary.whole.order) == (None, None, None, None)
    everything = summarise(rows_of(np.array([True, True]), score=np.array([1.0, 2.0])))
    assert everything.whole.order is None


def test_parts_of_unknown_number_and_images_without_a_score_count_where_they_are_known() -> None:
    scores = np.array([np.nan, 1.0, 2.0, 3.0, np.nan])
    columns = {"score": scores, "label": np.array([-1, 0, 0, 1, -1]), "group": np.full(5, -1)}
    summary = summarise(rows_of(np.array([True, False, True, True, False]), 2, **columns))
    assert (summary.images, summary.chosen) == (5, 3)
    assert summary.classes is not None
    assert (summary.classes.sizes, summary.classes.chosen) == ((2, 1), (1, 1))
    assert summary.groups is None
    assert summary.scores is not None
    assert sum(summary.scores.counts) == 3
    assert (summary.scores.median, summary.scores.chosen_median) == (2, 2)
    assert summarise(rows_of(np.array([True]), score=np.array([np.nan]))).scores is None


@pytest.mark.parametrize("kind", [object, "U9"])
def test_sources_go_by_their_names(kind: Any) -> None:
    names = np.array(["b", "a", "b", "häuser", "a", "b"], dtype=kind)
    sources = summarise(rows_of(np.array([True, False, True, True, True, False]), 4, source=names)).sources
    assert sources is not None
    assert dict(zip(sources.names, zip(sources.sizes, sources.chosen, strict=True), strict=True)) == {
        "b": (3, 2),
        "a": (2, 1),
        "häuser": (1, 1),
    }
    alone = summarise(rows_of(np.array([True, True]), source=np.broadcast_to(np.array("one"), 2))).sources
    assert alone == Shares((2,), (2,), names=("one",))


def test_infinite_scores_have_no_median_and_draw_no_line() -> None:
    summary = summarise(rows_of(np.array([True, True, False]), score=np.array([np.inf, np.inf, 1.0])))
    assert summary.scores is not None
    assert (summary.scores.median, summary.scores.chosen_median, summary.scores.outside) == (None, None, 2)
    assert (summary.whole.order, summary.whole.lines) == ("highest", (None,))
    json.dumps(summary.to_dict(), allow_nan=False)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(allow_nan=False, width=64), min_size=1, max_size=40))
def test_medians_are_exact_for_any_scores(values: list[float]) -> None:
    scores, chosen = np.array(values), np.arange(len(values)) % 2 == 0
    summary_scores = summarise(rows_of(chosen, score=scores)).scores
    medians = [lower_median(scores), lower_median(scores[chosen])]
    if summary_scores is not None:
        assert [summary_scores.median, summary_scores.chosen_median] == [
            median if np.isfinite(median) else None for median in medians
        ]
        assert sum(summary_scores.counts) + summary_scores.outside == len(scores)


def test_memory_does_not_grow_with_the_table() -> None:
    def peak(batches: int) -> int:
        random = np.random.default_rng(0)
        batch = {"chosen": random.random(50_000) < 0.1, "score": random.random(50_000), "label": np.arange(50_000) % 9}
        tracemalloc.start()
        summarise(lambda: iter([batch] * batches))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(12) < peak(2) + 100_000
