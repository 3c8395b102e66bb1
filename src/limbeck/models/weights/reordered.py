"""Classifiers with their classes in another order."""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.data.classes import class_places, classes_of, few
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier


def reordered(classifier: Classifier, places: Sequence[int], classes: Sequence[str], example: Tensor) -> Classifier:
    """A copy that numbers its classes differently: the rows of its last layer are permuted.

    Args:
        classifier: of K classes.
        places: class i moves to `places[i]`, a permutation of 0..K-1.
        classes: the names in the new order.
        example: any image that it takes, uint8 [1, C, H, W], to check the result.

    Raises:
        UserError: its last layer is unknown, or what follows it mixes the classes.
    """
    order = torch.tensor(places).argsort().tolist()
    renumbered = copy.deepcopy(classifier)
    if order == list(range(len(order))):
        renumbered.classes = tuple(classes)
        return renumbered
    layer = renumbered.network.get_submodule(renumbered.taps.embedding) if renumbered.taps.embedding else None
    if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.shape[0] == len(order):
        with torch.no_grad():
            layer.weight.copy_(layer.weight[order])
            if layer.bias is not None:
                layer.bias.copy_(layer.bias[order])
        renumbered.classes = tuple(classes)
        if torch.allclose(_answer(renumbered, example), _answer(classifier, example)[:, order], atol=1e-4):
            return renumbered
    current = few([classes[place] for place in places])
    raise UserError(
        f"{classifier.name} numbers its classes as {current}, and they are needed as {few(classes)}, but which of its "
        "layers is the last is not known, so they cannot be moved. Give the path of that layer as `embedding` of "
        "`lb.wrap`, or a student that numbers the classes likewise."
    )


def numbered_as(classifier: Classifier, images: ImageSet, owner: str) -> Classifier:
    """The classifier with its classes, found by name, numbered as those of the images; unchanged where they are.

    Where names of one are mere numbers a warning says what is assumed. Without names on either side it is unchanged.

    Args:
        classifier: of as many classes.
        images: at least one.
        owner: what messages call the classifier.

    Raises:
        UserError: classes of other names; see `reordered`.
    """
    if not images.classes or not classifier.classes:
        return classifier
    places, assumed = class_places(classes_of(classifier, owner), classes_of(images))
    if assumed:
        warnings.warn(assumed, stacklevel=3)
    if places == tuple(range(len(places))):
        return classifier
    return reordered(classifier, places, images.classes, images.gather(torch.zeros(1, dtype=torch.int64)))


@torch.no_grad()
def _answer(classifier: Classifier, example: Tensor) -> Tensor:
    device = classifier.mean.device
    return copy.deepcopy(classifier).eval()(example.to(device)).logits.float()
