import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from tests.transfer import reference

from limbeck.errors import UserError
from limbeck.transfer.allocation import shares
from limbeck.transfer.score_table import radix
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.select import Criterion, select_from_scores


def write(path, scores, ids=None, labels=None, column="entropy:grayscale-histogram"):
    count = len(scores)
    columns = {"id": np.arange(count) if ids is None else ids, column: np.asarray(scores, dtype=np.float64)}
    if labels is not None:
        columns["label"] = np.asarray(labels)
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


@st.composite
def rows(draw):
    count = draw(st.integers(1, 80))
    value = st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e-300, 1e300]) | st.floats(-5, 5)
    scores = draw(st.lists(value, min_size=count, max_size=count))
    ids = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=count, max_size=count, unique=True))
    labels = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    return np.array(scores), np.array(ids, dtype=np.int64), np.array(labels)


@settings(max_examples=80, deadline=None)
@given(rows(), st.sampled_from(["highest", "lowest"]), st.sampled_from([1, 5, 2**22]), st.data())
def test_radix_selection_equals_sorting(table, order, gathered, data):
    scores, ids, labels = table
    n = data.draw(st.integers(0, len(scores)))
    sizes = np.bincount(labels)
    quotas = shares(n, torch.from_numpy(sizes)).numpy()
    keys = radix.sortable(scores, descending=order == "highest")

    def read():
        for start in range(0, len(ids), 9):
            part = slice(start, start + 9)
            yield labels[part], (keys[part], radix.as_unsigned(ids[part]))

    before, radix.GATHERED = radix.GATHERED, gathered
    try:
        chosen = radix.smallest(read, quotas, sizes).chosen(labels, (keys, radix.as_unsigned(ids)))
    finally:
        radix.GATHERED = before
    ranking = np.lexsort((ids, (-scores if order == "highest" else scores) + 0.0))
    for label, quota in enumerate(quotas.tolist()):
        inside = ranking[labels[ranking] == label]
        assert sorted(np.flatnonzero(chosen & (labels == label)).tolist()) == sorted(inside[:quota].tolist())


@pytest.mark.parametrize(
    ("allocation", "cutoff"),
    [
        ("top-n", None),
        ("top-n-per-class", None),
        ("coverage", None),
        ("coverage", 0.1),
        ("coverage-per-class", None),
        ("coverage-per-class", 0.2),
    ],
)
@pytest.mark.parametrize("order", ["highest", "lowest", "random"])
@pytest.mark.parametrize("score", ["entropy", "random"])
def test_the_same_images_as_by_sorting(tmp_path, monkeypatch, allocation, cutoff, order, score):
    monkeypatch.setattr("limbeck.transfer.score_table.read.ROWS", 37)
    monkeypatch.setattr(radix, "GATHERED", 10)
    source = np.random.default_rng(0)
    scores, labels = source.integers(0, 40, 300) / 7, source.integers(0, 4, 300)
    ids = source.permutation(900)[:300]
    path = write(tmp_path / "scores.parquet", scores, ids, labels)
    options = {"strata": 9} if allocation.startswith("coverage") else {}
    if cutoff is not None and order != "random":
        options["cutoff"] = cutoff
    criterion = Criterion(score=score, allocation=allocation, order=order, options=options)
    names = ("id", "score", "label")
    rows = [
        dict(zip(names, row, strict=True)) for row in zip(*map(np.ndarray.tolist, (ids, scores, labels)), strict=True)
    ]
    in_memory = ScoreTable(pq.read_table(path))
    for budget in (4, 50, "20%", "11/class", 300):
        chosen = select_from_scores(ScoreTable(path), criterion=criterion, budget=budget, seed=5)
        assert chosen.ids.tolist() == reference.chosen(criterion, chosen.count, rows, 5)
        same = select_from_scores(in_memory, criterion=criterion, budget=budget, seed=5)
        assert torch.equal(same.ids, chosen.ids)


def test_chosen_rows_are_written_with_their_scores(tmp_path):
    path = write(tmp_path / "scores.parquet", [3.0, 1.0, 2.0, 5.0])
    chosen = select_from_scores(path, criterion="entropy-whole", budget=2)
    chosen.to_parquet(tmp_path / "chosen.parquet")
    assert pq.read_table(tmp_path / "chosen.parquet").to_pylist() == [{"id": 0, "score": 3.0}, {"id": 3, "score": 5.0}]


