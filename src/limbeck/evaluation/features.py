"""Embeddings of a frozen network, computed once and kept."""

import hashlib
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional

from limbeck.caching import cache_folder, cache_key
from limbeck.errors import UserError
from limbeck.evaluation.prediction import Precision, check_pass, device_of, evaluating
from limbeck.files import atomic_path
from limbeck.models.fingerprint import identify
from limbeck.models.taps import Outputs

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

_VERSION = 1
Size = tuple[int, int]


def features(
    classifier: "Classifier",
    images: "ImageSet",
    *,
    size: Size | None = None,
    batch_size: int = 500,
    precision: Precision = "fp32",
    device: torch.device | str | None = None,
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
        UserError: the classifier has no tap for its embedding, or a feature is not finite.

    Example:
        >>> features(student, lb.load("digits", "test")).shape
        torch.Size([360, 8])
    """
    options = {"size": size, "batch_size": batch_size, "precision": precision, "device": device, "progress": progress}
    found = observe(classifier, images, ("embedding",), **options).embedding
    assert found is not None
    broken = ~found.isfinite().all(1)
    if broken.any():
        first = images.ids[broken.nonzero()[0]].item()
        raise UserError(
            f"the features of {classifier.name} are not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look for NaN in its weights, or try precision 'fp32'."
        )
    return found


def observe(
    classifier: "Classifier",
    images: "ImageSet",
    want: Collection[str] = ("logits", "embedding"),
    *,
    size: Size | None = None,
    batch_size: int = 500,
    precision: Precision = "fp32",
    device: torch.device | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Outputs:
    """Logits `[N, K]` and, if wanted, embeddings `[N, D]` of every image, float32 on the CPU; as `features` else."""
    check_pass(batch_size, precision)
    target = device_of(classifier) if device is None else torch.device(device)
    classifier.to(target)
    batches = []
    with evaluating(classifier), torch.inference_mode(), classifier.tapping(want):
        for _, pixels in images.batches(batch_size):
            pixels = pixels.to(target, memory_format=torch.channels_last, non_blocking=True)
            if size is not None and tuple(pixels.shape[-2:]) != size:
                pixels = functional.interpolate(pixels.float() / 255, size, mode="bilinear", antialias=True)
            with torch.autocast(target.type, torch.bfloat16, enabled=precision == "bf16"):
                outputs = classifier(pixels, want=want)
            batches.append(outputs.map(lambda values: values.float().cpu()))
            if progress is not None:
                progress(len(pixels))
    # Joined outside inference mode: callers may use them in autograd.
    logits = torch.cat([one.logits for one in batches])
    if "embedding" not in want:
        return Outputs(logits)
    return Outputs(logits, torch.cat([one.embedding for one in batches if one.embedding is not None]))


def kept_features(
    classifier: "Classifier",
    images: "ImageSet",
    *,
    size: Size | None = None,
    precision: Precision = "fp32",
    device: torch.device | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """`features`, read from the cache folder where this network saw these images before.

    Kept in `features/` of the cache folder (`LIMBECK_CACHE`) under a key of weights, architecture, normalisation,
    images, size and precision, with a hash of their content: a damaged file is computed again. Safe to delete. Networks
    that were made outside limbeck, or have code or attributes that it cannot vouch for, are always run.
    """
    compute = {"size": size, "precision": precision, "device": device, "progress": progress}
    identity = identify(classifier)
    if classifier.config is None or identity.unseen:
        return features(classifier, images, **compute)
    key = cache_key("features", _VERSION, identity.fingerprint, classifier.config, images.fingerprint, size, precision)
    path = cache_folder() / "features" / f"{key}.safetensors"
    found = _read(path, len(images))
    if found is not None:
        return found
    found = features(classifier, images, **compute)
    try:
        with atomic_path(path) as temporary:
            header = {"digest": _digest(found), "network": classifier.name, "images": images.name}
            safetensors.torch.save_file({"features": found}, temporary, metadata=header)
    except UserError as error:
        warnings.warn(f"features are not cached: {error} (LIMBECK_CACHE names the folder)", stacklevel=2)
    return found


def _read(path: Path, count: int) -> Tensor | None:
    """The features at `path`, None if there are none or they are damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            found, header = file.get_tensor("features"), file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    return found if len(found) == count and header.get("digest") == _digest(found) else None


def _digest(values: Tensor) -> str:
    return hashlib.blake2b(values.contiguous().numpy().data, digest_size=16).hexdigest()
