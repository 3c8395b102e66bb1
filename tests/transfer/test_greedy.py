import pytest
import torch

from limbeck.transfer.greedy import herding, k_centre


def points(n: int = 60, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))


def test_k_centre_by_the_definition():
    features, chosen = points(), [0]
    for _ in range(11):
        distances = torch.cdist(features.double(), features[chosen].double()).amin(1)
        chosen.append(int(distances.argmax()))
    assert k_centre(features, 12).tolist() == chosen


def test_k_centre_covers_better_than_chance():
    features = points(400)
    cover = torch.cdist(features, features[k_centre(features, 40)]).amin(1).max()
    source = torch.Generator().manual_seed(0)
    for _ in range(20):
        chance = features[torch.randperm(400, generator=source)[:40]]
        assert cover < torch.cdist(features, chance).amin(1).max()


def test_herding_by_the_definition():
    features, chosen = points(30), []
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    for count in range(1, 9):
        away = [
            float((unit[[*chosen, row]].sum(0) / count - unit.mean(0)).norm()) if row not in chosen else torch.inf
            for row in range(30)
        ]
        chosen.append(min(range(30), key=lambda row: away[row]))
    assert herding(features, 8).tolist() == chosen


@pytest.mark.parametrize("choose", [k_centre, herding])
@pytest.mark.parametrize("features", [torch.zeros(7, 3), torch.ones(7, 3), points(7)])
def test_every_row_once_duplicates_or_not(choose, features):
    assert sorted(choose(features, 7).tolist()) == list(range(7))


@pytest.mark.parametrize("choose", [k_centre, herding])
def test_a_smaller_budget_is_the_start_of_a_larger_one(choose):
    assert torch.equal(choose(points(), 30)[:10], choose(points(), 10))
