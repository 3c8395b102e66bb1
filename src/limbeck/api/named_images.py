"""Images by name, for functions that know the networks: where sizes differ, in the size that these take."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from limbeck.data.encoded.build import COVERED, SizesDiffer
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import as_image_set, load
from limbeck.data.objects.reading import ImagesLike, has_splits, is_object
from limbeck.data.objects.tables import is_of_datasets
from limbeck.data.own_splits import TEST, TRAIN, VALIDATION, evaluation_split, own_path, own_splits
from limbeck.data.place import path_text
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.recipes.evaluation_images import data_settings_on, held_out_of, load_sized, loading_of
from limbeck.recipes.handed_images import source_of
from limbeck.recipes.image_sizes import KnownSize, size_for_network, size_for_settings, size_of_saved
from limbeck.recipes.settings import DatasetSettings, StudentSettings
from limbeck.recipes.sources import load_training_images_in

_PARTS = (TRAIN, TEST, VALIDATION)
"""Keys of the `data` of a recipe that may hold images."""
_LOADING = ("size", "channels", "image_column", "label_column", "classes", "skip_unreadable", "scale", "in_memory")
"""Keys beside them that say how all of them are loaded."""


def sized_images(images: ImagesLike, split: str, argument: str, known: KnownSize | None) -> ImageSet:
    """As `as_image_set`; images by name whose sizes differ, or are of another aspect, come in the known size."""
    if not isinstance(images, str | Path):
        return as_image_set(images, split, argument)
    try:
        return load_sized(images, split, known)
    except SizesDiffer as error:
        raise _no_size(images, split, argument, error) from None


def evaluation_images(images: ImagesLike, known: KnownSize | None, student: str | Path | None = None) -> ImageSet:
    """Images to judge on as they are, or by name; where there are no test images, the validation images, with a
    warning, or all of a folder without splits.

    Of a `student` by name whose run learned from these very images, they are loaded as its recipe says, and of a
    folder without splits those are judged on that the run held out; where it held out none, or may have learned from
    some, a warning says so.
    """
    if not isinstance(images, str | Path):
        return as_image_set(images, TEST, TEST)
    settings = None if student is None else data_settings_on(student, images)
    split, why = evaluation_split(images)
    if split == VALIDATION:
        warnings.warn(f"{why}; `lb.load(..., {VALIDATION!r})` says so without this warning.", stacklevel=3)
    image_set = load_sized(images, split, known, **loading_of(settings))
    if student is None or split != TRAIN:
        return image_set
    held_out, doubt = held_out_of(student, settings, image_set)
    if doubt:
        message = f"{why}{doubt}" if held_out is None else f"those are judged on that its run held out; {doubt}"
        warnings.warn(f"{message}; hand over others to learn how good it is.", stacklevel=3)
    return image_set if held_out is None else held_out


def training_images_of(source: DatasetSettings, known: KnownSize | None) -> TransferSet:
    """Images to teach on, those of several sizes or of another aspect in the known size."""
    try:
        return load_training_images_in(source, known)
    except SizesDiffer as error:
        raise _no_size(source.name, TRAIN, "images", error) from None


def _no_size(name: str | Path, split: str, argument: str, error: SizesDiffer) -> UserError:
    """Says how to name the size to functions that teach a student and have no argument for it."""
    arguments = ", ".join([repr(str(name)), *([] if split == TRAIN else [repr(split)]), f"size={error.example}"])
    return UserError(
        f"`{argument}`: nothing says the size of {str(name)!r}, whose images differ in it ({error.found}), as neither "
        f"student nor teacher is of one. Name the student with a size of its own, "
        f'`{{"model": ..., "input_size": {error.example}}}`, or hand images over in one, '
        f"`lb.load({arguments})`: {COVERED}."
    )


def all_in_one(images: object, test: object) -> bool:
    """Whether what is learned from and what is judged on are one folder or file without splits."""
    if not isinstance(images, str | Path) or not isinstance(test, str | Path):
        return False
    images_path, test_path = own_path(images), own_path(test)
    if images_path is None or test_path is None or images_path.resolve() != test_path.resolve():
        return False
    return own_splits(images) == (TRAIN,)


def size_for_objects(student: Any, teacher: Any) -> KnownSize | None:
    """What images of several sizes are brought to: what the student takes, or else the teacher, where one is known."""
    size = size_for_network(student) if isinstance(student, Classifier) else None
    if isinstance(student, str | Mapping):
        stated = {"model": student} if isinstance(student, str) else dict(student)
        with suppress(ValueError):  # reported where the recipe is read
            size = size_for_settings(StudentSettings.model_validate(stated), "student")
    if size is None and isinstance(teacher, str | Path):
        return size_of_saved(teacher)
    return size or (size_for_network(teacher) if isinstance(teacher, Classifier) else None)


def with_images_named(
    recipe: str | Path | Mapping[str, Any], train: ImagesLike | None, test: ImagesLike | None
) -> tuple[str | Path | Mapping[str, Any], ImagesLike | None, ImagesLike | None, ImageSet | None]:
    """A recipe with names where a mapping's `data` holds images, and the images: train, test and validation.

    What is handed over beside the recipe comes first, and is its `data` where a mapping has none.
    """
    if not isinstance(recipe, Mapping):
        return recipe, train, test, None
    if "data" not in recipe:
        train, test = (in_memory(images, name) for images, name in ((train, "train"), (test, "test")))
        return {**recipe, **data_of(train=train, test=test)}, train, test, None
    data = recipe["data"]
    handed = [part for part in _PARTS if _is_handed_over(data.get(part))] if isinstance(data, Mapping) else []
    loading = {key: data[key] for key in _LOADING if data.get(key) is not None} if handed else {}
    loaded = {part: _loaded(data[part], part, loading) for part in handed}
    names = {part: source_of(image_set) for part, image_set in loaded.items()}
    train, test = (loaded.get(part) if images is None else images for part, images in ((TRAIN, train), (TEST, test)))
    changed = {**recipe, "data": {**data, **names}} if handed else recipe
    return changed, train, test, loaded.get(VALIDATION)


def _is_handed_over(images: Any) -> bool:
    """Whether it is images, and neither a name nor the mapping that recipes have in its place."""
    is_mapping = isinstance(images, Mapping) and not is_of_datasets(images, "DatasetDict", "IterableDatasetDict")
    return is_object(images) and not is_mapping


def _loaded(images: Any, part: str, loading: Mapping[str, Any]) -> ImageSet:
    """Images loaded as the recipe says for all its images."""
    if not loading:
        return as_image_set(images, part, f"data.{part}")
    return load(images, part if has_splits(images) else TRAIN, **loading)


def in_memory(images: ImagesLike | None, argument: str) -> str | Path | ImageSet | None:
    """Images in any form as a set; names stay names, as their size depends on the recipe."""
    return images if images is None or isinstance(images, str | Path) else as_image_set(images, argument, argument)


def data_of(**images: str | Path | ImageSet | None) -> dict[str, dict[str, Any]]:
    """The `data` of a recipe that names none, of images that are handed over; empty without any."""
    handed = {part: source for part, source in images.items() if source is not None}
    names = {
        part: source_of(source) if isinstance(source, ImageSet) else path_text(source)
        for part, source in handed.items()
    }
    return {"data": names} if names else {}
