"""Choosing from the table of the pools: exact, best first, whatever the order of pools and rows."""

import warnings
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried

from limbeck.errors import UserError
from limbeck.transfer.borrow import choose as module
from limbeck.transfer.borrow.choose import choose
from limbeck.transfer.borrow.chosen import Chosen, looked_up
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.quotas import equal_shares, shares_of_parts, spread_shares
from limbeck.transfer.borrow.settings import CRITERIA, SURENESS, BorrowSettings
from limbeck.transfer.score_table.read import ScoreTable

NAMES = ("ant", "bee", "cat")
MARGIN, ENTROPY = criterion_by("margin").column, criterion_by("entropy").column
COLUMNS = {by: criterion_by(by).column for by in SURENESS}
ORDERLESS = [by for by in CRITERIA if by != "none"]
"""Criteria for which the order of the pools does not matter."""
DRAWN = ("k-centre", "balanced-random", "random")

Row = tuple[str, int, int, float]
"""Pool, id, class and score."""


def table(rows: Sequence[Row], order: Sequence[int] | None = None, classes: Sequence[str] = NAMES) -> ScoreTable:
    """Every criterion has the same scores, with the sign that makes the first the surest."""
    rows = list(rows) if order is None else [rows[place] for place in order]
    sources, ids, groups, scores = (list(column) for column in zip(*rows, strict=True))
    columns: dict[str, Any] = {"id": ids, "source": sources, "group": groups}
    for by, column in COLUMNS.items():
        sign = 1.0 if criterion_by(by).order == "highest" else -1.0
        columns[column] = pa.array([sign * score for score in scores], pa.float64())
    return ScoreTable(columns, {"name": "pools", "groups": list(classes)})


def settings(by: Any = "margin", **more: Any) -> BorrowSettings:
    return BorrowSettings.model_validate({"pools": ["a"], "by": by, "budget": 1, **more})


def quietly(rows: ScoreTable, said: BorrowSettings, count: int, **more: Any) -> Chosen:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return choose(rows, said, count, **{"pools": rows.sources, "features_of": features, **more})


def features(names: Sequence[str], ids: np.ndarray) -> torch.Tensor:
    """Of an image alone, as a teacher's are."""
    return torch.tensor([[float(id_ % 7), float(len(name) + id_ // 7)] for name, id_ in zip(names, ids, strict=True)])


def pairs(chosen: Chosen) -> list[tuple[str, int, int]]:
    rows = chosen.rows
    names = [chosen.sources[place] for place in rows.sources.tolist()]
    return list(zip(names, rows.ids.tolist(), rows.copies.tolist(), strict=True))


@st.composite
def pools(draw: st.DrawFn) -> list[Row]:
    keys = draw(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 30)), min_size=6, unique=True))
    score = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 2)
    rows = [(source, id_, draw(st.integers(0, 2)), draw(score)) for source, id_ in keys]
    return [(*rows[place][:2], place, rows[place][3]) if place < 3 else rows[place] for place in range(len(rows))]


def sizes(rows: Sequence[Row]) -> np.ndarray:
    return np.bincount([row[2] for row in rows], minlength=len(NAMES))


def expected(rows: Sequence[Row], quotas: Sequence[int]) -> set[tuple[str, int, int]]:
    """The best rows of every class."""
    keys = set()
    for label, quota in enumerate(quotas):
        own = sorted((-row[3], row[1], row[0]) for row in rows if row[2] == label)
        keys |= {(source, id_, 0) for _, id_, source in own[:quota]}
    return keys


@tried(max_examples=80, deadline=None)
@given(pools(), st.data())
def test_exactly_the_best_of_every_class_in_whatever_order(rows: list[Row], data: st.DataObject) -> None:
    by = data.draw(st.sampled_from(list(SURENESS)))
    count = data.draw(st.integers(3, len(rows)))
    chosen = quietly(table(rows), settings(by), count)
    assert set(pairs(chosen)) == expected(rows, spread_shares(count, sizes(rows)).tolist())
    assert len(chosen) == count
    order = data.draw(st.permutations(range(len(rows))))
    assert pairs(quietly(table(rows, order), settings(by), count)) == pairs(chosen)


