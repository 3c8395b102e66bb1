import pytest
import torch
from torch import Tensor

from limbeck.evaluation.neighbours import nearest, neighbour_overlap, same_class_share


@pytest.fixture
def embedding() -> Tensor:
    return torch.randn(60, 8, generator=torch.Generator().manual_seed(0))


def test_nearest_equals_looking_at_every_pair(embedding: Tensor) -> None:
    neighbours = nearest(embedding, 5)
    for place, row in enumerate(embedding):
        distances = [(float((row - other).norm()), at) for at, other in enumerate(embedding) if at != place]
        assert neighbours[place].tolist() == [at for _, at in sorted(distances)[:5]]
    assert nearest(torch.zeros(4, 2), 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


def test_overlap_sees_neighbours_and_nothing_else(embedding: Tensor) -> None:
    rotation, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    assert neighbour_overlap(embedding, 7 * embedding @ rotation + 3) == 1.0
    assert neighbour_overlap(embedding, embedding, 59) == 1.0
    others = [torch.randn(60, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(2, 32)]
    mean = sum(neighbour_overlap(embedding, other) for other in others) / len(others)
    assert mean == pytest.approx(10 / 59, abs=0.02)


def test_share_of_the_same_class() -> None:
    labels = torch.arange(30) % 3
    separate = torch.nn.functional.one_hot(labels, 3) * 10 + torch.rand(
        30, 3, generator=torch.Generator().manual_seed(0)
    )
    assert same_class_share(separate, labels, 9) == 1.0
    assert same_class_share(separate, labels, 29) == pytest.approx(9 / 29)
    assert same_class_share(separate, (torch.arange(30) + labels) % 30, 9) < 1
