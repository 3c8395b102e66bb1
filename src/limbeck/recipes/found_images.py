"""What was found in the user's own folders and files of images, in words."""

from limbeck.data.classes import class_places, classes_of, few
from limbeck.data.image_set import ImageSet, unreadable
from limbeck.data.own_splits import TEST, TRAIN, VALIDATION, own_path
from limbeck.errors import UserError
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.sources import sources_of

_USES = {TRAIN: "to learn from", VALIDATION: "for validation", TEST: "to judge on"}
LARGE = 256
"""Pixels a side above which images that are not resized get a remark."""


def found_images(recipe: Recipe, inputs: Inputs) -> list[str]:
    """A line on the splits and one on the size if images are the user's own folder or file; otherwise none."""
    sources = sources_of(recipe.data)
    own = {part: source for part, source in sources.items() if own_path(source.name) is not None}
    if not own:
        return []
    sets = {TRAIN: inputs.train, VALIDATION: inputs.validation, TEST: inputs.test}
    counts = [_images(part, images, sources) for part, images in sets.items() if images is not None]
    names = " and ".join(dict.fromkeys(repr(source.name) for source in own.values()))
    classes = f" of {inputs.train.num_classes} classes" if inputs.labelled and inputs.train is not None else ""
    lines = [f"found in {names}: {', '.join(counts)}{classes}"]
    first = next((sets[part] for part in (TRAIN, TEST, VALIDATION) if part in own and sets[part] is not None), None)
    if first is not None:
        lines.append(_size(first, next(iter(own.values())), inputs))
    return lines


def left_out(recipe: Recipe, inputs: Inputs) -> list[str]:
    """A line for each part of the data of which unreadable images were left out."""
    sources = sources_of(recipe.data)
    lines = []
    for part, count in inputs.skipped.items():
        if count:
            of = f" of {sources[part].name!r}" if part in sources else ""
            lines.append(f"`data.{part}`: left out {unreadable(count)}{of}")
    return lines


def absent_classes(inputs: Inputs) -> list[str]:
    """A line for images to learn from, to choose or to judge by that have labels, and none of some class.

    Separate images are compared with the classes of those to learn from; `inputs` need not be matched yet.
    """
    lines = []
    for part, images in ((TRAIN, inputs.train), (VALIDATION, inputs.validation), (TEST, inputs.test)):
        if images is None or images.labels is None:
            continue
        counts = _counts_by_name(images, inputs.train)
        absent = [repr(name) for name, count in counts.items() if not count]
        if absent:
            these = "this class" if len(absent) == 1 else f"these {len(absent)} of {len(counts)} classes"
            why = (
                f"so nothing is learned from them of {these}"
                if part == TRAIN
                else f"so accuracy says nothing of {these}"
            )
            lines.append(f"no image {_USES[part]} is of {few(absent)}, {why}")
    return lines


def _counts_by_name(images: ImageSet, train: ImageSet | None) -> dict[str, int]:
    """Images of each class that has a name: of `train` if it has labels, and its classes those of `images`."""
    counts = images.class_counts().tolist()
    if train is not None and train.labels is not None:
        try:
            places, _ = class_places(classes_of(images), classes_of(train))
        except UserError:  # which matching the classes reports, unless a teacher knows them all
            return dict(zip(images.classes, counts, strict=False))
        by_place = dict(zip(places, counts, strict=True))
        return {name: by_place.get(place, 0) for place, name in enumerate(train.classes)}
    return dict(zip(images.classes, counts, strict=False))


def _images(part: str, images: ImageSet, sources: dict[str, DatasetSettings]) -> str:
    count = f"{len(images):,} images {_USES[part]}"
    source = sources.get(part)
    if source is None:
        return f"{count} (held out of those to learn from)"
    if part == TEST and source.split == VALIDATION:
        return f"{count} (its validation images, for want of test images)"
    return f"{count} ({source.split or part})"


def _size(images: ImageSet, source: DatasetSettings, inputs: Inputs) -> str:
    _, height, width = images.shape
    known_size = inputs.known_size
    if known_size is not None:
        return f"images are brought to {height}x{width}: {known_size.source} (`data.size` says another)"
    if source.size is not None:
        return f"images are brought to {height}x{width}, as `size` says"
    large = "; `data.size` would bring them to fewer pixels, which saves time" if max(height, width) > LARGE else ""
    return f"images are {height}x{width}, as all of them are stored{large}"
