"""The images that a saved network is judged on: by default those that its own recipe would judge it on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limbeck.data.encoded.build import SizesDiffer
from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import TRAIN, evaluation_split, own_path
from limbeck.data.place import FROM_PYTHON
from limbeck.errors import UserError
from limbeck.recipes.handed_images import HASH, hash_of, source_of, split_by_earlier_version
from limbeck.recipes.image_sizes import KnownSize
from limbeck.recipes.loading import load as load_images
from limbeck.recipes.reading import written_recipe
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.yaml_files import load_mapping
from limbeck.training.run_folder import INPUTS_FILE

Say = Callable[[str], None]
_LEARNED_FROM = ", also those that the network learned from"
_PERHAPS_LEARNED_FROM = (
    ", perhaps also those that the network learned from: its run knows these by the name {name!r} alone, for they were "
    "handed over in Python"
)
_CHANGED = "the images of {name!r} are not what they were when it learned from them, so some may be among those"
_OF_A_RUN = ("recipe.yaml", "status.json")
_NOT_OPTIONS = {"name", "split", "seed", "images", "labels", "fingerprint"}


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
    if student is not None and split == TRAIN:
        held_out, doubt = held_out_of(student, recipe, images)
        if held_out is not None:
            doubt = f"; {doubt}" if doubt else ""
            say(
                f"judged on the {len(held_out):,} images of {str(data)!r} that its run held out (--split train: all)"
                f"{doubt}"
            )
            return held_out
        why += doubt
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
    return next(
        (folder for folder in (path, path.parent) if all((folder / name).is_file() for name in _OF_A_RUN)), None
    )


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
    test, train = recipe.data.test, recipe.data.train
    named = isinstance(test, DatasetSettings) and not test.name.startswith(FROM_PYTHON)
    source = test if named else train
    assert isinstance(source, DatasetSettings)
    return source.model_dump(exclude=_NOT_OPTIONS, exclude_defaults=True)


def held_out_of(student: str | Path, recipe: Recipe | None, images: ImageSet) -> tuple[ImageSet | None, str]:
    """Those of all images of a folder that a run held out to be judged on, and in words what there is to doubt.

    Args:
        student: where the network was loaded from.
        recipe: of its run, where that names the folder.
        images: all there are in the folder.

    Returns:
        None in place of images where the run held none out, or nobody knows which; the words are then said of all.
    """
    if recipe is not None:
        assert recipe.data.train is not None
        share = recipe.data.test
        if not isinstance(share, int | float) or not share:
            return None, _LEARNED_FROM
        doubt = _CHANGED.format(name=recipe.data.train.name) if _changed(recipe.data.train, images) else ""
        return images.split(share, seed=recipe.data.split_seed)[1], doubt
    run = run_of(student)
    if run is None:
        return None, ""
    data = _written_data(run)
    parts = split_by_earlier_version(images, data)
    return (None, _learned_from(run, data, images)) if parts is None else (parts[1], "")


def _written_data(run: Path) -> Mapping[str, Any]:
    """`data` of a run's recipe, also where parts of one's own that it names are gone."""
    try:
        data = load_mapping(run / "recipe.yaml").get("data")
    except UserError:
        return {}  # which is told by whoever needs it
    return data if isinstance(data, Mapping) else {}


def _changed(source: DatasetSettings, images: ImageSet) -> bool:
    """Whether images that were loaded as `source` says are others than its fingerprint tells."""
    if source.fingerprint is None or images.origin is None:
        return False
    loaded = DatasetSettings.model_validate(source_of(images))
    alike = {"name": source.name, "split": source.split, "fingerprint": source.fingerprint}
    return loaded.model_copy(update=alike) == source and loaded.fingerprint != source.fingerprint


def _learned_from(run: Path, data: Mapping[str, Any], images: ImageSet) -> str:
    """What the fingerprints and names that a run wrote down say of images that it does not name."""
    try:
        taught = json.loads((run / INPUTS_FILE).read_text()).get("train") or {}
    except (OSError, ValueError):
        taught = {}
    train = data.get(TRAIN)
    if images.fingerprint[:HASH] in (hash_of(train), str(taught.get("fingerprint"))[:HASH]):
        return _LEARNED_FROM
    handed = isinstance(train, Mapping) and str(train.get("name")).startswith(FROM_PYTHON)
    return _PERHAPS_LEARNED_FROM.format(name=images.name) if handed and taught.get("name") == images.name else ""
