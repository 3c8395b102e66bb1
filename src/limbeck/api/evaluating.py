"""`evaluate` from Python, on objects or on names."""

import warnings
from pathlib import Path

from torch import Tensor

from limbeck.api.named_images import evaluation_images
from limbeck.api.objects import network_of
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.device import Device
from limbeck.evaluation.evaluation import Evaluation
from limbeck.evaluation.evaluation import evaluate as evaluate_loaded
from limbeck.models.classifier import Classifier
from limbeck.models.weights.record import taught_size_of
from limbeck.precision import Precision
from limbeck.recipes.image_sizes import size_for_network


def evaluate(
    student: Classifier | str | Path,
    images: ImagesLike,
    *,
    teacher: Classifier | str | Path | None = None,
    teacher_logits: Tensor | None = None,
    batch_size: int = 500,
    precision: Precision = "fp32",
    device: Device = "auto",
) -> Evaluation:
    """Accuracy, likelihood, calibration and confusion of `student` on `images`, and its fidelity to a teacher.

    Classes are found by name, in whatever order images and teacher number them; the metrics number them as the student
    does. Where one side has no names, they are taken in their order, with a warning.

    Args:
        student: classifier that knows the classes of `images`, and may know more; or whatever `load_model` takes.
        images: labelled; or by name, see `limbeck.load`: those for testing, else for validation, which a warning says,
            else all of a folder without splits; of the very folder that a run learned from, those that it held out,
            loaded as its recipe says. By name, those of several sizes, or of another aspect, are brought to
            what the student takes.
        teacher: classifier with the student's classes, to measure fidelity against, likewise.
        teacher_logits: instead of `teacher`, its logits on these very images, float `[N, K]`, in the student's order of
            classes.
        batch_size: images at a time.
        precision: "fp32", "bf16" or "auto".
        device: where to compute, as "cpu", "cuda" or "auto".

    Raises:
        UserError: images of classes that the student does not know, a teacher of others, labels are missing, or logits
            are not finite.

    Example:
        >>> evaluation = lb.evaluate(student, "digits", teacher=teacher)
        >>> evaluation.n, sorted(evaluation.fidelity)
        (360, ['agreement', 'divergence', 'per_class', 'teacher_top1'])
    """
    network = network_of(student, "student")
    name = student if isinstance(student, str | Path) else None
    if isinstance(images, str | Path):
        images = evaluation_images(images, size_for_network(network, name), name)
    image_set = as_image_set(images, "test", "images")
    _warn_of_size(image_set, network, taught_size_of(name))
    return evaluate_loaded(
        network,
        image_set,
        teacher=None if teacher is None else network_of(teacher, "teacher"),
        teacher_logits=teacher_logits,
        batch_size=batch_size,
        precision=precision,
        device=device,
    )


def _warn_of_size(images: ImageSet, network: Classifier, taught: tuple[int, int] | None) -> None:
    """Warns where a network that takes any size was taught with another one."""
    if taught is not None and network.input_size is None and images.shape[1:] != taught:
        warnings.warn(
            f"images of {images.name!r} are {images.shape[1]}x{images.shape[2]}, and the student was taught with "
            f"{taught[0]}x{taught[1]}; `lb.load(..., size={taught})` brings them to that.",
            stacklevel=3,
        )
