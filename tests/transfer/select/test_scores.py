import math

import pytest
import torch

from limbeck.transfer.select.catalogue import SCORES as ENTRIES
from limbeck.transfer.select.scores import SCORES, About, entropy, random

NOTHING = torch.empty(10_000, 0)


def draw(seed: int) -> torch.Tensor:
    return random(NOTHING, About(torch.arange(10_000), None, seed))


def test_every_name_is_there():
    assert SCORES.keys() == ENTRIES.keys()


def test_entropy_by_hand():
    rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    assert entropy(rows).tolist() == pytest.approx([0, math.log(2), math.log(4)])


def test_random_depends_on_id_and_seed_alone():
    ids = torch.tensor([3, 5, 9])
    forward = random(NOTHING[:3], About(ids, None, 0))
    backward = random(NOTHING[:3], About(ids.flip(0), torch.tensor([1, 1, 0]), 0))
    assert torch.equal(forward, backward.flip(0))
    assert not torch.equal(draw(0), draw(1))


def test_random_is_uniform():
    values = draw(7)
    assert 0 <= values.min() <= values.max() < 1
    assert len(values.unique()) == len(values)
    counts = torch.histc(values, bins=20, min=0, max=1)
    assert ((counts - 500).square() / 500).sum() < 44  # chi squared, 19 degrees of freedom, p = 0.001
