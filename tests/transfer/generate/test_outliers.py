import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.neighbors import LocalOutlierFactor

from limbeck.transfer.generate.neighbours import NeighbourLists
from limbeck.transfer.generate.outliers import outlier_factors

COUNT = 10


def scikit_learn(embeddings: np.ndarray, count: int = COUNT, algorithm: str = "kd_tree") -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer images than neighbours, and equal ones
        return LocalOutlierFactor(n_neighbors=count, algorithm=algorithm).fit(embeddings).negative_outlier_factor_


def nearest(embeddings: np.ndarray, count: int) -> np.ndarray:
    """By the definition; of equally near neighbours the first."""
    difference = embeddings[:, None].astype(np.float64) - embeddings[None]
    distances = np.sqrt(np.square(difference).sum(-1))
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, : min(count, len(embeddings) - 1)]


def embedded(kind: str, seed: int, count: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, width)) * 3
    if kind == "twins":
        values = values[random.integers(0, max(1, count // 4), size=count)]
    elif kind == "grid":
        values = random.integers(0, 3, size=(count, width))
    elif kind == "constant":
        values = np.full((count, width), 1.7)
    elif kind == "shifted":
        values = values / 50 + 900
    elif kind == "flat":
        values[:, 1:] = 0.3
    return values.astype(np.float32)


steps = st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1), st.booleans()), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["normal", "twins", "grid", "constant", "shifted", "flat"]),
    st.integers(0, 99),
    st.sampled_from([1, 3, 16, 40]),
    st.sampled_from([1, 4, 10]),
    steps,
)
def test_updates_are_what_a_new_search_is(kind: str, seed: int, width: int, count: int, rounds) -> None:
    embeddings = embedded(kind, seed, 200, width)
    random = np.random.default_rng(seed)
    lists = NeighbourLists(count)
    rows, total = np.empty(0, np.int64), 0
    for added, share, resumed in rounds:
        rows = rows[random.random(len(rows)) >= share / 2]
        rows = np.concatenate([rows, np.arange(total, total + added)])
        total += added
        if resumed:
            state, lists = lists.state_dict(), NeighbourLists(count)
            lists.load_state_dict(state)
        lists.update(rows, embeddings.__getitem__)
        assert np.array_equal(lists.rows, rows)
        if len(rows) > 1:
            expected = nearest(embeddings[rows], count)
            assert np.array_equal(lists.places[:, : expected.shape[1]], expected)
        factors = outlier_factors(lists)
        whole = NeighbourLists(count)
        whole.update(rows, embeddings.__getitem__)
        assert np.array_equal(factors, outlier_factors(whole)), "the same to the bit, whatever happened before"
        tied = kind == "grid" or (kind == "shifted" and width == 1)  # any of several may be a neighbour
        if len(rows) > 1 and not tied:
            np.testing.assert_allclose(factors, scikit_learn(embeddings[rows], count), rtol=1e-6)
            if kind == "normal":  # else its matrix products cancel
                np.testing.assert_allclose(factors, scikit_learn(embeddings[rows], count, "brute"), rtol=1e-6)


@pytest.mark.parametrize("width", [3, 16, 200])
def test_it_is_scikit_learns_to_the_bit(width: int) -> None:
    embeddings = embedded("normal", 0, 400, width)
    lists = NeighbourLists(COUNT)
    for end in (15, 16, 300):
        lists.update(np.arange(end), embeddings.__getitem__)
    rows = np.setdiff1d(np.arange(400), [3, 14, 15, 16, 170, 299])
    lists.update(rows, embeddings.__getitem__)
    assert np.array_equal(outlier_factors(lists), scikit_learn(embeddings[rows]))
    np.testing.assert_allclose(outlier_factors(lists), scikit_learn(embeddings[rows], algorithm="auto"), rtol=1e-6)


def test_few_images() -> None:
    embeddings = embedded("normal", 1, 20, 8)
    lists = NeighbourLists(COUNT)
    lists.update(np.empty(0, np.int64), embeddings.__getitem__)
    assert outlier_factors(lists).shape == (0,)
    lists.update(np.arange(1), embeddings.__getitem__)
    assert outlier_factors(lists).tolist() == [-1]
    for end in (2, 7, 10, 11, 12):
        lists.update(np.arange(end), embeddings.__getitem__)
        np.testing.assert_allclose(outlier_factors(lists), scikit_learn(embeddings[:end]), rtol=1e-6)


def test_equal_images_beyond_the_neighbours_are_nothing_apart() -> None:
    embeddings = embedded("normal", 2, 60, 512)
    embeddings[30:50] = embeddings[30]
    lists = NeighbourLists(COUNT)
    for end in (35, 60):
        lists.update(np.arange(end), embeddings.__getitem__)
    assert lists.distances[30:50, :COUNT].max() == 0
    assert np.array_equal(outlier_factors(lists), scikit_learn(embeddings))


def test_one_that_came_back_is_found_again() -> None:
    embeddings = embedded("normal", 3, 60, 16)
    lists = NeighbourLists(COUNT)
    for rows in (np.arange(50), np.arange(5, 50), np.arange(0, 60)):
        lists.update(rows, embeddings.__getitem__)
    assert np.array_equal(lists.places[:, :COUNT], nearest(embeddings, COUNT))


def test_an_update_reads_what_there_is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = embedded("normal", 4, 3000, 8)
    read: list[int] = []

    def counted(rows: np.ndarray) -> np.ndarray:
        read.append(len(rows))
        return embeddings[rows]

    lists = NeighbourLists(COUNT)
    lists.update(np.arange(2000), counted)
    read.clear()
    lists.update(np.arange(2020), counted)
    assert sum(read) < 2020 + 20 + 4 * 20 * 4 * COUNT
