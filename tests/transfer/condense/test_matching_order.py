import torch

from limbeck.transfer.condense.matching_order import batches_of, expert_of, start_of, start_range
from limbeck.transfer.condense.method_settings import Matching


def test_every_expert_is_matched_once_in_each_pass() -> None:
    order = [expert_of(iteration, 5, seed=3) for iteration in range(20)]
    passes = [order[place : place + 5] for place in range(0, 20, 5)]
    assert all(sorted(experts) == list(range(5)) for experts in passes)
    assert len({tuple(experts) for experts in passes}) > 1
    assert order != [expert_of(iteration, 5, seed=4) for iteration in range(20)]


def test_the_range_of_starts_grows_steadily_to_its_end() -> None:
    # DATM's CIFAR-10 at 50 images per class: 0..20>40/2000.
    matching = Matching(start_to=20, grow_to=40, grow_until=2000)
    assert start_range(0, matching) == range(20)
    assert start_range(99, matching) == range(20)
    assert start_range(100, matching) == range(21)
    assert start_range(1999, matching) == range(39)
    assert start_range(2000, matching) == start_range(9999, matching) == range(40)
    assert start_range(500, Matching(start_from=20, start_to=70)) == range(20, 70)


def test_starts_are_uniform_in_their_range() -> None:
    matching = Matching(start_from=2, start_to=6)
    starts = torch.tensor([start_of(iteration, matching, seed=0) for iteration in range(400)])
    assert torch.bincount(starts, minlength=7)[2:6].min() > 70
    assert starts.min() == 2
    assert starts.max() == 5


def test_batches_are_a_random_order_used_from_its_end() -> None:
    matching = Matching(synthetic_steps=7, batch=4)
    batches = batches_of(10, matching, iteration=5, seed=0)
    assert [len(rows) for rows in batches] == [2, 4, 4, 2, 4, 4, 2]
    for first in (0, 3):
        assert torch.cat(batches[first : first + 3]).sort().values.tolist() == list(range(10))
    again = batches_of(10, matching, iteration=5, seed=0)
    assert all(torch.equal(batch, repeated) for batch, repeated in zip(batches, again, strict=True))
    assert not torch.equal(batches[1], batches_of(10, matching, iteration=6, seed=0)[1])


def test_a_batch_of_all_or_more_is_the_whole_set_in_every_step() -> None:
    for batch in (None, 6, 100):
        batches = batches_of(6, Matching(synthetic_steps=3, batch=batch), iteration=0, seed=0)
        assert all(rows.sort().values.tolist() == list(range(6)) for rows in batches)
        assert not torch.equal(batches[0], batches[1])
