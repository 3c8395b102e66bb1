"""Published weights that limbeck knows by name. torch is not imported until weights are read."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import UserError

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"


@dataclass(frozen=True)
class NamedWeights:
    """Weights somebody published.

    Attributes:
        model: name in the catalogue of models.
        file: its name carries the first hexadecimal digits of its SHA-256 after the last dash.
        url: where the file is.
        top1: accuracy on the data set's test images, a fraction.
        classes, mean, std: what the weights were trained with.
        size: pixels a side of the images that they were trained with.
    """

    model: str
    file: str
    url: str
    top1: float
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int

    @property
    def sha256_prefix(self) -> str:
        return self.file.rsplit("-", 1)[1].split(".")[0]


def _cifar10(depth: int, digits: str, top1: float) -> NamedWeights:
    file = f"resnet{depth}-{digits}.th"
    return NamedWeights(
        f"resnet{depth}_option_a", file, _AKAMASTER + file, top1, CIFAR10_CLASSES, IMAGENET_MEAN, IMAGENET_STD, 32
    )


NAMED = {
    "cifar10-resnet20": _cifar10(20, "12fca82f", 0.9173),
    "cifar10-resnet32": _cifar10(32, "d509ac18", 0.9263),
    "cifar10-resnet56": _cifar10(56, "4bfd9763", 0.9339),
}


def named_state(weights: NamedWeights) -> Mapping[str, Any]:
    """The tensors of published weights; the hash of their file is checked.

    Raises:
        UserError: the file has another hash, or it cannot be downloaded.
    """
    import torch  # late: names and addresses must not wait for it

    from limbeck.models.weights.read import read_state, unnest

    root = os.environ.get("LIMBECK_WEIGHTS")
    local = Path(root, weights.file) if root else None
    if local is not None and local.is_file():
        _check_hash(local, weights)
        return read_state(local)
    try:
        content = torch.hub.load_state_dict_from_url(
            weights.url, map_location="cpu", check_hash=True, weights_only=True, progress=False
        )
    except OSError as error:
        raise UserError(
            f"{weights.file} cannot be downloaded from {weights.url} ({error}); fetch it elsewhere, put it into a "
            "folder, and set the environment variable LIMBECK_WEIGHTS to that folder."
        ) from error
    except RuntimeError as error:
        raise UserError(f"{weights.file} from {weights.url} is not what was published ({error}).") from error
    return unnest(content, weights.file)


def _check_hash(path: Path, weights: NamedWeights) -> None:
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if not got.startswith(weights.sha256_prefix):
        raise UserError(
            f"{str(path)!r} is not what was published: its SHA-256 must start with {weights.sha256_prefix}, got "
            f"{got[:8]}; copy it again, or remove it to have it downloaded."
        )
