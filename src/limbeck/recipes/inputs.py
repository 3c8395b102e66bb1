"""The inputs of a run: images, teacher and student; loaded once and shared by all runs of a comparison."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck.cost import Cost, RunCost
from limbeck.data.classes import Classes, classes_of
from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import TEST, TRAIN, VALIDATION
from limbeck.data.soft_targets import SoftTargets
from limbeck.errors import UserError
from limbeck.evaluation.prediction import predict
from limbeck.models.catalogue import MODELS, entry
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import check_ready
from limbeck.models.shared_memory import private_copy
from limbeck.models.whitening import Whitening
from limbeck.models.zoo import create
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.image_sizes import KnownSize, size_for_network, size_for_settings
from limbeck.recipes.networks import load_network
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import DatasetSettings, DataSettings, NetworkSettings, StudentSettings
from limbeck.recipes.shares import hold_out
from limbeck.recipes.sources import load_sources, sources_of
from limbeck.training.validation import validation_logits


@dataclass(frozen=True)
class PythonObjects:
    """Objects that were handed over in Python, each in place of what the recipe names.

    Attributes:
        train, test: images, before the validation images are held out.
        validation: separate images, in place of a data set that the recipe names.
        teacher: with its weights.
        soft_labels: of `train`.
        use: of `train`, if it is a transfer set; see `TransferSet.use`.
        make_student: seed -> a fresh student.
        shape: (C, H, W) of images to make, if there are no images to take it from.
    """

    train: ImageSet | None = None
    test: ImageSet | None = None
    teacher: Classifier | None = None
    soft_labels: SoftTargets | None = None
    make_student: Callable[[int], Classifier] | None = None
    validation: ImageSet | None = None
    shape: tuple[int, int, int] | None = None
    use: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Inputs:
    """Images and teacher of a recipe.

    Attributes:
        train: the images that transfer sets are made from, without the validation images. None if the maker needs
            none.
        validation: held out of the training images, or separate images, or None.
        test: images for the final evaluation, or None.
        teacher: or None.
        teacher_cost: of training the teacher, if known.
        teacher_named: the teacher's settings in a recipe, to load it again; None if it was handed over.
        soft_labels: of `train`, if it is a transfer set with soft labels.
        make_student: seed -> a fresh student, if it was handed over in Python in place of a name.
        made_shape: (C, H, W) of images to make, if given.
        use: of `train`, if it is a transfer set that says how it is to be used; see `TransferSet.use`.
        known_size: the size that images of several sizes were resized to.
        skipped: unreadable images that were left out of "train", "validation" and "test", before any were held out.
    """

    train: ImageSet | None
    validation: ImageSet | None
    test: ImageSet | None
    teacher: Classifier | None = None
    teacher_cost: Cost | None = None
    teacher_named: Mapping[str, Any] | None = None
    soft_labels: SoftTargets | None = None
    make_student: Callable[[int], Classifier] | None = None
    made_shape: tuple[int, int, int] | None = None
    known_size: KnownSize | None = None
    use: Mapping[str, Any] | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def teacher_test_logits(self) -> Tensor | None:
        """The teacher's float32 logits [N, K] on the test images, computed once for all runs."""
        if self.teacher is None or self.test is None:
            return None
        return predict(self.teacher, self.test)

    @cached_property
    def teacher_validation_logits(self) -> Tensor | None:
        """The teacher's float32 logits [N, K] on unlabelled validation images, computed once for all runs."""
        return validation_logits(self.validation, self.teacher)

    def knowing(self, teacher_test_logits: Tensor) -> "Inputs":
        """A copy of the inputs with the teacher's test logits already computed."""
        inputs = replace(self)
        vars(inputs)["teacher_test_logits"] = teacher_test_logits
        return inputs

    @property
    def labelled(self) -> bool:
        """Whether there are training images with labels."""
        return self.train is not None and self.train.labels is not None

    @property
    def classes(self) -> Classes:
        """The classes of the student."""
        if self.train is not None:
            return classes_of(self.train, f"the images ({self.train.name})")
        assert self.teacher is not None, "without training images there is a teacher"
        return classes_of(self.teacher, f"the teacher {self.teacher.name}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images that the student takes.

        Raises:
            UserError: their size is unknown.
        """
        if self.made_shape is not None:
            return self.made_shape
        images = self.train or self.test or self.validation
        if images is not None:
            return images.shape
        assert self.teacher is not None, "without training images there is a teacher"
        if self.teacher.input_size is None:
            raise UserError(
                f"nothing tells the size of the images to make: {self.teacher.name} takes any; give it an `input_size`."
            )
        return (self.teacher.channels, *self.teacher.input_size)


def load_images_of(recipe: Recipe, objects: PythonObjects) -> Inputs:
    """The images that a recipe names, or those handed over, with validation and test images held out.

    Raises:
        UserError: see `limbeck.load`; a share that cannot be held out; test images without labels.
    """
    return load_inputs(recipe.data, objects, lambda: size_for_images(recipe, objects))


def load_inputs(data: DataSettings, objects: PythonObjects, size: Callable[[], KnownSize | None]) -> Inputs:
    """As `load_images_of`, by `data` of a recipe alone; `size` returns what images of several sizes are brought to."""
    handed = {"train": objects.train, "test": objects.test, "validation": objects.validation}
    named = {part: source for part, source in sources_of(data).items() if handed[part] is None}
    loaded = load_sources(named, size)
    train, soft_labels, use = objects.train, objects.soft_labels, objects.use
    if train is None and data.train is not None:
        transfer_set = loaded.parts["train"]
        train, soft_labels, use = transfer_set.images, transfer_set.soft_targets, transfer_set.use
    test = _labelled(objects.test if objects.test is not None else loaded.images("test"))
    own_validation = isinstance(data.validation, DatasetSettings)
    validation = None
    if own_validation:
        validation = objects.validation if objects.validation is not None else loaded.images("validation")
    common: dict[str, Any] = {"make_student": objects.make_student, "known_size": loaded.size, "use": use}
    given = {TRAIN: train, VALIDATION: validation, TEST: test}
    common["skipped"] = {part: images.skipped for part, images in given.items() if images is not None}
    common["made_shape"] = objects.shape if train is None or own_validation else None
    if train is None:
        return Inputs(None, validation, test, **common)
    parts = hold_out(train, data, test=test is None)
    test = _labelled(parts.test) if test is None else test
    if soft_labels is not None and parts.train is not train:
        soft_labels = soft_labels.rows(train.positions(parts.train.ids))
    validation = validation if own_validation else parts.validation
    return Inputs(parts.train, validation, test, soft_labels=soft_labels, **common)


def size_for_images(recipe: Recipe, objects: PythonObjects) -> KnownSize | None:
    """The size for images of several sizes: that of the student, or else of the teacher."""
    student, teacher = None, None
    if objects.make_student is not None:
        student = size_for_network(_made_in_python(recipe.student.model or "", objects.make_student, recipe.seed))
    if objects.teacher is not None:
        teacher = size_for_network(objects.teacher)
    elif recipe.teacher is not None:
        teacher = size_for_settings(recipe.teacher, "teacher")
    return student or size_for_settings(recipe.student, "student") or teacher


def _labelled(test: ImageSet | None) -> ImageSet | None:
    if test is not None and test.labels is None:
        raise UserError(
            f"`data.test` must be labelled to judge on, got {test.name!r} without labels; choose others, "
            "or another `split`."
        )
    return test


def build_student(settings: StudentSettings, inputs: Inputs, *, seed: int) -> Classifier:
    """A student for the classes, channels and, if its model is built for one, size of the images.

    Freshly initialised from the seed, or loaded from weights, which bring their own classes, channels and size.
    """
    if settings.weights is not None:
        return load_weights(settings)
    assert settings.model is not None
    if settings.model.startswith(FROM_PYTHON) and settings.model not in MODELS.handed_over:
        return _made_in_python(settings.model, inputs.make_student, seed)
    classes, shape = inputs.classes, inputs.shape
    count = settings.num_classes or (len(settings.classes) if settings.classes else classes.count)
    built_for_one_size = entry(settings.model).input_size is not None
    whitening = {"whitening": whitening_for(settings, inputs)} if settings.whitening else {}
    return create(
        settings.model,
        num_classes=count,
        seed=seed,
        channels=settings.channels or shape[0],
        input_size=settings.input_size or (shape[1:] if built_for_one_size else None),
        classes=settings.classes or (classes.names if count == classes.count else ()),
        **_specified(settings, "mean", "std"),
        **whitening,
        **settings.options,
    )


def whitening_for(settings: NetworkSettings, inputs: Inputs) -> Whitening:
    """The whitening that the transfer set carries, or else one fitted on the training images.

    Raises:
        UserError: neither exists; the set says that its images are whitened, but lacks the whitening.
    """
    carried = (inputs.use or {}).get("student", {}).get("whitening")
    if carried is True:
        raise UserError(
            f"the use of {inputs.classes.owner} is for whitened images and lacks the whitening, a mapping of `mean` "
            "and `matrix`, which cannot be fitted on so few; save the transfer set again with it."
        )
    if carried:
        return Whitening.of_tensors(carried)
    if inputs.train is None:
        raise UserError(
            "`student.whitening` is that of the training images, and there are none; give `data.train`, or `mean` and "
            "`std`."
        )
    return Whitening.fit(inputs.train, settings.whitening_epsilon)


def load_weights(settings: NetworkSettings) -> Classifier:
    """A network with weights by name, folder or file."""
    source = settings.weights or settings.model  # of timm, a model brings its weights
    assert source is not None
    if source.startswith(FROM_PYTHON):
        raise UserError(f"the network {source!r} was handed over in Python; hand it over again to resume there.")
    return load_network(
        source,
        **_specified(
            settings, "model", "weights_key", "num_classes", "input_size", "channels", "mean", "std", "classes"
        ),
        **settings.options,
    )


def name_of_weights(settings: NetworkSettings | None) -> dict[str, Any] | None:
    """The settings that differ from the defaults, with which `load_weights` loads a network again; None if it was
    handed over."""
    if settings is None or (settings.weights or "").startswith(FROM_PYTHON):
        return None
    return settings.model_dump(mode="json", exclude_defaults=True, exclude={"training", "objective"})


def known_teacher_cost(settings: NetworkSettings | None) -> Cost | None:
    """The cost of the run that trained the teacher, if `weights` names its folder; None if unknown."""
    if settings is None or settings.weights is None:
        return None
    path = Path(settings.weights) / "cost.json"
    try:
        return RunCost.from_dict(json.loads(path.read_text())).total
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no run folder, or one without costs


def _made_in_python(name: str, make: Callable[[int], Classifier] | None, seed: int) -> Classifier:
    if make is None:
        raise UserError(f"the student {name!r} was handed over in Python; hand it over again to resume there.")
    student = make(seed)
    if not isinstance(student, Classifier):
        raise UserError(
            f"`student` must make a Classifier out of a seed, got a {type(student).__name__}; `lb.wrap` makes one."
        )
    check_ready(student, "student")
    # The function may return the same network every time, or share modules with the teacher: train a copy.
    return private_copy(student, "student")


def _specified(settings: NetworkSettings, *names: str) -> dict[str, Any]:
    """The named settings that are not None."""
    return {name: value for name in names if (value := getattr(settings, name)) is not None}
