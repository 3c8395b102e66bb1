"""Whether images are those that a scoring began with, without reading all of them."""

import hashlib
from typing import TYPE_CHECKING

import torch

from limbeck.data.storage import image_digests

if TYPE_CHECKING:
    from limbeck.data import ImageSet

IDENTITY = "ids_and_labels"
"""What a table of scores calls the ids and labels of its images, see `of_any_order`."""
SOME = 256
"""Images that are looked at before scoring goes on, to see whether their pixels are those it began with."""


def ids_and_labels(images: "ImageSet") -> str:
    """Stands for name, shape, ids and labels.

    Example:
        >>> ids_and_labels(images) == ids_and_labels(images.subset(images.ids))
        True
    """
    digest = hashlib.blake2b(repr((images.name, images.shape)).encode(), digest_size=8)
    digest.update(images.ids.contiguous().numpy().data)
    if images.labels is not None:
        digest.update(images.labels.contiguous().numpy().data)
    return digest.hexdigest()


def of_any_order(images: "ImageSet") -> str:
    """Stands for ids and labels, in whatever order the set stores them.

    Example:
        >>> of_any_order(images) == of_any_order(images.subset(images.ids.flip(0)))
        True
    """
    ids, labels = images.ids, images.labels
    if bool((ids[1:] < ids[:-1]).any()):  # sorting a hundred million takes its time
        order = ids.argsort()
        ids, labels = ids[order], None if labels is None else labels[order]
    digest = hashlib.blake2b(ids.contiguous().numpy().data, digest_size=8)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return digest.hexdigest()


def pixels_of(images: "ImageSet") -> str:
    """Stands for all pixels where they need no decoding, else for those of some images all over the set."""
    if images.is_decoded:
        return images.fingerprint
    digests = image_digests(images.gather(all_over(images)))
    return hashlib.blake2b(digests.numpy().tobytes(), digest_size=8).hexdigest()


def all_over(images: "ImageSet") -> torch.Tensor:
    """Positions int64 `[n]` of some images all over the set, of all where they are at most `SOME`."""
    return torch.linspace(0, len(images) - 1, min(SOME, len(images))).round().long().unique()


def seen(images: "ImageSet") -> str:
    """Stands for name, shape, ids, labels, and the pixels of the first and the last image."""
    ends = images.gather(torch.tensor([0, len(images) - 1]))
    return ids_and_labels(images) + image_digests(ends).numpy().tobytes().hex()
