import hypothesis.strategies as st
import pyarrow as pa
import torch
from hypothesis import given
from tests.transfer.conftest import ranked

from limbeck.transfer.allocation import shares
from limbeck.transfer.choice import allocate
from limbeck.transfer.part_entries import function_of
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.select import Criterion

group_sizes = st.lists(st.integers(0, 30) | st.just(500), min_size=1, max_size=12).filter(any)


def test_every_part_has_its_function():
    functions = [entry.function for family in (ALLOCATIONS, REPRESENTATIONS) for entry in family.values()]
    functions += [function for entry in SCORES.values() for function in entry.functions.values()]
    assert functions.count("") == 1, "of what reads nothing"
    assert all(callable(function_of(function)) for function in functions if function)


@given(group_sizes, st.data())
def test_shares_are_exact_and_as_equal_as_sizes_allow(sizes, data):
    n = data.draw(st.integers(0, sum(sizes)))
    quotas = shares(n, torch.tensor(sizes)).tolist()
    assert sum(quotas) == n
    assert all(0 <= quota <= size for quota, size in zip(quotas, sizes, strict=True))
    not_used_up = [quota for quota, size in zip(quotas, sizes, strict=True) if quota < size]
    if not_used_up:
        assert max(quotas) - min(not_used_up) <= 1


def test_what_is_left_over_goes_to_the_first_groups():
    assert shares(8, torch.tensor([5, 5, 5])).tolist() == [3, 3, 2]
    assert shares(8, torch.tensor([1, 5, 0, 5])).tolist() == [1, 4, 0, 3]


def test_ties_go_by_id():
    scores, ids = torch.tensor([1.0, 2.0, 1.0, 2.0]), torch.tensor([40, 30, 20, 10])
    assert ranked(scores, ids, "highest") == [10, 30, 20, 40]
    assert ranked(scores, ids, "lowest") == [20, 40, 10, 30]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60), st.data())
def test_per_group_takes_the_best_of_every_group(rows, data):
    groups, scores = torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows]).double()
    n = data.draw(st.integers(len(groups.unique()), len(rows)))
    criterion = Criterion(score="variance")
    columns = {"id": torch.arange(len(rows)), "group": groups, criterion.column: scores}
    table = ScoreTable(pa.table({name: column.numpy() for name, column in columns.items()}))
    chosen = allocate(table, criterion, n, balance="group").ids.tolist()
    ranking = ranked(scores, torch.arange(len(rows)))
    quotas = shares(n, torch.bincount(groups)).tolist()
    expected = [
        position
        for group, quota in enumerate(quotas)
        for position in [row for row in ranking if groups[row] == group][:quota]
    ]
    assert sorted(chosen) == sorted(expected)
    assert chosen == [row for row in ranking if row in set(chosen)], "the ranking's order is kept"
