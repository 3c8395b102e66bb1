"""Whether a file answers as the student does, image by image."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from limbeck.data.classes import classes_of, match_classes
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError, first_line
from limbeck.evaluation.fidelity import agreement
from limbeck.evaluation.metrics import top_k_accuracy
from limbeck.exporting.inputs import FileInputs
from limbeck.exporting.traced import where_it_failed
from limbeck.models.classifier import Classifier

Answering = Callable[[Tensor], Tensor]
"""Logits `[B, K]` for what a file takes, `[B, C, H, W]`."""


class Checked:
    """Images with the student's logits, for comparison with those of a file.

    Args:
        student: in evaluation mode.
        images: with labels or without.
        inputs: converts them to what student and file take.

    Raises:
        UserError: a network that fails, with its line; logits that are not finite, or no logits `[B, K]`; labels of
            classes that the student does not know.
    """

    def __init__(self, student: Classifier, images: ImageSet, inputs: FileInputs) -> None:
        self.images = images
        self.inputs = inputs
        self.labels: Tensor | None = None
        if images.labels is not None:
            self.labels = match_classes(images, classes_of(student, "`student`"), stacklevel=5).labels
        with torch.inference_mode():
            self.logits = torch.cat([_logits(student, shown) for shown, _ in inputs.batches(images)]).float()
        if not self.logits.isfinite().all():
            raise UserError(
                f"the student's logits are not finite on images of {images.name!r}; look for NaN in its weights."
            )

    @property
    def accuracy(self) -> float | None:
        """Of the student, 0..1; None without labels."""
        return self._accuracy(self.logits)

    def logits_of(self, answering: Answering) -> Tensor:
        return torch.cat([answering(taken) for _, taken in self.inputs.batches(self.images)]).float()

    def compare(self, answering: Answering) -> dict[str, Any]:
        """Compares the logits of a file with the student's.

        Returns:
            `agreement`: share of the images of which both give the same class; `max_difference` of a logit; `top1` of
            the file, a share, or None without labels.
        """
        logits = self.logits_of(answering)
        if logits.shape != self.logits.shape:
            return {"agreement": 0.0, "max_difference": float("inf"), "top1": None}
        difference = (logits - self.logits).abs().max().item()
        return {
            "agreement": agreement(logits, self.logits),
            "max_difference": difference,
            "top1": self._accuracy(logits),
        }

    def allowed(self, tolerance: float) -> float:
        """The largest difference of a logit that passes for rounding, in units of logits."""
        return tolerance * max(1.0, self.logits.abs().max().item())

    def check(self, answering: Answering, tolerance: float, what: str) -> dict[str, Any]:
        """The result of `compare`, with the tolerance.

        Args:
            answering: of the file.
            tolerance: see `ExportSettings`.
            what: name of the file in messages.

        Raises:
            UserError: it disagrees with the student.
        """
        comparison, allowed = self.compare(answering), self.allowed(tolerance)
        if not comparison["max_difference"] <= allowed:  # also refuses NaN
            raise UserError(
                f"{what} and the student disagree: of {len(self.images):,} images of {self.images.name!r}, logits "
                f"differ by up to {comparison['max_difference']:.3g} ({allowed:.3g} allowed, `tolerance` {tolerance:g} "
                f"of the largest logit) and {comparison['agreement']:.2%} have the same class; nothing was written. A "
                "network that draws random numbers, or keeps something from image to image, cannot be exported; "
                "rounding alone may need a larger `tolerance`."
            )
        return {**comparison, "allowed": allowed, "tolerance": tolerance}

    def _accuracy(self, logits: Tensor) -> float | None:
        return None if self.labels is None else top_k_accuracy(logits, self.labels, 1)


def _logits(student: Classifier, shown: Tensor) -> Tensor:
    try:
        return student(shown).logits
    except UserError:
        raise
    except Exception as error:  # code from outside limbeck may raise anything
        message = first_line(error)
        images = f"{len(shown)} image{'s' if len(shown) > 1 else ''}"
        raise UserError(
            f"{student.name} cannot be exported: asked about {images}, it ends in {type(error).__name__}"
            f"{where_it_failed(error)}{f': {message}' if message else ''}. A file takes any number of "
            "images: code that fixes it, as `view(32, -1)` does, takes that of its input, as `view(images.shape[0], "
            "-1)`."
        ) from error
