"""The factors for the gradients of pixels: the numbers of the authors' code, and those of the formula."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import UserError
from limbeck.transfer.condense.mask import complexity, discriminative_mask

GOLDEN = Path(__file__).parents[2] / "golden" / "condense" / "discriminative_mask.npz"


@pytest.mark.parametrize(("name", "threshold"), [("mean", "mean"), ("half", 0.5)])
def test_numbers_of_the_reference_to_the_bit(name: str, threshold: float | str) -> None:
    stored = np.load(GOLDEN)
    beta = json.loads(str(stored["hp"]))["beta"]
    found = discriminative_mask(torch.from_numpy(stored["in.activation"]), threshold, beta)  # pyright: ignore[reportArgumentType]
    assert torch.equal(found, torch.from_numpy(stored[f"out.{name}"]))


def test_the_threshold_is_reached_by_what_equals_it_and_each_map_has_its_own_mean() -> None:
    maps = torch.tensor([[[0.5, 0.25], [0.5, 0.75]], [[0.0, 0.0], [0.0, 1.0]]])
    assert discriminative_mask(maps, 0.5, 2.0).tolist() == [[[2.5, 1.0], [2.5, 2.75]], [[1.0, 1.0], [1.0, 3.0]]]
    assert discriminative_mask(maps, "mean", 1.0).tolist() == [[[1.5, 1.0], [1.5, 1.75]], [[1.0, 1.0], [1.0, 2.0]]]


def test_a_threshold_of_zero_takes_in_all_and_maps_of_nothing_change_nothing() -> None:
    maps = torch.rand(2, 3, 3)
    assert torch.equal(discriminative_mask(maps, 0.0, 1.0), maps + 1)
    assert torch.equal(discriminative_mask(torch.zeros(2, 3, 3)), torch.ones(2, 3, 3))


def test_complexity_is_the_share_that_does_not_show_the_class() -> None:
    maps = torch.tensor([[[0.5, 0.4], [0.6, 1.0]], [[0.0, 0.0], [0.0, 1.0]]])
    assert complexity(maps).tolist() == [0.25, 0.75]
    assert complexity(maps, 1.0).tolist() == [0.75, 0.75]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.rand(2, 3), 0.5, 1.0), r"`maps` must be floating \[N, H, W\], got torch.float32 \[2, 3\]"),
        ((torch.ones(1, 2, 2, dtype=torch.int64), 0.5, 1.0), "got torch.int64"),
        ((torch.full((1, 2, 2), 1.5), 0.5, 1.0), r"`maps` must lie in \[0, 1\], got 1.5 to 1.5"),
        ((torch.full((1, 2, 2), torch.nan), 0.5, 1.0), r"`maps` must lie in \[0, 1\], got nan"),
        ((torch.rand(1, 2, 2), 1.5, 1.0), "`threshold` must be 'mean' or a number from 0 to 1, got 1.5"),
        ((torch.rand(1, 2, 2), "median", 1.0), "got 'median'"),
        ((torch.rand(1, 2, 2), 0.5, -1.0), "`beta` must be a finite number >= 0, got -1.0"),
    ],
)
def test_what_is_out_of_range_is_said(arguments: tuple, message: str) -> None:
    with pytest.raises(UserError, match=message):
        discriminative_mask(*arguments)


def test_complexity_wants_a_threshold_in_range() -> None:
    with pytest.raises(UserError, match="`threshold` must be a number from 0 to 1, got 2"):
        complexity(torch.rand(1, 2, 2), 2)