@tried(max_examples=60, deadline=None)
@given(pools(), st.data())
def test_every_criterion_is_exact_distinct_and_knows_no_order(rows: list[Row], data: st.DataObject) -> None:
    by = data.draw(
        st.sampled_from(
            [*ORDERLESS, {"margin": 0.5, "random": 0.5}, {"k-centre": 0.4, "boundary": 0.3, "balanced-random": 0.3}]
        )
    )
    parts = 1 if isinstance(by, str) else len(by)
    count = data.draw(st.integers(min(3 * 4 * (parts - 1) or 3, len(rows)), len(rows)))
    if parts > 1 and count < 12:
        return
    chosen = quietly(table(rows), settings(by), count, seed=5)
    assert len(set(pairs(chosen))) == len(chosen) == count
    order = data.draw(st.permutations(range(len(rows))))
    assert pairs(quietly(table(rows, order), settings(by), count, seed=5)) == pairs(chosen)
    named = data.draw(st.permutations(["a", "b", "c"]))
    assert pairs(quietly(table(rows), settings(by), count, seed=5, pools=named)) == pairs(chosen)
    for part in chosen.parts:
        if part.wanted is not None:
            assert part.distinct.sum() == part.wanted.sum()
            assert (part.distinct <= part.passed).all()


def many(each: int = 40, classes: int = 3, pools: str = "ab") -> list[Row]:
    draws = np.random.default_rng(0).random(each * classes)
    rows = range(each * classes)
    return [(pools[row % len(pools)], row, row % classes, float(draws[row])) for row in rows]


def test_classes_have_equal_shares_also_of_a_mixture() -> None:
    rows = many()
    chosen = quietly(table(rows), settings({"margin": 0.5, "balanced-random": 0.3, "k-centre": 0.2}), 50)
    assert chosen.distinct.tolist() == [17, 17, 16]
    assert [int(part.distinct.sum()) for part in chosen.parts] == [25, 15, 10]
    alone = quietly(table(rows), settings("margin"), 25)
    assert set(pairs(alone)) == set(pairs(chosen)[:25])
    assert not chosen.short.any()
    assert not chosen.beyond_share.any()


def test_random_goes_by_no_class_and_smaller_budgets_are_parts_of_larger() -> None:
    rows = [row for row in many() if row[2] != 1 or row[1] % 2]
    small, large = (quietly(table(rows), settings("random"), count) for count in (2, 40))
    assert set(pairs(small)) < set(pairs(large))
    assert large.wanted is None
    assert large.parts[0].wanted is None
    other = quietly(table(rows), settings("random"), 40, seed=1)
    assert set(pairs(other)) != set(pairs(large))
    balanced = quietly(table(rows), settings("balanced-random"), 39)
    assert balanced.distinct.tolist() == [13, 13, 13]


def test_none_takes_the_first_of_every_class_as_first_come_without_a_threshold_does() -> None:
    rows = many()
    for pools in ("ab", "ba"):
        chosen = quietly(table(rows), settings("none"), 6, pools=pools, order_of=by_id)
        own = [sorted((row[0] != pools[0], row[1]) for row in rows if row[2] == label)[:2] for label in range(3)]
        assert sorted(chosen.rows.ids.tolist()) == sorted(id_ for two in own for _, id_ in two)
        for by in ("margin", "entropy", {"margin": 0.5, "boundary": 0.5}):
            same = quietly(table(rows), settings(by, fill="first-come"), 6, pools=pools, order_of=by_id)
            assert pairs(same) == pairs(chosen)
            assert [part.by for part in same.parts] == ["none"]
    mixed = quietly(table(rows), settings({"margin": 0.5, "none": 0.5}), 12, pools="ab")
    assert mixed.distinct.tolist() == [4, 4, 4]
    surest = quietly(table(rows), settings("margin"), 6)
    assert pairs(mixed)[:6] == pairs(surest)
    with pytest.raises(ValueError, match="`threshold` says how sure the teacher must be, and `by` 'none' does not ask"):
        settings("none", threshold="quantile")


def test_boundary_takes_the_narrowest_margins() -> None:
    rows = many()
    chosen = quietly(table(rows), settings("boundary"), 6)
    lowest = [sorted((row[3], row[1]) for row in rows if row[2] == label)[:2] for label in range(3)]
    assert sorted(chosen.rows.ids.tolist()) == sorted(id_ for two in lowest for _, id_ in two)


