"""What a run works with: images, teacher, a fresh student; loaded once, shared by all runs of a comparison."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from limbeck.cost import Cost, RunCost
from limbeck.data.catalogue import in_catalogue
from limbeck.data.classes import Classes, classes_of
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load as load_images
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.transfer_set import CONFIG_NAME, TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.prediction import predict
from limbeck.models.catalogue import MODELS, entry
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import check_ready
from limbeck.models.shared_memory import private_copy
from limbeck.models.whitening import Whitening
from limbeck.models.zoo import create
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.networks import load_network
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import VALIDATION_SHARE, DatasetSettings, NetworkSettings, StudentSettings
from limbeck.training.validation import answers_to


@dataclass(frozen=True)
class PythonObjects:
    """Objects that were handed over in Python, each in place of what the recipe names.

    Attributes:
        train, test: images, before the validation images are held out.
        validation: images of their own, in place of a data set that the recipe names.
        teacher: with its weights.
        soft_labels: of `train`.
        use: what `train` carries as a transfer set; see `TransferSet.use`.
        make_student: seed -> a fresh student.
        shape: (C, H, W) of images to make, where no images tell.
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
        train: what transfer sets are made of; the validation images are out of it already. None where the maker needs
            none.
        validation: held out of the training images or of their own, or None.
        test: judged on at the end, or None.
        teacher: or None.
        teacher_cost: of the training that made it, where it is known.
        soft_labels: of `train`, where a transfer set brought them.
        make_student: seed -> a fresh student, where Python gives one instead of a recipe's name.
        made_shape: (C, H, W) of images to make, where that was said.
        use: what `train` carries, where it is a transfer set that says how it is to be used; see `TransferSet.use`.
    """

    train: ImageSet | None
    validation: ImageSet | None
    test: ImageSet | None
    teacher: Classifier | None = None
    teacher_cost: Cost | None = None
    soft_labels: SoftTargets | None = None
    make_student: Callable[[int], Classifier] | None = None
    made_shape: tuple[int, int, int] | None = None
    use: Mapping[str, Any] | None = None

    @cached_property
    def teacher_test_logits(self) -> Tensor | None:
        """The teacher's float32 answers to the test images, asked once for all runs."""
        if self.teacher is None or self.test is None:
            return None
        return predict(self.teacher, self.test)

    @cached_property
    def teacher_validation_logits(self) -> Tensor | None:
        """The teacher's float32 answers to validation images without labels, asked once for all runs."""
        return answers_to(self.validation, self.teacher)

    def knowing(self, teacher_test_logits: Tensor) -> "Inputs":
        """The same inputs, and what their teacher answers is known."""
        inputs = replace(self)
        vars(inputs)["teacher_test_logits"] = teacher_test_logits
        return inputs

    @property
    def labelled(self) -> bool:
        """Whether there are training images with labels."""
        return self.train is not None and self.train.labels is not None

    @property
    def classes(self) -> Classes:
        """The classes that the student will tell apart."""
        if self.train is not None:
            return classes_of(self.train, f"the images ({self.train.name})")
        assert self.teacher is not None, "without training images there is a teacher"
        return classes_of(self.teacher, f"the teacher {self.teacher.name}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images that the student takes.

        Raises:
            UserError: nothing tells their size.
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
    """The images that a recipe names, or those given, with the validation images held out.

    Raises:
        UserError: see `limbeck.load`; a split that cannot be held out; test images without labels.
    """
    train, soft_labels, use = objects.train, objects.soft_labels, objects.use
    if train is None and recipe.data.train is not None:
        taught = load_taught(recipe.data.train)
        train, soft_labels, use = taught.images, taught.soft_targets, taught.use
    test = objects.test
    if test is None and recipe.data.test is not None:
        test = _load(recipe.data.test, "test")
    if test is not None and test.labels is None:
        raise UserError(
            f"`data.test` must be labelled to judge on, got {test.name!r} without labels; choose others, "
            "or another `split`."
        )
    held_out = recipe.data.validation
    if isinstance(held_out, DatasetSettings):
        validation = objects.validation if objects.validation is not None else _load(held_out, "validation")
        made = {"soft_labels": soft_labels, "make_student": objects.make_student, "made_shape": objects.shape}
        return Inputs(train, validation, test, use=use, **made)
    if train is None:
        return Inputs(None, None, test, make_student=objects.make_student, made_shape=objects.shape)
    if held_out is None:
        whole = train.labels is None or (recipe.data.train is not None and is_transfer_set(recipe.data.train))
        held_out = 0 if whole else VALIDATION_SHARE
    pool, validation = train, None
    if held_out:
        pool, validation = train.split(held_out, seed=recipe.data.split_seed)
        soft_labels = None if soft_labels is None else soft_labels.rows(train.positions(pool.ids))
    return Inputs(pool, validation, test, soft_labels=soft_labels, make_student=objects.make_student, use=use)


def is_transfer_set(source: DatasetSettings) -> bool:
    """Whether it is the folder of one; what the catalogue names is none, even where a folder is called so."""
    return not in_catalogue(source.name) and (Path(source.name).expanduser() / CONFIG_NAME).is_file()


def load_taught(source: DatasetSettings) -> TransferSet:
    """Images to teach on, with all that they carry where `source` is the folder of a transfer set."""
    if not is_transfer_set(source):
        return TransferSet(_load(source, "train"))
    changes = source.model_dump(exclude={"name", "split", "in_memory", "labels"}, exclude_defaults=True)
    found = TransferSet.load(Path(source.name).expanduser())
    if not changes:
        images = found.images if source.labels else found.images.with_labels(None, found.images.classes)
        return replace(found, images=images).decoded()
    carried = {
        "soft labels are": found.soft_labels is not None,
        "use is": found.use is not None,
        "floats are": found.floats is not None,
        "parts are": found.per_image > 1,
    }
    if any(carried.values()):
        what = next(name for name, there in carried.items() if there)
        raise UserError(
            f"`data.train` is the transfer set {source.name!r}, whose {what} of its images as they are; drop "
            f"{', '.join(f'`{key}`' for key in changes)}."
        )
    return TransferSet(_load(source, "train"))


def build_student(settings: StudentSettings, inputs: Inputs, *, seed: int) -> Classifier:
    """A student for the classes, channels and, where it is built for one, size of the images.

    Fresh from the seed, or from weights, which bring their own.
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
        **_given(settings, "mean", "std"),
        **whitening,
        **settings.options,
    )


def whitening_for(settings: NetworkSettings, inputs: Inputs) -> Whitening:
    """What the transfer set carries that is learned from, or else that of the training images.

    Raises:
        UserError: neither; the set says that it is of whitened images, and lacks the whitening.
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
        **_given(settings, "model", "weights_key", "num_classes", "input_size", "channels", "mean", "std", "classes"),
        **settings.options,
    )


