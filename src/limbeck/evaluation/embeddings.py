"""Embeddings of a frozen network, computed once and kept."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from limbeck.caching import cache_folder, cache_key
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.models.fingerprint import identify
from limbeck.models.forward import device_for, resolve_computing, whole_outputs
from limbeck.precision import Precision, check_precision

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

_VERSION = 1
Size = tuple[int, int]


def embeddings(
    classifier: "Classifier",
    images: "ImageSet",
    *,
    size: Size | None = None,
    batch_size: int = 500,
    precision: Precision = "fp32",
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Embeddings (input of the classifier head) of every image, in the order in which the set stores them.

    Args:
        classifier: runs in eval mode without gradients: neither weights nor batch-norm statistics change.
        images: any; classes and labels play no part.
        size: height and width that images are resized to first (bilinear with antialiasing); None leaves them.
        batch_size, precision, device, progress: as in `predict`.

    Returns:
        float32 `[N, D]` on the CPU.

    Raises:
        UserError: the classifier has no tap for its embedding, or one is not finite.

    Example:
        >>> embeddings(student, lb.load("digits", "test")).shape
        torch.Size([360, 8])
    """
    options = {"size": size, "batch_size": batch_size, "precision": precision, "device": device, "progress": progress}
    features = whole_outputs(classifier, images, ("embedding",), **options).embedding
    assert features is not None
    broken = ~features.isfinite().all(1)
    if broken.any():
        first = images.ids[broken.nonzero()[0]].item()
        raise UserError(
            f"the embeddings of {classifier.name} are not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look for NaN in its weights, or try precision 'fp32'."
        )
    return features


def cached_embeddings(
    classifier: "Classifier",
    images: "ImageSet",
    *,
    size: Size | None = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """`embeddings`, read from the cache folder if this network has seen these images before.

    Kept in `features/` of the cache folder (`LIMBECK_CACHE`) under a key of weights, architecture, normalisation,
    images, size and precision, with a hash of their content: a damaged file is computed again. Safe to delete. Networks
    that were made outside limbeck, or have code or attributes that it cannot vouch for, are always run.
    """
    check_precision(precision)
    if precision == "auto":  # the key holds the precision that "auto" stands for
        precision = resolve_computing(device_for(classifier, device), precision).precision
    compute = {"size": size, "precision": precision, "device": device, "progress": progress}
    identity = identify(classifier)
    if classifier.config is None or identity.unseen:
        return embeddings(classifier, images, **compute)
    key = cache_key("features", _VERSION, identity.fingerprint, classifier.config, images.fingerprint, size, precision)
    path = cache_folder() / "features" / f"{key}.safetensors"
    features = _read(path, len(images))
    if features is not None:
        return features
    features = embeddings(classifier, images, **compute)
    try:
        with atomic_path(path) as temporary:
            header = {"digest": _digest(features), "network": classifier.name, "images": images.name}
            safetensors.torch.save_file({"features": features}, temporary, metadata=header)
    except UserError as error:
        warnings.warn(f"embeddings are not cached: {error} (LIMBECK_CACHE names the folder)", stacklevel=2)
    return features


def _read(path: Path, count: int) -> Tensor | None:
    """The embeddings at `path`, None if there are none or they are damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            features, header = file.get_tensor("features"), file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    return features if len(features) == count and header.get("digest") == _digest(features) else None


def _digest(values: Tensor) -> str:
    return hashlib.blake2b(values.contiguous().numpy().data, digest_size=16).hexdigest()
