"""The images that a saved network is judged on: by default those that its own recipe would judge it on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limbeck.data.encoded.build import SizesDiffer
from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import TRAIN, evaluation_split, own_path
from limbeck.errors import UserError
from limbeck.recipes.image_sizes import KnownSize
from limbeck.recipes.loading import load as load_images
from limbeck.recipes.reading import written_recipe
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import DatasetSettings

Say = Callable[[str], None]
_NOT_OPTIONS = {"name", "split", "seed", "images", "labels"}


def load_sized(
    name: str | Path, split: str, known: KnownSize | None, say: Say | None = None, **options: Any
) -> ImageSet:
    """Images of a data set, those of several sizes in the one that is known; `say` is told of it.

    Raises:
        UserError: see `limbeck.load`.
    """
    try:
        return load_images(name, split, **options)
    except SizesDiffer:
        if known is None:
            raise
    if say is not None:
        say(f"images of {str(name)!r} are brought to {known}: {known.source} (--size says another)")
    return load_images(name, split, **{**options, "size": known.size})


def load_evaluation_images(
    student: str | Path | None, data: str | Path, split: str | None, known: KnownSize | None, say: Say, **options: Any
) -> ImageSet:
    """The images of `data` to judge a saved network on, in its size; what was chosen for them is said.

    Args:
        student: where it was loaded from, if that is known. Of a run that names `data` itself, loading options are
            those of its recipe where none are given, and what it held out to judge on is judged on here.
        data: a data set, folder, file or hub id.
        split: or None for the test images, else the validation images, else all of a folder without splits.
        known: the size that the network takes or was trained with, to which images of others are brought.
        say: told what was chosen where that may surprise.
        options: of `limbeck.load`.

    Raises:
        UserError: see `limbeck.load`.
    """
    recipe = None if student is None else _recipe_on(student, data)
    options = {**_options_of(recipe), **options}
    if split is not None:
        return _load_in_size(data, split, known, say, **options)
    split, why = evaluation_split(data)
    images = _load_in_size(data, split, known, say, **options)
    if recipe is not None and split == TRAIN:
        share = recipe.data.test
        if isinstance(share, int | float) and share:
            held_out = images.split(share, seed=recipe.data.split_seed)[1]
            say(f"judged on the {len(held_out):,} images of {str(data)!r} that its run held out (--split train: all)")
            return held_out
        why += ", also those that the network learned from"
    if why:
        say(why)
    return images


def _load_in_size(name: str | Path, split: str, known: KnownSize | None, say: Say, **options: Any) -> ImageSet:
    """As `load_sized`, and images that are all of another size, which a network may take as they are."""
    images = load_sized(name, split, known, say, **options)
    if known is None or known.by_itself or options.get("size") is not None or images.shape[1:] == known.size:
        return images
    had = "x".join(map(str, images.shape[1:]))
    say(f"images of {str(name)!r}, which are {had}, are brought to {known}: {known.source} (--size says another)")
    return load_images(name, split, **{**options, "size": known.size})


def _recipe_on(student: str | Path, data: str | Path) -> Recipe | None:
    """The recipe of a run that learned from `data`, a folder or file; None for whatever else."""
    path, file = own_path(data), Path(student).expanduser() / "recipe.yaml"
    if path is None or not file.is_file():
        return None
    try:
        recipe = written_recipe(file.parent)
    except UserError:
        return None  # of an earlier version
    train = None if recipe.data.train is None else own_path(recipe.data.train.name)
    return recipe if train is not None and train.resolve() == path.resolve() else None


def _options_of(recipe: Recipe | None) -> Mapping[str, Any]:
    if recipe is None:
        return {}
    source = recipe.data.test if isinstance(recipe.data.test, DatasetSettings) else recipe.data.train
    assert source is not None
    return source.model_dump(exclude=_NOT_OPTIONS, exclude_defaults=True)
