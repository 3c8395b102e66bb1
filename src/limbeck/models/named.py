"""Published weights that `limbeck` knows by name; torch is not imported here."""

from dataclasses import dataclass

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
    """

    model: str
    file: str
    url: str
    top1: float
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def sha256_prefix(self) -> str:
        return self.file.rsplit("-", 1)[1].split(".")[0]


def _cifar10(depth: int, digits: str, top1: float) -> NamedWeights:
    file = f"resnet{depth}-{digits}.th"
    return NamedWeights(
        f"resnet{depth}_option_a", file, _AKAMASTER + file, top1, CIFAR10_CLASSES, IMAGENET_MEAN, IMAGENET_STD
    )


NAMED = {
    "cifar10-resnet20": _cifar10(20, "12fca82f", 0.9173),
    "cifar10-resnet32": _cifar10(32, "d509ac18", 0.9263),
    "cifar10-resnet56": _cifar10(56, "4bfd9763", 0.9339),
}
