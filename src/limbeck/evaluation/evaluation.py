"""Evaluation of a student: accuracy, calibration, and how closely it follows its teacher."""

import warnings
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from torch import Tensor

from limbeck.data.classes import class_places, classes_of, match_classes
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.evaluation import fidelity, metrics
from limbeck.evaluation.prediction import predict
from limbeck.precision import Precision

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier


class ComputingArguments(TypedDict, total=False):
    """How outputs are computed, see `predict`."""

    batch_size: int
    precision: Precision
    device: Device


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A student's metrics on `n` labelled images; every accuracy and agreement is a fraction in 0..1.

    Attributes:
        n: number of images.
        top1, top5: accuracy; `top5` is None below five classes.
        nll: mean negative log-likelihood in nats.
        ece: expected calibration error over 15 bins, 0..1.
        per_class: for every class {"class": name, "n": images, "top1": accuracy, None without images}.
        confusion: K rows (true class) of K counts (predicted class).
        fidelity: None without a teacher, else {"teacher_top1", "agreement", "divergence" in nats, "per_class": for
            every class {"class", "agreement", "divergence"}, both None without images}.

    Example:
        >>> evaluation = evaluate(student, test)
        >>> Evaluation.from_dict(evaluation.to_dict()) == evaluation
        True
    """

    n: int
    top1: float
    top5: float | None
    nll: float
    ece: float
    per_class: list[dict[str, Any]]
    confusion: list[list[int]]
    fidelity: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Evaluation":
        """The inverse of `to_dict`; raises UserError where a field is missing or unknown."""
        expected = {field.name for field in fields(cls)}
        if record.keys() != expected:
            missing, unknown = sorted(expected - record.keys()), sorted(record.keys() - expected)
            wrong = [f"{words} {names}" for words, names in (("lacks", missing), ("has unknown", unknown)) if names]
            raise UserError(f"an evaluation {' and '.join(wrong)}.")
        return cls(**record)


def evaluate(
    student: "Classifier",
    images: "ImageSet",
    *,
    teacher: "Classifier | None" = None,
    teacher_logits: Tensor | None = None,
    **computing: Unpack[ComputingArguments],
) -> Evaluation:
    """`limbeck.evaluate` for what is loaded already: a classifier, an image set, a teacher.

    Args:
        student: knows the classes of `images`, and may know more.
        images: labelled.
        teacher, teacher_logits: see `limbeck.evaluate`.
        computing: `batch_size`, `precision` and `device` as in `predict`.

    Example:
        >>> evaluation = evaluate(student, lb.load("digits", "test"), teacher=teacher)
        >>> evaluation.n, sorted(evaluation.fidelity)
        (360, ['agreement', 'divergence', 'per_class', 'teacher_top1'])
    """
    images, labels = _matched(student, images)
    places = _check_teacher(student, images, teacher, teacher_logits)
    logits = predict(student, images, **computing)
    if teacher is not None:
        teacher_logits = predict(teacher, images, **computing)[:, list(places)]
    return evaluate_logits(logits, labels, images.classes, teacher_logits)


def evaluate_logits(
    logits: Tensor, labels: Tensor, classes: tuple[str, ...], teacher_logits: Tensor | None = None
) -> Evaluation:
    """`evaluate` from logits: float `[N, K]` of student and teacher, labels int64 `[N]`, K class names (or none).

    Raises:
        UserError: numbers of logits, labels and classes that do not agree, or logits that are not finite.

    Example:
        >>> evaluate_logits(torch.eye(3), torch.tensor([0, 1, 1]), ("cat", "dog", "emu")).top1
        0.666...
    """
    names = list(classes) or [str(index) for index in range(logits.shape[1])]
    _check_logits(logits, labels, names, teacher_logits)
    confusion = metrics.confusion_matrix(logits, labels)
    counts, accuracies = confusion.sum(1).tolist(), metrics.per_class_accuracy(logits, labels)
    rows = zip(names, counts, _without_nan(accuracies), strict=True)
    return Evaluation(
        n=len(labels),
        top1=metrics.top_k_accuracy(logits, labels, 1),
        top5=metrics.top_k_accuracy(logits, labels, 5) if logits.shape[1] >= 5 else None,
        nll=metrics.negative_log_likelihood(logits, labels),
        ece=metrics.expected_calibration_error(logits, labels),
        per_class=[{"class": name, "n": n, "top1": top1} for name, n, top1 in rows],
        confusion=confusion.tolist(),
        fidelity=None if teacher_logits is None else _fidelity(logits, teacher_logits, labels, names),
    )


def _check_logits(logits: Tensor, labels: Tensor, names: list[str], teacher_logits: Tensor | None) -> None:
    images, classes = logits.shape
    if len(names) != classes:
        raise UserError(f"`classes` must be {classes} names, as logits have columns, got {len(names)}.")
    if labels.shape != (images,):
        raise UserError(f"`labels` must be [{images}], one for each row of logits, got {list(labels.shape)}.")
    if images and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(
            f"`labels` must be 0 to {classes - 1}, the columns of logits, got {int(labels.min())} to "
            f"{int(labels.max())}."
        )
    for name, given in (("logits", logits), ("teacher_logits", teacher_logits)):
        if given is not None and given.shape != logits.shape:
            raise UserError(f"`{name}` must be {list(logits.shape)}, as `logits`, got {list(given.shape)}.")
        if given is not None and not given.isfinite().all():
            raise UserError(f"`{name}` must be finite, got NaN or infinity in some rows.")


def _fidelity(student: Tensor, teacher: Tensor, labels: Tensor, names: list[str]) -> dict[str, Any]:
    agreements = _without_nan(fidelity.per_class_agreement(student, teacher, labels))
    divergences = _without_nan(fidelity.per_class_divergence(student, teacher, labels))
    rows = zip(names, agreements, divergences, strict=True)
    return {
        "teacher_top1": metrics.top_k_accuracy(teacher, labels, 1),
        "agreement": fidelity.agreement(student, teacher),
        "divergence": fidelity.divergence(student, teacher),
        "per_class": [{"class": name, "agreement": agreed, "divergence": nats} for name, agreed, nats in rows],
    }


def _without_nan(values: Tensor) -> list[float | None]:
    """NaN is not JSON; a class without images has no accuracy."""
    return [None if value != value else value for value in values.tolist()]


def _matched(student: "Classifier", images: "ImageSet") -> "tuple[ImageSet, Tensor]":
    """The images with labels renumbered as the student numbers its classes, and these labels."""
    if images.labels is None:
        raise UserError(
            f"`images` must be labelled to judge a student, got {images.name!r} without labels; choose others, or "
            "another split, or name their column of labels (`label_column`)."
        )
    matched = match_classes(images, classes_of(student, "`student`"), stacklevel=4)
    assert matched.labels is not None
    return matched, matched.labels


def _check_teacher(
    student: "Classifier", images: "ImageSet", teacher: "Classifier | None", teacher_logits: Tensor | None
) -> tuple[int, ...]:
    """The teacher's index of each of the student's classes, which are those of `images`; () without a teacher."""
    if teacher is not None and teacher_logits is not None:
        raise UserError("`teacher` and `teacher_logits` say the same thing; give one of them.")
    if teacher_logits is not None:
        expected = (len(images), student.num_classes)
        if tuple(teacher_logits.shape) != expected:
            got = tuple(teacher_logits.shape)
            raise UserError(f"`teacher_logits` must have shape {expected}, one row per image, got {got}.")
        if not teacher_logits.isfinite().all():
            raise UserError("`teacher_logits` must be finite, got NaN or infinity; look at the teacher's weights.")
    if teacher is None:
        return ()
    if teacher.num_classes != student.num_classes:
        raise UserError(
            f"`teacher` tells {teacher.num_classes} classes apart, but {images.name!r} has {images.num_classes} of the "
            f"student; give a teacher of the student's classes (`num_classes={student.num_classes}`)."
        )
    places, assumed = class_places(classes_of(images), classes_of(teacher, "`teacher`"))
    if assumed:
        warnings.warn(assumed, stacklevel=3)
    return places
