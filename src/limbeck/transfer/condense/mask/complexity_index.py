"""How complex images are: the share of each that does not show its class."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.errors import UserError
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of
from limbeck.models.weights.folder import as_classifier
from limbeck.progress import Progress, Silent
from limbeck.transfer.condense.mask.activation import Kind, layer_of, maps
from limbeck.transfer.condense.mask.classes import class_map
from limbeck.transfer.condense.mask.discriminative import check_maps


@dataclass(frozen=True)
class Complexity:
    """Comp-DD's complexity index of a set, from 0 to 1: high where the subject is small in rich surroundings.

    Attributes:
        images: float64 `[N]`, index of each image.
        per_class: class -> mean over its images; classes without images are left out.
        mean: over the classes.
    """

    images: Tensor
    per_class: dict[str, float]

    @property
    def mean(self) -> float:
        return sum(self.per_class.values()) / len(self.per_class)


def complexity(maps: Tensor, threshold: float = 0.5) -> Tensor:
    """For each map, 1 - the share of its pixels that reach the threshold.

    Args:
        maps: float `[N, H, W]` in [0, 1].
        threshold: in [0, 1].

    Returns:
        float64 `[N]`.

    Raises:
        UserError: maps or a threshold out of range.

    Example:
        >>> complexity(torch.tensor([[[0.0, 0.5], [0.4, 1.0]]]))
        tensor([0.5000], dtype=torch.float64)

    Source: Wang et al., "Emphasizing discriminative features for dataset distillation in complex scenarios", CVPR 2025.
    """
    check_maps(maps)
    if not 0 <= threshold <= 1:
        raise UserError(f"`threshold` must be a number from 0 to 1, got {threshold!r}.")
    return 1 - (maps >= threshold).double().mean(dim=(1, 2))


def image_complexity(
    images: ImagesLike,
    network: Classifier | str | Path,
    *,
    layer: str | None = None,
    kind: Kind = "grad-cam",
    threshold: float = 0.5,
    classes: Literal["own", "predicted"] = "own",
    enlarge: bool = True,
    seed: int = 0,
    by_name: bool = True,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Complexity:
    """The complexity index of images, by a network's activation maps for their own classes.

    The index of Comp-DD is of Smooth Grad-CAM++'s maps for the classes that an ImageNet ResNet-18 predicts, of 7x7
    pixels as its last stage has them, of images of 224 pixels: `kind="smooth-grad-cam++"`, `classes="predicted"` and
    `enlarge=False`. Its images are resized to squares whatever their shape, so that values still differ a little.

    Args:
        images: labelled, as `limbeck.load` takes them; of a name the training images.
        network: knows the classes by name, see `class_map`; or its weights by name or path, as "timm:resnet18.tv_in1k".
        layer, kind, seed: see `maps`.
        threshold: value from which on a pixel shows the class.
        classes: whose maps: those of the images' "own" classes, or of the ones that the network has "predicted".
        enlarge: whether shares are those of maps enlarged to the images' size, or of maps as the layer puts them out.
        by_name: see `class_map`; of "own" classes alone.
        batch_size: images per pass.
        progress: reports progress.

    Raises:
        UserError: images without labels; see `maps` and `class_map`.

    Example:
        >>> index = lb.image_complexity(test, teacher)
        >>> index.images.shape, len(index.per_class), 0 <= index.mean <= 1
        (torch.Size([100]), 10, True)
    """
    images, network = as_image_set(images, "train", "images"), as_classifier(network, "network")
    if images.labels is None:
        raise UserError(f"complexity is that of each class, and {images.name!r} has no labels.")
    if not 0 <= threshold <= 1:
        raise UserError(f"`threshold` must be a number from 0 to 1, got {threshold!r}.")
    if classes not in ("own", "predicted"):
        raise UserError(f"`classes` must be 'own' or 'predicted', got {classes!r}.")
    layer = layer_of(network, layer)
    targets = _targets(images, network, predicted=classes == "predicted", by_name=by_name)
    values = torch.empty(len(images), dtype=torch.float64)
    size = images.shape[1:] if enlarge else "layer"
    progress = progress or Silent()
    progress.begin(f"activation maps of {images.name}", len(images))
    for rows, pixels in images.batches(batch_size):
        inputs = network.prepare(pixels.to(device_of(network)))
        first = int(rows[0])
        seen = maps(network, layer, inputs, targets[rows], kind, seed, size=size, first=first, batch_size=batch_size)
        values[rows] = complexity(seen, threshold).cpu()
        progress.update(first + len(rows))
    progress.end()
    return Complexity(values, _per_class(values, images.labels, images.classes))


def _targets(images: ImageSet, network: Classifier, *, predicted: bool, by_name: bool) -> Tensor:
    """The class, among the network's, whose map each image has."""
    if predicted:
        return predict(network, images).argmax(1)
    assert images.labels is not None
    return class_map(images.classes, network, by_name=by_name)[images.labels]


def _per_class(values: Tensor, labels: Tensor, classes: tuple[str, ...]) -> dict[str, float]:
    counts = torch.bincount(labels, minlength=len(classes))
    sums = torch.zeros(len(classes), dtype=torch.float64).index_add_(0, labels, values)
    return {name: float(sums[k] / counts[k]) for k, name in enumerate(classes) if counts[k]}
