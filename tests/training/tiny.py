"""A tiny problem: two kinds of stripes, learned in a few steps."""

from typing import Any

import torch

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier, create
from limbeck.training import TrainingSettings

CLASSES = ("rows", "columns")


def stripes(count: int, seed: int = 0) -> ImageSet:
    """Noisy stripes: horizontal ones are class 0, vertical ones class 1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    wave = (torch.arange(8) % 2 * 160).view(1, 1, 8)
    images = torch.where(labels.view(-1, 1, 1) == 0, wave.transpose(1, 2), wave).expand(count, 8, 8)
    noise = torch.randint(0, 90, (count, 8, 8), generator=generator)
    return ImageSet((images + noise).to(torch.uint8).unsqueeze(1), labels, classes=CLASSES)


def network(seed: int = 0, *, width: int = 4, classes: int = 2, norm: str = "batch") -> Classifier:
    """A network for the two named kinds of stripes, or for another number of classes without names."""
    names = CLASSES if classes == 2 else ()
    return create("convnet_d3", num_classes=classes, channels=1, seed=seed, classes=names, width=width, norm=norm)


def named(*names: str, seed: int = 0) -> Classifier:
    """A network whose classes have these names, in this order."""
    return create("convnet_d3", num_classes=len(names), channels=1, seed=seed, classes=names, width=4, norm="batch")


def turned(count: int, seed: int = 0) -> ImageSet:
    """The same stripes with their classes in the other order."""
    images = stripes(count, seed)
    assert images.labels is not None
    return images.with_labels(1 - images.labels, CLASSES[::-1])


def settings(**changes: Any) -> TrainingSettings:
    base = {"steps": 12, "batch_size": 8, "views": "pad-crop", "validations": 3, "checkpoint_seconds": 0}
    return TrainingSettings(**{**base, **changes})


def weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
