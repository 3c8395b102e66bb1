"""What a run works with: images, teacher, a fresh student; loaded once, shared by all runs of a comparison."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load as load_images
from limbeck.errors import UserError
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier
from limbeck.models.zoo import create
from limbeck.models.weights import load as load_model
from limbeck.recipes.schema import NetworkSettings, Recipe, Source, StudentSettings


@dataclass(frozen=True)
class Materials:
    """Images and teacher of a recipe.

    Attributes:
        train: what transfer sets are made of; the validation images are out of it already.
        validation: held out of the training images, or None.
        test: judged on at the end, or None.
        teacher: or None.
    """

    train: ImageSet
    validation: ImageSet | None
    test: ImageSet | None
    teacher: Classifier | None = None

    @cached_property
    def teacher_test_logits(self) -> Tensor | None:
        """The teacher's float32 answers to the test images, asked once for all runs."""
        if self.teacher is None or self.test is None:
            return None
        return predict(self.teacher, self.test)


def load_images_of(recipe: Recipe) -> Materials:
    """Reads the images that a recipe names and holds out the validation images.

    Raises:
        UserError: see `limbeck.load`; a split that cannot be held out; train and test of different classes.
    """
    train = _load(recipe.data.train, "train")
    test = None if recipe.data.test is None else _load(recipe.data.test, "test")
    if test is not None and test.num_classes != train.num_classes:
        raise UserError(
            f"`data.test` must have the classes of `data.train`, got {test.num_classes} of {test.name} and "
            f"{train.num_classes} of {train.name}."
        )
    validation = None
    if recipe.data.validation:
        train, validation = train.split(recipe.data.validation, seed=recipe.data.split_seed)
    return Materials(train, validation, test)


def build_student(settings: StudentSettings, images: ImageSet, *, seed: int) -> Classifier:
    """A student for the classes and channels of `images`: fresh from the seed, or from weights."""
    if settings.weights is not None:
        return load_weights(settings, images)
    return build_network(settings, images, seed=seed)


def build_network(settings: NetworkSettings, images: ImageSet, *, seed: int) -> Classifier:
    """A fresh network; what the recipe leaves open follows the images."""
    assert settings.model is not None
    return create(
        settings.model,
        num_classes=settings.num_classes or images.num_classes,
        seed=seed,
        channels=settings.channels or images.shape[0],
        classes=images.classes if settings.num_classes in (None, images.num_classes) else (),
        **_given(settings, "input_size", "mean", "std"),
        **settings.options,
    )


def load_weights(settings: NetworkSettings, images: ImageSet) -> Classifier:
    """A network with weights by name, folder or file."""
    assert settings.weights is not None
    return load_model(
        settings.weights,
        **_given(settings, "model", "num_classes", "input_size", "channels", "mean", "std"),
        **settings.options,
    )


def _given(settings: NetworkSettings, *names: str) -> dict[str, Any]:
    """Those of the settings that the recipe gives."""
    return {name: value for name in names if (value := getattr(settings, name)) is not None}


def _load(source: Source, split: str) -> ImageSet:
    options = source.model_dump(exclude={"name", "split"}, exclude_none=True)
    return load_images(source.name, source.split or split, **options)
