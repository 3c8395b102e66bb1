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
LEARNED_FROM = ", also those that the network learned from"
_OF_A_RUN = ("recipe.yaml", "status.json")
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
    recipe = None if student is None else recipe_on(student, data)
    options = {**loading_of(recipe), **options}
    if split is not None:
        return _load_in_size(data, split, known, say, **options)
    split, why = evaluation_split(data)
    images = _load_in_size(data, split, known, say, **options)
    if recipe is not None and split == TRAIN:
        held_out = held_out_by(recipe, images)
        if held_out is not None:
            say(f"judged on the {len(held_out):,} images of {str(data)!r} that its run held out (--split train: all)")
            return held_out
        why += LEARNED_FROM
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


def run_of(network: str | Path) -> Path | None:
    """The folder of the run whose student is meant, by itself or by the weights in it."""
    path = Path(network).expanduser()
    if not path.exists():
        return None
    # A recipe alone may be one of the user's own that lies beside weights from elsewhere.
    return next((one for one in (path, path.parent) if all((one / name).is_file() for name in _OF_A_RUN)), None)


def recipe_on(student: str | Path, data: str | Path) -> Recipe | None:
    """The recipe of a run that learned from `data`, a folder or file; None for whatever else."""
    path, run = own_path(data), run_of(student)
    if path is None or run is None:
        return None
    try:
        recipe = written_recipe(run)
    except UserError:
        return None  # of an earlier version
    train = None if recipe.data.train is None else own_path(recipe.data.train.name)
    return recipe if train is not None and train.resolve() == path.resolve() else None


def loading_of(recipe: Recipe | None) -> Mapping[str, Any]:
    """Options of `limbeck.load` by which a run loads the images that it is judged on; none without a recipe."""
    if recipe is None:
        return {}
    source = recipe.data.test if isinstance(recipe.data.test, DatasetSettings) else recipe.data.train
    assert source is not None
    return source.model_dump(exclude=_NOT_OPTIONS, exclude_defaults=True)


def held_out_by(recipe: Recipe, images: ImageSet) -> ImageSet | None:
    """Those of all images of a folder that a run held out to be judged on; None where it learned from all of them."""
    share = recipe.data.test
    if not isinstance(share, int | float) or not share:
        return None
    return images.split(share, seed=recipe.data.split_seed)[1]
