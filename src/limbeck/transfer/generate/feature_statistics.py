"""Statistics of a teacher's features on its own data, exported once by whoever holds it; they contain no image."""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher, check_batch_size, device_for
from limbeck.randomness import generator
from limbeck.transfer.generate.losses import Moments, batch_norm_distance
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.statistics import (
    BatchNormMoments,
    Place,
    batch_norms,
    places_of,
    running_moments,
)

_FORMAT = "limbeck feature statistics 1"
_BATCHES = 64  # at most, over which the floor is the mean


@dataclass(frozen=True)
class FeatureStatistics:
    """What the batch-norm loss compares images with, and its value on real images, below which less says nothing.

    Attributes:
        places: where features are read, L of them.
        wanted: moments there, L of them.
        floor: distance of real images there, the mean over batches of `batch_size`, [L].
        images: real ones that were looked at.
        batch_size: see `floor`.
        teacher: name of the network.
        weights: a hash of its weights.
    """

    places: tuple[Place, ...]
    wanted: tuple[Moments, ...]
    floor: Tensor
    images: int
    batch_size: int
    teacher: str
    weights: str

    def save(self, path: str | Path) -> None:
        """Writes a safetensors file of a few kilobytes, in one atomic step.

        Raises:
            UserError: no room, or no permission.
        """
        tensors = {"floor": self.floor}
        for index, moments in enumerate(self.wanted):
            tensors |= {f"mean.{index}": moments.mean.contiguous(), f"var.{index}": moments.var.contiguous()}
        fields = {"places": self.places, "images": self.images, "batch_size": self.batch_size}
        fields |= {"teacher": self.teacher, "weights": self.weights}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={"format": _FORMAT, "about": json.dumps(fields)})

    def check(self, classifier: Classifier) -> None:
        """Warns if the statistics are of other weights.

        Raises:
            UserError: they are of modules that the classifier does not have.
        """
        modules = dict(classifier.network.named_modules())
        unknown = [place.path for place in self.places if place.path not in modules]
        if unknown:
            raise UserError(
                f"the feature statistics are of {self.teacher}, and {classifier.name} has no module {unknown[0]!r}; "
                "export them for this teacher by `lb.export_statistics(teacher, images, path)`."
            )
        if self.weights != _weights_hash(classifier):
            warnings.warn(
                f"the feature statistics are of {self.teacher} with other weights than this {classifier.name} has "
                f"({self.weights}, {_weights_hash(classifier)}); images will resemble data that it may not know",
                stacklevel=3,
            )

    @classmethod
    def read(cls, path: str | Path) -> "FeatureStatistics":
        """Reads what `save` wrote.

        Raises:
            UserError: there is no such file, or it holds something else.
        """
        if not Path(path).is_file():
            raise UserError(
                f"there are no feature statistics at {str(path)!r}; whoever holds the teacher's data exports them by "
                "`lb.export_statistics(teacher, images, path)`."
            )
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise ValueError(f"its format is {metadata.get('format')!r}, and not {_FORMAT!r}")
                fields = json.loads(metadata["about"])
                places = tuple(Place(*place) for place in fields.pop("places"))
                pairs = (
                    [file.get_tensor(f"{name}.{index}") for name in Moments._fields] for index in range(len(places))
                )
                return cls(places, tuple(Moments(*pair) for pair in pairs), file.get_tensor("floor"), **fields)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the feature statistics {str(path)!r} cannot be read ({error}); export them anew by "
                "`lb.export_statistics(teacher, images, path)`."
            ) from error


def exported(settings: GenerateSettings) -> FeatureStatistics | None:
    """The statistics that the settings name; None where those of the teacher's batch norms are used.

    Raises:
        UserError: a file that is missing, or holds something else.

    Example:
        >>> exported(GenerateSettings(budget=10)) is None
        True
    """
    return None if settings.statistics is None else FeatureStatistics.read(settings.statistics)


def measure(
    classifier: Classifier,
    images: ImageSet,
    *,
    batch_size: int = 256,
    seed: int = 0,
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> FeatureStatistics:
    """Statistics of a teacher's features on images, each seen once and as it is.

    Those to compare with are what the teacher's batch norms remember; without batch norm, moments of all images.

    Args:
        classifier: the teacher.
        images: those that it was trained on, or others like them.
        batch_size: images of a batch that the floor is measured on: as many as are made at a time.
        seed: of the order in which batches are drawn.
        device: where the teacher computes.
        progress: called after every batch with the number of images in it.

    Raises:
        UserError: `batch_size` out of range, or features that cannot be read.

    Example:
        >>> statistics = measure(teacher, images, batch_size=50)
        >>> len(statistics.floor) == len(statistics.places)
        True
    """
    check_batch_size(batch_size)
    where = device_for(classifier, device)
    frozen = FrozenTeacher(classifier, device=where)
    reader = BatchNormMoments(frozen.classifier, _unmeasured(frozen.classifier, batch_size))
    order = torch.randperm(len(images), generator=generator(seed, "feature-statistics"))  # sets may be sorted by class
    first_batches: list[list[Moments]] = []
    sums: list[Tensor] = []
    with reader as moments:
        for positions in order.split(batch_size):
            frozen(images.gather(positions).to(where))
            batch_moments = [Moments(*(part.cpu().double() for part in layer)) for layer in moments.found]
            if len(first_batches) < _BATCHES and (len(positions) == batch_size or not first_batches):
                first_batches.append(batch_moments)
            powers = [torch.stack([layer.mean, layer.var + layer.mean**2]) * len(positions) for layer in batch_moments]
            sums = [old + new for old, new in zip(sums, powers, strict=True)] if sums else powers
            if progress is not None:
                progress(len(positions))
        places = tuple(moments.places[name] for name in moments.names)
    layers = batch_norms(classifier.network)
    averages = [total / len(images) for total in sums]
    pooled = [Moments(mean, (square - mean**2).clamp_min(0)) for mean, square in averages]
    wanted = [running_moments(layers[place.path]) for place in places] if layers else pooled
    wanted = [Moments(*(part.float().cpu().clone() for part in layer)) for layer in wanted]
    distances = [batch_norm_distance([_single(layer) for layer in batch], wanted) for batch in first_batches]
    floor = torch.stack(distances).mean(dim=0)
    weights = _weights_hash(classifier)
    return FeatureStatistics(places, tuple(wanted), floor, len(images), batch_size, classifier.name, weights)


def _single(moments: Moments) -> Moments:
    return Moments(moments.mean.float(), moments.var.float())


def _unmeasured(classifier: Classifier, batch_size: int) -> FeatureStatistics:
    """Where to measure, with no moments yet."""
    places = places_of(classifier)
    empty = tuple(Moments(torch.zeros(0), torch.zeros(0)) for _ in places)
    return FeatureStatistics(places, empty, torch.zeros(0), 0, batch_size, classifier.name, _weights_hash(classifier))


def _weights_hash(classifier: Classifier) -> str:
    """16 hex digits of names, shapes and values in float32, whatever their memory layout and device."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(classifier.network.state_dict().items()):
        if tensor.is_floating_point():
            digest.update(f"{name}{list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
