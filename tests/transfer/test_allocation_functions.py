import hypothesis.strategies as st
import torch
from hypothesis import given

from limbeck.transfer.allocation import ALLOCATIONS, rank, shares, top_n_per_group
from limbeck.transfer.criteria import ALLOCATIONS as ENTRIES

group_sizes = st.lists(st.integers(0, 30) | st.just(500), min_size=1, max_size=12).filter(any)


def test_every_name_is_there():
    assert ALLOCATIONS.keys() == ENTRIES.keys()


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


def test_rank_breaks_ties_by_id():
    scores, ids = torch.tensor([1.0, 2.0, 1.0, 2.0]), torch.tensor([40, 30, 20, 10])
    assert ids[rank(scores, ids, "highest")].tolist() == [10, 30, 20, 40]
    assert ids[rank(scores, ids, "lowest")].tolist() == [20, 40, 10, 30]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60), st.data())
def test_per_group_takes_the_best_of_every_group(rows, data):
    groups, scores = torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows]).double()
    n = data.draw(st.integers(0, len(rows)))
    ranking = rank(scores, torch.arange(len(rows)))
    chosen = top_n_per_group(ranking, n, groups).tolist()
    quotas = shares(n, torch.bincount(groups)).tolist()
    expected = [
        position
        for group, quota in enumerate(quotas)
        for position in [one for one in ranking.tolist() if groups[one] == group][:quota]
    ]
    assert sorted(chosen) == sorted(expected)
    assert chosen == [one for one in ranking.tolist() if one in set(chosen)], "the ranking's order is kept"