def test_k_centre_chooses_among_a_stated_number_of_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def counting(names: Sequence[str], ids: np.ndarray) -> torch.Tensor:
        counts.append(len(ids))
        return features(names, ids)

    rows = many()
    quietly(table(rows), settings("k-centre"), 6, features_of=counting)
    monkeypatch.setattr(module, "CANDIDATES", 30)
    chosen = quietly(table(rows), settings("k-centre"), 6, features_of=counting)
    assert counts == [120, 30]
    assert chosen.distinct.tolist() == [2, 2, 2]
    assert chosen.notes == (
        "By k-centre: chosen among 30 of 120 images, drawn at random, equally many of every class, so that the "
        "embeddings fit into memory.",
    )
    quietly(table(rows), settings("k-centre"), 60, features_of=counting)
    assert counts[-1] == 120


FEW = [("a", 0, 0, 0.9), ("a", 1, 0, 0.8), ("b", 0, 0, 0.7), ("b", 5, 0, 0.6), ("a", 2, 1, 0.5), ("b", 9, 2, 0.4)]


def test_a_class_that_cannot_be_filled_spreads_repeats_or_is_left_short() -> None:
    spread = quietly(table(FEW), settings(short="spread"), 6)
    assert (spread.distinct.tolist(), spread.short.tolist(), spread.beyond_share.tolist()) == (
        [4, 1, 1],
        [0, 1, 1],
        [2, 0, 0],
    )
    left = quietly(table(FEW), settings(short="leave"), 6)
    assert (left.distinct.tolist(), left.short.tolist(), len(left)) == ([2, 1, 1], [0, 1, 1], 4)
    again = quietly(table(FEW), settings(short="repeat"), 8)
    assert (again.distinct.tolist(), again.repeated.tolist(), len(again)) == ([3, 1, 1], [0, 2, 1], 8)
    assert pairs(again)[-3:] == [("a", 2, 1), ("a", 2, 2), ("b", 9, 1)]
    assert not again.short.any()
    more = quietly(table(FEW), settings(short="repeat"), 30)
    assert more.repeated.tolist() == [6, 9, 9], "more than the pools hold"
    assert [copy for source, id_, copy in pairs(more) if (source, id_) == ("a", 0)] == [0, 1, 2]
    assert [copy for source, id_, copy in pairs(more) if (source, id_) == ("b", 0)] == [0, 1]
    whole = quietly(table(FEW), settings("random", short="repeat"), 13)
    assert len(set(pairs(whole))) == 13


@pytest.mark.filterwarnings("ignore:the budget takes all")
def test_classes_that_the_teacher_never_gives_are_named() -> None:
    rows = [row for row in FEW if row[2] != 1]
    with pytest.warns(
        UserWarning, match="takes no image of the pools for 'bee', so the transfer set has none of it, and"
    ):
        chosen = choose(table(rows), settings(), 5, pools="ab")
    assert chosen.found.tolist() == [4, 0, 1]
    assert chosen.distinct.tolist() == [4, 0, 1]
    with pytest.warns(
        UserWarning, match=r"and the set is smaller for it \(`short: leave`\); name pools that look more"
    ):
        choose(table(rows), settings(short="leave"), 6, pools="ab")
    rare = [(*row[:3], 0.001 if row[2] == 2 else row[3]) for row in FEW]
    chosen_settings = settings(short="leave", threshold={"of": "mean", "calibration": "task"})
    with pytest.warns(
        UserWarning, match=r"is sure enough of no image of the pools for 'cat', .*, or a weaker `threshold`"
    ):
        choose(table(rare), chosen_settings, 3, pools="ab", calibration=table(FEW))
    with pytest.raises(
        UserError, match=r"`short: repeat` needs an image of every class .* takes no image of the pools as 'bee'; use"
    ):
        choose(table(rows), settings(short="repeat"), 6, pools="ab")
    sure = settings(short="repeat", threshold={"share": 0.5})
    with pytest.raises(UserError, match=r"takes no image|is sure enough of no image of the pools as 'bee'; .*weaker"):
        choose(table(rows), sure, 6, pools="ab")


