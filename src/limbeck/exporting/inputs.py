"""Images as an exported file takes them."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from limbeck.data.image_set import ImageSet
from limbeck.data.storage import in_levels
from limbeck.errors import UserError
from limbeck.exporting.settings import ExportSettings
from limbeck.models.classifier import Classifier, as_size

Shape = tuple[int, int, int]
_BATCH = 64


def input_shape(classifier: Classifier, settings: ExportSettings, images: ImageSet | None) -> Shape:
    """(C, H, W) of what the file takes.

    Raises:
        UserError: the size is not known, not that of the whitening, or another than the network's where images are
            normalised outside of the file, which then brings none to its size.
    """
    size = classifier.input_size if settings.size is None else as_size(settings.size)
    if size is not None and classifier.whitening is not None and size != classifier.input_size:
        raise UserError(
            f"`size` must be {list(classifier.whitening.shape[1:])}, of which the whitening of {classifier.name} is, "
            f"got {list(size)}."
        )
    own = classifier.input_size
    if not settings.inside and own is not None and size != own:
        raise UserError(
            f"`size` must be {list(own)}, that of {classifier.name}, or left out where `normalisation` "
            f"is 'outside', as the file then takes what the network does, got {settings.size}."
        )
    if size is None:
        if images is None:
            raise UserError(f"{classifier.name} takes images of any size; say which as `size`, or give `test` images.")
        size = images.shape[1:]
    return (classifier.channels, *size)


class FileInputs:
    """What student and file are shown, batch by batch.

    Args:
        classifier: the student.
        shape: (C, H, W) that the file takes.
        settings: how it takes them.
    """

    def __init__(self, classifier: Classifier, shape: Shape, settings: ExportSettings) -> None:
        self.classifier = classifier
        self.shape = shape
        self.settings = settings
        # Brings images to channels and size as the student does, and leaves them in [0, 1].
        self._plain = Classifier(
            nn.Identity(),
            num_classes=1,
            input_size=shape[1:],
            channels=shape[0],
            mean=(0.0,) * shape[0],
            std=(1.0,) * shape[0],
        )
        self._plain.name = classifier.name

    def batches(self, images: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
        """(what the student is shown, `[B, C, H, W]` in [0, 1] or uint8; what the file is), in order."""
        first, rest = torch.arange(len(images)).split([1, len(images) - 1])
        # The first image alone: a program traced with two may have fixed that there are several.
        for positions in (first, *(part for part in rest.split(_BATCH) if len(part))):
            pixels = images.floats(positions) if images.has_floats else images.gather(positions)
            yield self.both(pixels)

    def both(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            shown = pixels
            if tuple(pixels.shape[1:]) != self.shape or self.settings.input_type == "float32":
                shown = self._plain.prepare(pixels)
            if self.settings.input_type == "uint8" and shown.is_floating_point():
                shown = in_levels(shown)
            return shown, shown if self.settings.inside else self.classifier.prepare(shown)

    def example(self, images: ImageSet) -> Tensor:
        """Two images as the file takes them, to trace with."""
        first = torch.arange(2) % len(images)
        pixels = images.floats(first) if images.has_floats else images.gather(first)
        return self.both(pixels)[1].clone()  # no inference tensor, which tracing refuses
