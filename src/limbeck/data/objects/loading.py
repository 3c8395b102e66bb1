"""Python objects to an `ImageSet`, for `load` and `load_first`."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

from limbeck.data.encoded.build import LoadOptions, build_image_set
from limbeck.data.encoded.from_set import encoded_from
from limbeck.data.image_set import ImageSet
from limbeck.data.objects.opened import How
from limbeck.data.objects.reading import ImagesLike, is_stream, read_object
from limbeck.errors import UserError


def load_object(
    images: ImagesLike, split: str, how: How, *, classes: Sequence[str | int] | None = None, labels: bool = True
) -> ImageSet:
    """See `limbeck.load`; an `ImageSet` is returned as it is unless another shape or fewer classes are asked for."""
    if isinstance(images, ImageSet):
        loaded = _changed(images, how, classes)
    else:
        needed = labels or classes is not None
        encoded, name, _ = read_object(images, split, how, labels_needed=needed)
        loaded = build_image_set(encoded, how.options, name=name, keep=classes)
    return loaded if labels else loaded.with_labels(None, ())


def load_first_object(images: ImagesLike, split: str, how: How) -> ImageSet:
    """See `load_first`: without labels where these cannot be numbered; only the first images are decoded."""
    first = None
    if not is_stream(images, split):
        first, how = how.count, replace(how, count=None)
    encoded, name, unusable = read_object(images, split, how, labels_needed=how.label_column is not None)
    if unusable:
        warnings.warn(f"the labels of {name!r} are left aside: {unusable}", stacklevel=3)
    return build_image_set(encoded, how.options, name=name, first=first)


def check_of_names(**options: object) -> None:
    """Raises a UserError for options of `load` that only apply to names."""
    for argument, value in options.items():
        if value is not None:
            raise UserError(f"`{argument}` belongs to data sets by name; leave it out beside an object, got {value!r}.")


def _changed(images: ImageSet, how: How, classes: Sequence[str | int] | None) -> ImageSet:
    options = how.options
    stated = {"image_column": how.image_column, "label_column": how.label_column, "layout": how.layout}
    for argument, value in {**stated, "images": how.count}.items():
        if value is not None:
            raise UserError(f"`{argument}` must be left out beside images that are loaded already, got {value!r}.")
    if classes is None and options == LoadOptions(in_memory=options.in_memory):
        return images
    if options.size is None and options.channels is None:
        options = replace(options, channels=images.shape[0])
    return build_image_set(encoded_from(images), options, name=images.name, keep=classes)