def known_teacher_cost(settings: NetworkSettings | None) -> Cost | None:
    """What the run took whose student is the teacher, where `weights` names its folder; None where that is unknown."""
    if settings is None or settings.weights is None:
        return None
    path = Path(settings.weights) / "cost.json"
    try:
        return RunCost.from_dict(json.loads(path.read_text())).total
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no run folder, or one that tells no cost


def _made_in_python(name: str, make: Callable[[int], Classifier] | None, seed: int) -> Classifier:
    if make is None:
        raise UserError(f"the student {name!r} was handed over in Python; hand it over again to resume there.")
    student = make(seed)
    if not isinstance(student, Classifier):
        raise UserError(
            f"`student` must make a Classifier out of a seed, got a {type(student).__name__}; `lb.wrap` makes one."
        )
    check_ready(student, "student")
    # A function may give one network again and again, or parts of the teacher; neither may be taught itself.
    return private_copy(student, "student")


def _given(settings: NetworkSettings, *names: str) -> dict[str, Any]:
    """Those of the settings that the recipe gives."""
    return {name: value for name in names if (value := getattr(settings, name)) is not None}


def _load(source: DatasetSettings, split: str) -> ImageSet:
    if source.name.startswith(FROM_PYTHON):
        raise UserError(f"the images {source.name!r} were handed over in Python; hand them over again to resume there.")
    options = source.model_dump(exclude={"name", "split"}, exclude_none=True)
    return load_images(source.name, source.split or split, **options)