@pytest.mark.parametrize(
    ("criterion", "budget", "message"),
    [
        (
            "k-centre",
            2,
            "allocation 'k-centre' needs more than a table of scores; choose from the images, or use",
        ),
        (
            "k-means",
            2,
            "unknown column of .*: 'clusters:k-means:grayscale-histogram'.*Score the images by 'k-means' first",
        ),
        ("variance/tn", 2, "unknown column of .*: 'variance:grayscale'.*Score the images by 'variance/tn' first"),
        ("entropy-whole", 9, "`budget` must be at most the 4 images of 'scores', got 9 images"),
        ("entropy", 2, "needs labels, and 'scores' has none"),
        ("entropy-whole", "1/class", "needs labels"),
    ],
)
def test_refusals(tmp_path, criterion, budget, message):
    path = write(tmp_path / "scores.parquet", [3.0, 1.0, 2.0, 5.0])
    with pytest.raises(UserError, match=message):
        select_from_scores(path, criterion=criterion, budget=budget)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(UserError, match="there is no table of scores"):
        ScoreTable(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(UserError, match="is no Parquet file of scores"):
        ScoreTable(tmp_path / "text.parquet")
    pq.write_table(pa.table({"score": [1.0]}), tmp_path / "bare.parquet")
    with pytest.raises(UserError, match="must have a column 'id', got score"):
        ScoreTable(tmp_path / "bare.parquet")


def test_ids_that_are_there_twice(tmp_path):
    path = write(tmp_path / "scores.parquet", [3.0, 1.0, 2.0, 5.0, 3.0, 1.0, 2.0, 5.0], ids=[0, 1, 2, 3] * 2)
    for budget in (1, 2, 3, 8):
        with pytest.raises(UserError, match=r"column 'id' of .* must be distinct, got . more than once"):
            select_from_scores(path, criterion="entropy-whole" if budget < 3 else "random", budget=budget, seed=1)


def test_damaged_tables_and_columns_of_words(tmp_path):
    path = write(tmp_path / "scores.parquet", np.random.default_rng(0).normal(size=5000))
    data = bytearray(path.read_bytes())
    data[200:1200] = b"\xff" * 1000
    (tmp_path / "damaged.parquet").write_bytes(data)
    with pytest.raises(UserError, match=r"'.*damaged.parquet' is damaged \([^;]*\); score again"):
        select_from_scores(tmp_path / "damaged.parquet", criterion="entropy-whole", budget=2)
    pq.write_table(pa.table({"id": [0, 1], "entropy:grayscale-histogram": ["x", "y"]}), tmp_path / "words.parquet")
    with pytest.raises(UserError, match=r"column 'entropy:gray.*' of .* must hold numbers, got string"):
        select_from_scores(tmp_path / "words.parquet", criterion="entropy-whole", budget=1)
    pq.write_table(pq.read_table(path).slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(UserError, match="nothing to choose from: 'empty' has no images"):
        select_from_scores(tmp_path / "empty.parquet", criterion="entropy-whole", budget=1)
    with pytest.raises(UserError, match=r"`seed` must be a whole number, got 1\.5"):
        select_from_scores(path, criterion="random", budget=1, seed=1.5)


def test_scores_that_are_not_finite(tmp_path):
    path = write(tmp_path / "scores.parquet", [3.0, float("nan"), 2.0])
    with pytest.raises(UserError, match="is not finite for id 1"):
        select_from_scores(path, criterion="entropy-whole", budget=2)


def test_reading_keeps_no_more_than_a_batch_or_two(tmp_path):
    path, peak = tmp_path / "scores.parquet", 0
    rows = np.arange(2**22)
    table = pa.table({"id": rows, "entropy:grayscale-histogram": rows.astype(np.float64)})
    pq.write_table(table, path, row_group_size=2**18, compression="none", use_dictionary=False)
    del table
    before = pa.total_allocated_bytes()
    for _ in ScoreTable(path).batches("id", "entropy:grayscale-histogram"):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 2.5 * 2**20 * 16
