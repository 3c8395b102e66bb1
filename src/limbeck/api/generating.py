"""`generate`: images made from nothing but a teacher, and what the owner of its data may export for that."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limbeck.api.named_images import evaluation_images, size_for_objects
from limbeck.api.objects import Student, as_settings, name_of_student, network_of, student_factory
from limbeck.data.encoded.build import both_sides
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.transfer_set import TransferSet
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import check_ready
from limbeck.progress import Progress
from limbeck.recipes.generating import Learner, generate_images, settings_to_generate
from limbeck.recipes.image_sizes import KnownSize, trained_size
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.generate.feature_statistics import FeatureStatistics, measure
from limbeck.transfer.generate.settings import GenerateSettings


def generate(
    teacher: Classifier | str | Path,
    *,
    budget: int | str,
    method: str = "bsr",
    student: Student | Mapping[str, Any] | None = None,
    objective: str | Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    test: ImagesLike | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    validation: ImagesLike | int = 0,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> TransferSet:
    """Images made from nothing but a teacher, by inverting it, with the teacher's logits as soft labels.

    With a student, it is taught while the images are made, and they may be made against it; without one, all are made
    at once, and what seeks a student's mistakes is left out. Labels of the images are the teacher's.

    Args:
        teacher: a classifier, or whatever `load_model` takes.
        budget: a count, or "500/class", so many times the teacher's classes; exactly so many distinct images come.
        method: see `limbeck ls methods`; it names published values of all that `settings` may say.
        student: a model's name, the mapping that recipes have under `student`, a classifier to go on from, or a
            function from a seed to a fresh classifier.
        objective: that the student learns by; by default Hinton's.
        training: settings of `TrainingSettings` for the student, where they are not SGD at 0.1 with a cosine schedule
            for as many steps as fill the budget.
        test: labelled images to evaluate the student on at the end; by name, those for testing, else for validation,
            which a warning says, else all of a folder without splits.
        size: pixels a side, or (height, width), of the images; by default that of `test`, or else what the teacher
            takes or is known to have been trained with.
        seed: of all that is drawn.
        validation: what chooses among the student's states, by agreement with the teacher: so many images that are made
            beforehand, without a student and by a seed of their own, and that nobody is taught on; or images of
            anything. The last state is what counts and what is reported, and the one chosen stands beside it. 0
            chooses none.
        out: a new folder to save the transfer set in, with evidence, cost and a report; a must with a student, whose
            run folder becomes `<out>-student`. What was stopped on the way goes on when it is called again.
        progress: reports progress.
        settings: what recipes have under `transfer: {maker: generate, ...}`, as `inner_steps=5`.

    Raises:
        UserError: settings that do not fit together or the teacher; a budget below a batch; images that come out equal
            again and again.

    Example:
        >>> made = lb.generate(teacher, method="fast", budget=20, batch_size=10, inner_steps=2, size=8)
        >>> len(made), made.soft_label_kind, made.provenance["round"].tolist()[::10]
        (20, 'logits', [0, 1])
    """
    _check_settings(settings)
    network = network_of(teacher, "teacher")
    maker_settings = {"method": method, "budget": budget, **settings}
    known_size = size_for_objects(None, teacher) if size is None else KnownSize(both_sides(size), "`size`")
    test_images = None if test is None else evaluation_images(test, known_size)
    student = as_settings(student)
    if student is None:
        _check_no_student(validation, {"training": training, "objective": objective, "test": test})
        learner = None
    else:
        learner = _learner(student, objective, training, test_images, validation)
    return generate_images(
        settings_to_generate(maker_settings, alone=student is None),
        network,
        learner=learner,
        size=trained_size(teacher) if size is None and test_images is None else size,
        seed=seed,
        target=None if out is None else Path(out),
        progress=progress,
    )[0]


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuses settings of the student's training among those of the maker."""
    for name, value in settings.items():
        if name in TrainingSettings.model_fields and name not in GenerateSettings.model_fields:
            raise UserError(
                f"`{name}` is of the student's training: training={{{name!r}: {value!r}}}. "
                "Settings of the images are those of the maker `generate`, as `inner_steps`."
            )


def _check_no_student(validation: ImagesLike | int, arguments: Mapping[str, Any]) -> None:
    """Refuses what is of a student only, where there is none."""
    if not isinstance(validation, int) or validation:
        raise UserError("`validation` chooses among the states of a `student`, and there is none; name one.")
    for name, value in arguments.items():
        if value is not None:
            raise UserError(f"`{name}` is of a `student` that learns meanwhile, and there is none; name one.")


def _learner(
    student: Student | Mapping[str, Any],
    objective: str | Mapping[str, Any] | None,
    training: Mapping[str, Any] | None,
    test: ImageSet | None,
    validation: ImagesLike | int,
) -> Learner:
    """The student that is taught while the images are made."""
    if isinstance(student, Mapping):
        settings, make = dict(student), None
    else:
        settings = {"model": student if isinstance(student, str) else name_of_student(student)}
        make = student_factory(student)
    return Learner(
        student=settings,
        make=make,
        objective=objective,
        training=training or {},
        test=test,
        validation=validation if isinstance(validation, int) else as_image_set(validation, "train", "validation"),
    )


def export_statistics(
    teacher: Classifier | str | Path,
    images: ImagesLike,
    path: str | Path,
    *,
    batch_size: int = 256,
    replace: bool = False,
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> FeatureStatistics:
    """Writes what a teacher's features look like on its data, so that others can generate images without that data.

    The file holds a mean and a variance for each channel, a few kilobytes, and no image; `limbeck generate` reads it
    as `statistics`. A teacher without batch norm can be inverted with it, and one with batch norm remembers such
    statistics itself: then the file adds what its batch-norm loss is on real images.

    Args:
        teacher: a classifier, or whatever `load_model` takes.
        images: those that it was trained on, or a data set's name.
        path: of the file.
        batch_size: images of a batch on which that loss is measured: as many as are generated at a time.
        replace: whether an existing file may be replaced.
        device: where the teacher computes.
        progress: called after every batch with the number of images in it.

    Raises:
        UserError: a teacher of which no tap says where it is read; the file exists and `replace` is false, or it cannot
            be written.

    Example:
        >>> statistics = lb.export_statistics(teacher, images, "owner.safetensors")
        >>> statistics.images
        200
    """
    if Path(path).exists() and not replace:
        raise UserError(
            f"{str(path)!r} exists already and is never overwritten; choose another path, or say `replace=True`."
        )
    network, pool = network_of(teacher, "teacher"), as_image_set(images, "train", "images")
    check_ready(network, "teacher")
    statistics = measure(network, pool, batch_size=batch_size, device=device, progress=progress)
    statistics.save(path)
    return statistics
