"""Brings the classes of a run's images, teacher and student into the same order."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch

from limbeck.data.classes import Classes, class_places, classes_of, joint_names, match_classes, place_labels
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.weights.reordered import reordered
from limbeck.recipes.inputs import Inputs


def match_images(inputs: Inputs, teacher: Classifier | None) -> Inputs:
    """The images with their classes numbered as by the teacher, or else as by the training images.

    Unlabelled training images take over the teacher's classes; a teacher without class names is assumed to have those
    of the images, with a warning.

    Raises:
        UserError: training or test images have other classes; the classes of unlabelled images are unknown.
    """
    train, test, validation = inputs.train, inputs.test, inputs.validation
    target = _known(inputs, teacher)
    if train is None:
        return _match_to_teacher(inputs, target, teacher)
    pool = _match_training(train, target, teacher)
    # A teacher without class names takes those of the training images.
    names_of_images = train.labels is not None and target.numbers is not None
    whose = f"the training images ({train.name})" if names_of_images else target.owner
    if test is not None:
        test = _match_labelled(test, Classes(whose, target.count, pool.classes), "`data.test`", train, teacher)
        pool = pool.with_labels(pool.labels, test.classes)  # may add names where the others have none
    if validation is not None and validation.labels is not None:
        if train.labels is not None and validation.classes == train.classes:
            places, _ = class_places(classes_of(train), target)  # the warning was given for the training images already
            validation = place_labels(validation, places, pool.classes)
        else:
            expected = Classes(whose, target.count, pool.classes)
            validation = _match_labelled(validation, expected, "`data.validation`", train, teacher)
    return replace(inputs, train=pool, test=test, validation=validation)


def _match_to_teacher(inputs: Inputs, known: Classes, teacher: Classifier | None) -> Inputs:
    """Test and validation images with their classes numbered as by the teacher, if there are no training images."""
    by_argument = {"`data.test`": inputs.test, "`data.validation`": inputs.validation}
    test, validation = (
        images if images is None or images.labels is None else _match_labelled(images, known, argument, None, teacher)
        for argument, images in by_argument.items()
    )
    return replace(inputs, test=test, validation=validation)


def match_student(inputs: Inputs, student: Classifier) -> Inputs:
    """The inputs with classes numbered as by the student; a student without class names is given those of the inputs.

    Raises:
        UserError: the student has other classes; the teacher's cannot be put in its order.
    """
    classes = inputs.classes
    student_classes = classes_of(student, f"the student {student.name}")
    if student_classes.numbers == tuple(range(classes.count)):
        student.classes = classes.names
    if student.classes == classes.names or (
        student_classes.count != classes.count and student_classes.numbers is not None
    ):
        return inputs  # different numbers of classes are reported before training
    places, assumed = class_places(classes, student_classes)
    if assumed:
        warnings.warn(assumed, stacklevel=3)
    names = joint_names(classes, student_classes, places)
    return _placed(inputs, places, names)


def _placed(inputs: Inputs, places: Sequence[int], names: tuple[str, ...]) -> Inputs:
    """Images, soft labels and teacher with class i at `places[i]` among `names`."""
    teacher, soft_labels = inputs.teacher, inputs.soft_labels
    complete = len(places) == len(names)
    if soft_labels is not None and not complete:
        raise UserError(
            f"the soft labels of {inputs.classes.owner} are of {len(places)} classes, and the student knows "
            f"{len(names)}; teach one that knows these alone."
        )
    if teacher is not None and complete:
        sample = inputs.train or inputs.test
        first = torch.zeros(1, dtype=torch.int64)
        example = torch.zeros(1, *inputs.shape, dtype=torch.uint8) if sample is None else sample.gather(first)
        teacher = reordered(teacher, places, names, example)

    def moved(images: ImageSet | None) -> ImageSet | None:
        return None if images is None else place_labels(images, places, names)

    return replace(
        inputs,
        train=moved(inputs.train),
        validation=moved(inputs.validation),
        test=moved(inputs.test),
        soft_labels=None if soft_labels is None else soft_labels.placed(places),
        teacher=teacher,
    )


def _known(inputs: Inputs, teacher: Classifier | None) -> Classes:
    train, soft_labels = inputs.train, inputs.soft_labels
    if teacher is not None:
        return classes_of(teacher, f"the teacher {teacher.name}")
    if train is None:
        raise UserError("there are neither training images nor a teacher with weights; name one of them.")
    if train.labels is not None:
        return classes_of(train, f"the training images ({train.name})")
    if soft_labels is not None:
        return Classes(f"the soft labels of {train.name!r}", soft_labels.values.shape[1], train.classes)
    raise UserError(
        f"{train.name!r} has neither labels nor soft labels, and there is no teacher with weights to learn from; name "
        "its `weights` under `teacher`, or give images with labels."
    )


def _match_training(train: ImageSet, known: Classes, teacher: Classifier | None) -> ImageSet:
    try:
        return match_classes(train, known, f"the images ({train.name})", stacklevel=5)
    except UserError as error:
        assert teacher is not None, "images have their own classes"
        raise UserError(
            f"teacher and student must have the same classes, got {known.count} of {known.owner} and "
            f"{train.num_classes} of the images ({train.name}) that the student learns; {error}"
        ) from None


def _match_labelled(
    images: ImageSet, known: Classes, argument: str, train: ImageSet | None, teacher: Classifier | None
) -> ImageSet:
    try:
        return match_classes(images, known, f"the images ({images.name})", stacklevel=5)
    except UserError as error:
        whose = f"{known.owner}, got {images.num_classes} of {images.name} and {known.count}"
        if teacher is None and train is not None:
            whose = f"`data.train`, got {images.num_classes} of {images.name} and {train.num_classes} of {train.name}"
        aside = (
            " `data.validation.labels: false` judges by agreement with the teacher instead."
            if argument == "`data.validation`" and teacher is not None
            else ""
        )
        raise UserError(f"{argument} must have the classes of {whose}; {error}{aside}") from None