@pytest.mark.parametrize(
    ("by", "count", "more", "message"),
    [
        (
            "margin",
            7,
            {},
            "`budget` must be at most what the pools hold, 6 distinct images, got 7; lower it, name more",
        ),
        (
            "random",
            7,
            {},
            "`budget` must be at most what the pools hold, 6 distinct images, got 7; lower it, name more",
        ),
        ("margin", 2, {}, "`budget` must give each of the 3 classes of the teacher an image, got 2 by 'margin'; raise"),
        (
            "margin",
            5,
            {"threshold": {"share": 0.5}},
            "6 distinct images, of which 4 can be chosen by 'margin' with this `threshold`, got 5; lower it",
        ),
        (
            {"margin": 0.5, "energy": 0.5},
            8,
            {},
            "6 distinct images, of which 2 can be chosen by 'energy', got 4; lower it, name more pools",
        ),
    ],
)
def test_what_cannot_be_met_is_said(by: Any, count: int, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose(table(FEW), settings(by, **more), count, pools="ab")


def test_a_table_without_groups_is_refused() -> None:
    with pytest.raises(UserError, match="must hold a `group` of every row, and the `groups` that names them"):
        choose(table(FEW, classes=["ant"]), settings(), 3, pools="ab")


def by_id(pool: str, ids: np.ndarray) -> np.ndarray:
    return ids


@tried(max_examples=60, deadline=None)
@given(pools(), st.data())
def test_first_come_goes_by_the_order_of_the_pools_and_of_their_images(rows: list[Row], data: st.DataObject) -> None:
    named = data.draw(st.permutations(["a", "b", "c"]))
    count = data.draw(st.integers(3, len(rows)))
    first_come: dict[str, Any] = {"pools": named, "order_of": by_id}
    chosen = quietly(table(rows), settings(fill="first-come"), count, **first_come)
    quotas, wanted = spread_shares(count, sizes(rows)), set()
    for label, quota in enumerate(quotas.tolist()):
        own = sorted((named.index(row[0]), row[1]) for row in rows if row[2] == label)
        wanted |= {(named[place], id_, 0) for place, id_ in own[:quota]}
    assert set(pairs(chosen)) == wanted
    order = data.draw(st.permutations(range(len(rows))))
    assert pairs(quietly(table(rows, order), settings(fill="first-come"), count, **first_come)) == pairs(chosen)
    for seed in (0, 1):
        drawn = quietly(table(rows), settings(fill="first-come"), count, pools=named, seed=seed)
        again = quietly(table(rows, order), settings(fill="first-come"), count, pools=named, seed=seed)
        assert pairs(again) == pairs(drawn)


@pytest.mark.parametrize("more", [{"by": "none"}, {"fill": "first-come"}, {"fill": "first-come", "threshold": "mean"}])
def test_the_images_of_a_pool_come_in_an_order_drawn_from_the_seed(more: dict[str, Any]) -> None:
    rows = [(pool, id_, id_ % 3, 1.0) for pool in "ab" for id_ in range(3000)]
    if "threshold" in more:
        more = more | {"threshold": {"of": "mean", "calibration": "task"}}
    first, second = (
        quietly(table(rows), settings(**more), 300, pools="ba", seed=seed, calibration=table(rows)) for seed in (0, 1)
    )
    for chosen in (first, second):
        assert {pool for pool, _, _ in pairs(chosen)} == {"b"}, "pools come in the order in which they are named"
        assert 1400 < chosen.rows.ids.mean() < 1600, "from all over the pool, whose ids may be sorted by class"
    assert len({*first.rows.ids.tolist()} & {*second.rows.ids.tolist()}) < 60


@pytest.mark.parametrize("by", DRAWN)
def test_what_goes_by_chance_does_not_come_first(by: str) -> None:
    with pytest.raises(ValueError, match=f"`fill: first-come` takes images in the order .* and `by` '{by}' goes by"):
        settings(by, fill="first-come")


def test_shares_of_parts_and_classes() -> None:
    assert shares_of_parts({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 10) == {"a": 4, "b": 3, "c": 3}
    assert shares_of_parts({"a": 0.7, "b": 0.3}, 10) == {"a": 7, "b": 3}
    assert equal_shares(7, 3, start=2).tolist() == [2, 2, 3]
    assert spread_shares(7, np.array([1, 9, 9]), start=1).tolist() == [1, 3, 3]


def test_rows_are_looked_up_in_the_order_in_which_they_are_asked_for() -> None:
    columns = looked_up(table(FEW), np.array([1, 0, 1]), np.array([9, 1, 0]), "group", MARGIN)
    assert columns["group"].tolist() == [2, 0, 0]
    assert columns[MARGIN].tolist() == [0.4, 0.8, 0.7]
