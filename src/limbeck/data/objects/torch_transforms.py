"""Torchvision transforms in a data set that limbeck does itself: normalisation, and random views."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.utils.data import ConcatDataset, Subset

from limbeck.errors import UserError

_RANDOM = {
    "AugMix",
    "AutoAugment",
    "ColorJitter",
    "CutMix",
    "ElasticTransform",
    "GaussianNoise",
    "MixUp",
    "RandAugment",
    "ScaleJitter",
    "TrivialAugmentWide",
}
"""Random transforms besides those whose names begin with "Random"."""


def check_transforms(dataset: Any) -> None:
    """Raises a UserError for torchvision transforms that normalise or are random."""
    for transform in _transforms(dataset):
        name = type(transform).__name__
        if type(transform).__module__.partition(".")[0] != "torchvision":
            continue
        if name == "Normalize":
            raise UserError(
                "`images` have `Normalize` in their transform; leave it out: networks normalise images themselves, "
                "each by its own mean and deviation."
            )
        if name.startswith("Random") or name in _RANDOM:
            raise UserError(random_advice(f"`images` have the random transform `{name}`"))


def random_advice(what: str) -> str:
    """The message about images that are drawn at random."""
    return (
        f"{what}; leave random transforms out, so that an image is the same whenever it is read: `views=` takes them, "
        "or limbeck's own (`limbeck ls views`), and draws of seed, epoch and id."
    )


def _transforms(dataset: Any) -> Iterator[Any]:
    """All transforms of images in a data set and those that it wraps, including nested ones."""
    if isinstance(dataset, Subset):
        yield from _transforms(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _transforms(part)
    waiting = [getattr(dataset, name, None) for name in ("transform", "transforms")]
    seen: set[int] = set()
    while waiting:
        transform = waiting.pop()
        if transform is None or id(transform) in seen:
            continue
        seen.add(id(transform))
        yield transform
        waiting += [getattr(transform, "transform", None)]
        inner = getattr(transform, "transforms", None)
        waiting += list(inner) if isinstance(inner, list | tuple) else []
        waiting += list(transform.children()) if isinstance(transform, nn.Module) else []
