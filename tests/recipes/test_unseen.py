"""The packaged recipes that teach on other people's images."""

import pytest
import torch
import torch.nn.functional as F

from limbeck.objectives.functional import kd
from limbeck.recipes.reading import read_recipe


def test_the_published_loss_is_a_divergence_averaged_over_classes_too() -> None:
    """Which is a tenth of it for ten classes, and so a tenth of the learning rate without momentum and weight decay."""
    recipe = read_recipe("cifar10-unseen-published")
    assert recipe.objective == {"kd": {"weight": 0.1, "temperature": 10}}
    source = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(8, 10, generator=source) * 5 for _ in range(2))
    divergences = F.kl_div((student / 10).log_softmax(1), (teacher / 10).softmax(1), reduction="none")  # [8, 10]
    published = divergences.mean() * 10 * 10
    torch.testing.assert_close(0.1 * kd(student, teacher, temperature=10), published)
    training = recipe.training
    assert (training.optimizer, training.learning_rate, training.schedule) == ("sgd", 0.1, "constant")
    assert (training.momentum, training.weight_decay, training.epochs, training.batch_size) == (0, 0, 20, 64)


@pytest.mark.parametrize("name", ["cifar10-unseen", "cifar10-unseen-published"])
def test_no_image_of_the_task_is_taught_or_chosen_by(name: str) -> None:
    data = read_recipe(name).data
    assert data.train is not None
    assert (data.train.name, data.train.labels, data.validation) == ("cifar100", False, 2000)
