"""Recognising the images that a scoring began with, without reading all of them."""

import hashlib
from typing import TYPE_CHECKING

import torch

from limbeck.data.storage import image_digests

if TYPE_CHECKING:
    from limbeck.data import ImageSet

IDENTITY = "ids_and_labels"
"""Key under which a table of scores keeps the digest of its images' ids and labels, see `of_any_order`."""
SOME = 256
"""Images whose pixels are compared before scoring continues."""


def ids_and_labels(images: "ImageSet") -> str:
    """Digest of name, shape, ids and labels.

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
    """Digest of ids and labels, independent of the order in which the set stores them.

    Example:
        >>> of_any_order(images) == of_any_order(images.subset(images.ids.flip(0)))
        True
    """
    ids, labels = images.ids, images.labels
    if bool((ids[1:] < ids[:-1]).any()):  # skipped if sorted: sorting a hundred million takes a while
        order = ids.argsort()
        ids, labels = ids[order], None if labels is None else labels[order]
    digest = hashlib.blake2b(ids.contiguous().numpy().data, digest_size=8)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return digest.hexdigest()


def pixels_of(images: "ImageSet") -> str:
    """Digest of all pixels if they are decoded, else of some images spread over the set."""
    if images.is_decoded:
        return images.fingerprint
    digests = image_digests(images.gather(all_over(images)))
    return hashlib.blake2b(digests.numpy().tobytes(), digest_size=8).hexdigest()


def all_over(images: "ImageSet") -> torch.Tensor:
    """Positions int64 `[n]` of at most `SOME` images, evenly spread over the set."""
    return torch.linspace(0, len(images) - 1, min(SOME, len(images))).round().long().unique()


def seen(images: "ImageSet") -> str:
    """Digest of name, shape, ids, labels, and the pixels of the first and the last image."""
    ends = images.gather(torch.tensor([0, len(images) - 1]))
    return ids_and_labels(images) + image_digests(ends).numpy().tobytes().hex()
