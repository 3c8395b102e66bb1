"""Recognising the images that a scoring began with, without reading all of them."""

import hashlib
import json
from typing import TYPE_CHECKING

import torch

from limbeck.data.storage import image_digests

if TYPE_CHECKING:
    from limbeck.data import ImageSet

IDENTITY = "ids_and_labels"
"""Key under which a table of scores keeps the digest of its images' ids and labels, see `of_any_order`."""
CONTENT = "content"
"""Key under which a table of scores keeps what its images were read from, see `content_of`."""
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
    """Digest of all pixels if they are decoded, else of some images spread over the set, and of its files' stamps."""
    if images.is_decoded:
        return images.fingerprint
    sample = image_digests(images.gather(all_over(images)))
    digest = hashlib.blake2b(sample.numpy().tobytes(), digest_size=8)
    if files := _files(images):
        digest.update(json.dumps(files).encode())
    return digest.hexdigest()


def content_of(images: "ImageSet") -> dict[str, str]:
    """Digests of the content, independent of the order in which the set stores it; only equal keys are comparable.

    Of decoded images it is of all pixels ("pixels"). Of encoded ones it is of the sizes and modification times of
    their files ("files"), so that a folder may be moved, or copied with its times; empty if they come from no files.

    Example:
        >>> content_of(images) == content_of(images.subset(images.ids.flip(0)))
        True
    """
    if images.is_decoded:
        digests = images.digests()[images.ids.argsort()]
        return {"pixels": hashlib.blake2b(digests.numpy().tobytes(), digest_size=8).hexdigest()}
    # Without path and change time, which a copy does not keep.
    files = [file[1:3] for file in _files(images)]
    return {"files": hashlib.blake2b(json.dumps(files).encode(), digest_size=8).hexdigest()} if files else {}


def _files(images: "ImageSet") -> list[list[object]]:
    """See `file_stamps`; names of other origins, which a stamp may hold, too, may be drawn anew in each process."""
    return [entry for entry in images.storage.stamp() or [] if isinstance(entry, list)]


def all_over(images: "ImageSet") -> torch.Tensor:
    """Positions int64 `[n]` of at most `SOME` images, evenly spread over the set."""
    return torch.linspace(0, len(images) - 1, min(SOME, len(images))).round().long().unique()


def seen(images: "ImageSet") -> str:
    """Digest of name, shape, ids, labels, and the pixels of the first and the last image."""
    ends = images.gather(torch.tensor([0, len(images) - 1]))
    return ids_and_labels(images) + image_digests(ends).numpy().tobytes().hex()
