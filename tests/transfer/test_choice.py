"""Choosing from tables of several sources, with rows never scored, balanced by a group that is no label."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.allocation import shares
from limbeck.transfer.choice import allocate
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.score_table import radix
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.select import Criterion

BALANCED = Criterion(score="least-confidence", order="lowest", name="surest")
WHOLE = Criterion(score="least-confidence", allocation="top-n", order="lowest", name="surest")
COLUMN = BALANCED.column

Row = dict[str, Any]


def table(rows: list[Row], order: Any = None, **about: Any) -> ScoreTable:
    rows = rows if order is None else [rows[place] for place in order]
    kinds = {"id": pa.int64(), "source": pa.string(), "label": pa.int64(), "group": pa.int64(), COLUMN: pa.float64()}
    names = [name for name in kinds if any(row.get(name) is not None for row in rows) or name == "id"]
    schema = pa.schema([(name, kinds[name]) for name in names])
    return ScoreTable(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows], schema), about)


@st.composite
def pools(draw: st.DrawFn) -> list[Row]:
    """Rows of up to three sources that share ids, some never scored, many with equal scores."""
    keys = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=39, unique=True))
    rows = []
    for source, id_ in keys:
        score = draw(st.sampled_from([0.0, -0.0, 0.25, 1.0]) | st.floats(-2, 2) | st.none())
        group = None if score is None and draw(st.booleans()) else draw(st.integers(0, 3))
        rows.append({"id": id_, "source": source, "group": group, COLUMN: score})
    rows[0] |= {COLUMN: 0.5, "group": 1}
    return rows


def expected(rows: list[Row], n: int, *, balanced: bool) -> list[tuple[str, int]]:
    ranked = sorted((row for row in rows if row[COLUMN] is not None), key=lambda r: (r[COLUMN], r["id"], r["source"]))
    if balanced:
        sizes = torch.bincount(torch.tensor([row["group"] for row in ranked]))
        left = dict(enumerate(shares(n, sizes).tolist()))
        taken = []
        for row in ranked:
            if left[row["group"]]:
                left[row["group"]] -= 1
                taken.append(row)
        ranked = taken
    return [(row["source"], row["id"]) for row in ranked[:n]]


@settings(max_examples=150, deadline=None)
@given(pools(), st.data())
def test_the_best_of_every_group_wherever_they_are_from(rows: list[Row], data: st.DataObject) -> None:
    scored = [row for row in rows if row[COLUMN] is not None]
    groups = {row["group"] for row in scored}
    n = data.draw(st.integers(len(groups), len(scored)))
    for criterion in (BALANCED, WHOLE):
        chosen = allocate(table(rows), criterion, n, balance="group")
        pairs = list(zip(chosen.sources, chosen.ids.tolist(), strict=True))
        assert pairs == expected(rows, n, balanced=criterion.per_class)
        assert chosen.considered == len(scored), "rows never scored are not there"
        order = data.draw(st.permutations(range(len(rows))))
        again = allocate(table(rows, order), criterion, n, balance="group")
        assert list(zip(again.sources, again.ids.tolist(), strict=True)) == pairs


@settings(max_examples=60, deadline=None)
@given(pools(), st.sampled_from([1, 4]), st.data())
def test_files_and_few_rows_at_a_time_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], gathered: int, data: st.DataObject
) -> None:
    path: Path = tmp_path_factory.mktemp("tables") / "scores.parquet"
    whole = table(rows)
    pq.write_table(whole._columns, path, row_group_size=5)
    n = data.draw(st.integers(1, sum(row[COLUMN] is not None for row in rows)))
    for order in ("lowest", "random"):
        criterion = Criterion(score="least-confidence", allocation="top-n", order=order)
        selection = allocate(whole, criterion, n, seed=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("limbeck.transfer.score_table.read.ROWS", 7)
            patch.setattr(radix, "GATHERED", gathered)
            other = allocate(ScoreTable(path), criterion, n, seed=2)
            assert list(zip(selection.sources, selection.ids.tolist(), strict=True)) == list(
                zip(other.sources, other.ids.tolist(), strict=True)
            )
            rows_read = [
                (str(source), int(id_))
                for batch in other.rows()
                for source, id_, taken in zip(batch["source"], batch["id"], batch["chosen"], strict=True)
                if taken
            ]
        assert sorted(rows_read) == sorted(zip(selection.sources, selection.ids.tolist(), strict=True))


ROWS = [
    {"id": 1, "source": "birds", "label": 0, "group": 2, COLUMN: 0.1},
    {"id": 1, "source": "ants", "label": 1, "group": 2, COLUMN: 0.1},
    {"id": 2, "source": "ants", "label": 0, "group": 0, COLUMN: 0.3},
    {"id": 3, "source": "birds", "label": 1, "group": None, COLUMN: None},
    {"id": 5, "source": "ants", "label": 0, "group": 0, COLUMN: 0.2},
]


def test_what_a_selection_of_several_sources_tells() -> None:
    chosen = allocate(table(ROWS, groups=["cat", "dog", "eel"]), BALANCED, "1/class", balance="group", maker="borrow")
    assert chosen.sources == ["ants", "ants"], "equal scores and ids go by the name of the source"
    assert chosen.ids.tolist() == [1, 5]
    assert chosen.chosen_scores.tolist() == [0.1, 0.2]
    assert chosen.groups is not None
    assert chosen.groups.tolist() == [2, 2, 0, 0]
    assert chosen.labels is not None
    assert chosen.provenance()["maker"] == ["borrow/surest"] * 2
    (batch,) = chosen.rows()
    assert batch["source"].tolist() == ["birds", "ants", "ants", "ants"]
    assert batch["chosen"].tolist() == [False, True, False, True]
    content = chosen.table()
    assert content.column_names == ["id", "source", "label", "score", "chosen", "group"]
    assert content["source"].to_pylist() == batch["source"].tolist()
    summary = chosen.summary()
    assert summary.groups is not None
    assert summary.groups.chosen == (1, 0, 1)
    with pytest.raises(UserError, match="holds scores of 'ants', 'birds'; make one image set of what was chosen"):
        chosen.transfer_set(ImageSet(torch.zeros(5, 1, 4, 4, dtype=torch.uint8)))


def test_chosen_rows_keep_their_sources(tmp_path: Path) -> None:
    chosen = allocate(table(ROWS), WHOLE, 2)
    chosen.to_parquet(tmp_path / "chosen.parquet", whole=False)
    assert pq.read_table(tmp_path / "chosen.parquet").to_pylist() == [
        {"id": 1, "source": "birds", "score": 0.1},
        {"id": 1, "source": "ants", "score": 0.1},
    ]
    chosen.to_parquet(tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet").equals(chosen.table())


def test_every_source_draws_for_itself() -> None:
    """Ids say nothing across sources: equal ones get other random numbers."""
    rows = [{"id": id_, "source": source} for source in ("a", "b", "c") for id_ in range(200)]
    chosen = allocate(table(rows), "random", 150, seed=1)
    drawn = {name: {i for s, i in zip(chosen.sources, chosen.ids.tolist(), strict=True) if s == name} for name in "abc"}
    assert all(25 < len(ids) < 75 for ids in drawn.values())
    assert all(len(drawn[name] & drawn[other]) < 30 for name, other in ("ab", "bc", "ac"))
    mixed = np.random.default_rng(0).permutation(600).tolist()
    assert torch.equal(allocate(table(rows, mixed), "random", 150, seed=1).ids, chosen.ids)


def test_sources_may_be_a_dictionary() -> None:
    plain = table(ROWS)
    coded = plain._columns.set_column(1, "source", plain._columns["source"].dictionary_encode())
    assert ScoreTable(coded).sources == ("ants", "birds")
    assert allocate(ScoreTable(coded), WHOLE, 3).sources == allocate(plain, WHOLE, 3).sources


def test_coverage_and_clusters_across_sources() -> None:
    rows = [
        {"id": id_, "source": source, "group": id_ % 3, COLUMN: (id_ * 7 % 11) / 10}
        for source in ("a", "b")
        for id_ in range(40)
    ]
    for allocation in ("coverage", "coverage-per-class"):
        criterion = Criterion(score="least-confidence", allocation=allocation, options={"strata": 4})
        chosen = allocate(table(rows), criterion, 30, balance="group")
        assert len(set(zip(chosen.sources, chosen.ids.tolist(), strict=True))) == 30
        again = allocate(table(rows[::-1]), criterion, 30, balance="group")
        assert (again.sources, again.ids.tolist()) == (chosen.sources, chosen.ids.tolist())
    clusters = Criterion(score="least-confidence", allocation="manifold", space="pixels", options={"clusters": 5})
    clustered = table(rows)._columns.append_column(clusters.clusters_column, pa.array([row["id"] % 5 for row in rows]))
    chosen = allocate(ScoreTable(clustered), clusters, 25)
    assert (chosen.ids % 5).bincount().tolist() == [5] * 5


def change(place: int, **values: Any) -> list[Row]:
    return [{**row, **values} if index == place else row for index, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("rows", "criterion", "budget", "message"),
    [
        (ROWS, BALANCED, "3/class", "`budget` 3/class is more than class 'cat' of 'pool' has: 2 images"),
        (ROWS, WHOLE, 5, "`budget` must be at most the 4 images of 'pool', got 5 images"),
        (
            change(0, group=None),
            BALANCED,
            2,
            "column 'group' of .* lacks values in some rows; give one for every",
        ),
        (change(0, group=None), WHOLE, "1/class", "column 'group' of the table of scores lacks values in some rows"),
        (change(0, group=-1), BALANCED, 2, "column 'group' of the table of scores must be 0 or above, got -1"),
        (
            [{**row, "group": None} for row in ROWS],
            BALANCED,
            2,
            "has no column 'group' to balance; give one for ev",
        ),
        ([{**row, COLUMN: None} for row in ROWS], WHOLE, 1, "unknown column of the table of scores"),
        (change(0, source=None), WHOLE, 1, "column 'source' of the table of scores lacks values in some rows"),
        ([*ROWS, ROWS[0]], WHOLE, 3, "column 'id' of the table of scores must be distinct, got 1 more than once"),
        (change(0, **{COLUMN: float("inf")}), WHOLE, 1, "is not finite for id 1"),
        (ROWS, Criterion(score="random", allocation="herding", space="pixels"), 1, "'herding' needs more than a table"),
    ],
)
def test_refusals(rows: list[Row], criterion: Criterion, budget: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        allocate(table(rows, name="pool", groups=["cat", "dog", "eel"]), criterion, budget, balance="group")


def test_scores_that_are_all_null_leave_nothing_to_choose_from() -> None:
    column = pa.array([None, None], pa.float64())
    unknown = ScoreTable(pa.table({"id": [0, 1], "label": [0, 1], COLUMN: column}), {"name": "pool"})
    for budget in ("1/class", 1, "50%"):
        with pytest.raises(UserError, match="there is nothing to choose from: 'pool' has no images"):
            allocate(unknown, WHOLE, budget)


def test_refusals_of_arguments() -> None:
    with pytest.raises(UserError, match="`balance` must be 'label' or 'group', got 'source'"):
        allocate(table(ROWS), BALANCED, 2, balance="source")
    numbers = pa.table({"id": [0, 1], "source": [0, 1]})
    with pytest.raises(UserError, match="column 'source' of the table of scores must hold names, got int64"):
        allocate(ScoreTable(numbers), "random", 1)
    criterion = Criterion(score="least-confidence", allocation="k-means-per-class", space="pixels")
    clustered = table(ROWS)._columns.append_column(criterion.clusters_column, pa.array([0] * 5))
    with pytest.raises(UserError, match="has clusters within every label, and `balance` is 'group'"):
        allocate(ScoreTable(clustered), criterion, 3, balance="group")


def test_a_table_without_sources_is_one_source() -> None:
    rows = [{key: value for key, value in row.items() if key != "source"} for row in ROWS[1:]]
    chosen = allocate(table(rows, name="ants"), WHOLE, 2)
    assert chosen.sources == ["ants", "ants"]
    assert "source" not in chosen.table().column_names


def test_greedy_allocations_of_several_sources_that_share_ids() -> None:
    rows = [{"id": id_, "source": source, COLUMN: 0.5} for source in "ab" for id_ in (0, 1)]
    features = torch.tensor([[0.0], [1.0], [1.0], [9.0]])
    far = Criterion(score="least-confidence", allocation="k-centre", space="pixels")
    chosen = allocate(table(rows), far, 2, features=features)
    assert list(zip(chosen.sources, chosen.ids.tolist(), strict=True)) == [("a", 0), ("b", 1)]
    assert chosen.chosen.tolist() == [True, False, False, True]


def test_greedy_allocations_are_the_only_ones_that_need_images() -> None:
    assert {name for name, allocation in ALLOCATIONS.items() if allocation.greedy} == {
        f"{name}{suffix}" for name in ("k-centre", "herding") for suffix in ("", "-per-class")
    }


def test_quotas_take_the_place_of_equal_shares() -> None:
    rows = [{"id": place, "group": place % 2, COLUMN: place / 10} for place in range(10)]
    chosen = allocate(table(rows), BALANCED, 4, balance="group", quotas=np.array([1, 3]))
    assert sorted(chosen.ids.tolist()) == [0, 1, 3, 5]
    assert chosen.count == 4
