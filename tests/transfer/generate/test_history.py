"""The table of rounds comes back from its file as it was, also where values in it are unknown."""

import math
from pathlib import Path

import pytest
import torch

from limbeck.transfer.generate.diversity import distinct_count, within_class_spread
from limbeck.transfer.generate.history import Round
from limbeck.transfer.generate.history_file import HistoryFile


def test_it_comes_back(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path)
    history.append(Round(number=0, made=64, held=64, distinct=60, counts=[30, 34], layers=[1.5, 0.25], seconds=0.5))
    first, later = {"one_hot": 0.25}, {"one_hot": 0.125, "adversarial": -1.0}
    history.append(Round(number=1, made=64, held=120, removed=8, counts=torch.tensor([60, 60]), losses=first))
    history.append(Round(number=2, made=0, held=120, losses=later, obtained=0.5, agreement=0.75, distillation=2.0))
    again = HistoryFile(tmp_path)
    again.go_back(3)
    rounds = again.read()
    assert [row.losses for row in rounds] == [{}, first, later]
    assert [row.obtained for row in rounds] == [None, None, 0.5]
    assert [torch.as_tensor(row.counts).tolist() for row in rounds] == [[30, 34], [60, 60], []]
    assert [torch.as_tensor(row.layers).tolist() for row in rounds] == [[1.5, 0.25], [], []]
    assert rounds[1:][0].removed == 8
    assert rounds.column("held") == [64, 120, 120]
    assert math.isnan(rounds.column("adversarial")[0])
    assert rounds.column("adversarial")[2] == -1.0
    assert rounds.losses == ["one_hot", "adversarial"]


def test_none_comes_back(tmp_path: Path) -> None:
    assert len(HistoryFile(tmp_path).read()) == 0


def test_near_duplicates_count_once() -> None:
    base = torch.randint(0, 250, (5, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert distinct_count(base) == 5
    assert distinct_count(torch.cat([base, base + 2])) == 5
    assert distinct_count(torch.cat([base, base + 3])) == 10
    assert distinct_count(torch.cat([base, base + 2]), tolerance=0) == 10
    assert distinct_count(base[:0]) == 0


def test_of_large_images_some_pixels_are_compared() -> None:
    images = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    images[1] = 100
    assert distinct_count(images) == 2
    assert distinct_count(images * 0) == 1


def test_spread_is_that_within_classes_whatever_the_scale() -> None:
    embedding = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 7.0], [0.0, 7.0], [9.0, 9.0]])
    labels = torch.tensor([0, 0, 1, 1, 2])
    spread = within_class_spread(embedding, labels)
    assert spread == pytest.approx(math.sqrt(2 / (1 + 9 + 49 + 49)))
    assert within_class_spread(embedding * 100, labels) == pytest.approx(spread)
    assert within_class_spread(embedding, torch.arange(5)) is None
    assert within_class_spread(embedding * 0, labels) is None
