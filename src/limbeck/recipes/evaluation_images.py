"""The images that a saved network is evaluated on: by default those that its own recipe would use."""

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
from limbeck.recipes.reading import written_data
from limbeck.recipes.settings import DatasetSettings, DataSettings
from limbeck.recipes.shares import HeldOutParts, hold_out
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
    """Images of a data set; those of several sizes, or all of another aspect than `known`, are scaled until they cover
    that and cropped to its centre, which `say` reports. A network that resizes images by itself would stretch them, or
    see fewer pixels than there are where the catalogue chose their size.

    Raises:
        UserError: see `limbeck.load`.
    """
    try:
        images = load_images(name, split, **options)
        if known is None or options.get("size") is not None or known.fits(images, name):
            return images
    except SizesDiffer:
        if known is None:
            raise
    if say is not None:
        say(f"images of {str(name)!r} are brought to {known}: {known.source} (--size says another)")
    return load_images(name, split, **{**options, "size": known.size})


def load_evaluation_images(
    student: str | Path | None, data: str | Path, split: str | None, known: KnownSize | None, say: Say, **options: Any
) -> ImageSet:
    """The images of `data` to evaluate a saved network on, in its size; `say` reports what was chosen.

    Args:
        student: where it was loaded from, if that is known. If its run names `data` itself, loading options default to
            those of its recipe, and the images that it held out for evaluation are used here.
        data: a data set, folder, file or hub id.
        split: or None for the test images, else the validation images, else all images of a folder without splits.
        known: the size that the network takes or was trained with, to which images of other sizes are resized; one
            that resizes them by itself is left those of its own aspect.
        say: called with a sentence on each choice that may surprise.
        options: of `limbeck.load`.

    Raises:
        UserError: see `limbeck.load`.
    """
    settings = None if student is None else data_settings_on(student, data)
    options = {**loading_of(settings), **options}
    if split is not None:
        images = _load_in_size(data, split, known, say, **options)
        if student is not None and (doubt := _doubt_about_split(student, settings, images, split)):
            say(f"all images of {str(data)!r} in its split {split!r} are judged on{doubt}")
        return images
    split, why = evaluation_split(data)
    images = _load_in_size(data, split, known, say, **options)
    if student is not None and split == TRAIN:
        held_out, doubt = held_out_of(student, settings, images)
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
    """As `load_sized`, but also resizes images that all have one other size, which the network would not refuse."""
    images = load_sized(name, split, known, say, **options)
    if known is None or known.by_itself or options.get("size") is not None or images.shape[1:] == known.size:
        return images
    had = "x".join(map(str, images.shape[1:]))
    say(f"images of {str(name)!r}, which are {had}, are brought to {known}: {known.source} (--size says another)")
    return load_images(name, split, **{**options, "size": known.size})


def run_of(network: str | Path) -> Path | None:
    """The run folder of a student, given that folder or the folder of weights in it; None for other networks."""
    path = Path(network).expanduser()
    if not path.exists():
        return None
    # A recipe without a status may be a file of the user's own beside weights from elsewhere.
    return next(
        (folder for folder in (path, path.parent) if all((folder / name).is_file() for name in _OF_A_RUN)), None
    )


def data_settings_on(student: str | Path, data: str | Path) -> DataSettings | None:
    """What the recipe of the student's run says of its images, if that learned from `data`, a folder or file; otherwise
    None."""
    path, run = own_path(data), run_of(student)
    if path is None or run is None:
        return None
    try:
        settings = written_data(run)
    except UserError:
        return None  # of an earlier version
    train = None if settings.train is None else own_path(settings.train.name)
    return settings if train is not None and train.resolve() == path.resolve() else None


def loading_of(settings: DataSettings | None) -> Mapping[str, Any]:
    """Options of `limbeck.load` with which a run loads its evaluation images; empty without settings."""
    if settings is None:
        return {}
    test, train = settings.test, settings.train
    named = isinstance(test, DatasetSettings) and not test.name.startswith(FROM_PYTHON)
    source = test if named else train
    assert isinstance(source, DatasetSettings)
    return source.model_dump(exclude=_NOT_OPTIONS, exclude_defaults=True)


def held_out_of(student: str | Path, settings: DataSettings | None, images: ImageSet) -> tuple[ImageSet | None, str]:
    """The images of a folder that a run held out for evaluation, and in words any doubt about them.

    Args:
        student: where the network was loaded from.
        settings: of its run, if they name the folder. Otherwise the images are compared with those that the run
            recorded: it may be the same folder, named from elsewhere, or a copy.
        images: all images of the folder.

    Returns:
        None in place of images if the run held none out, or it is unknown which; the words are then about all images.
    """
    if settings is not None:
        assert settings.train is not None
        share = settings.test
        if not isinstance(share, int | float) or not share:
            return None, _LEARNED_FROM
        doubt = _CHANGED.format(name=settings.train.name) if _changed(settings.train, images) else ""
        return images.split(share, seed=settings.split_seed)[1], doubt
    run = run_of(student)
    if run is None:
        return None, ""
    data = _written_data(run)
    if (earlier := split_by_earlier_version(images, data)) is not None:
        return earlier[1], ""
    parts = _split_as_in_run(run, images)
    if parts is not None and parts.test is not None:
        return parts.test, ""
    return None, _LEARNED_FROM if parts is not None else _learned_from(run, data, images)


def _doubt_about_split(student: str | Path, settings: DataSettings | None, images: ImageSet, split: str) -> str:
    """Whether the network learned from the images of a split that was asked for, in words."""
    if settings is not None and settings.train is not None and split == (settings.train.split or TRAIN):
        return _LEARNED_FROM
    run = run_of(student)
    if run is None:
        return ""
    if _split_as_in_run(run, images) is not None:
        return _LEARNED_FROM
    return _learned_from(run, _written_data(run), images)


def _split_as_in_run(run: Path, images: ImageSet) -> HeldOutParts | None:
    """`images` as the run split those that it was given to learn from; None if these are others, or it is unknown."""
    train = _recorded(run)
    try:
        parts = hold_out(images, written_data(run))
    except UserError:
        return None
    same = train.get("images") == len(parts.train) and train.get("fingerprint") == parts.train.fingerprint
    return parts if same else None


def _recorded(run: Path) -> Mapping[str, Any]:
    """What the run wrote down of the images that it learned from; empty if nothing."""
    try:
        return json.loads((run / INPUTS_FILE).read_text()).get(TRAIN) or {}
    except (OSError, ValueError):
        return {}


def _written_data(run: Path) -> Mapping[str, Any]:
    """`data` of a run's recipe, which is found even if the recipe names parts that are no longer there."""
    try:
        data = load_mapping(run / "recipe.yaml").get("data")
    except UserError:
        return {}  # reported where the recipe is needed
    return data if isinstance(data, Mapping) else {}


def _changed(source: DatasetSettings, images: ImageSet) -> bool:
    """Whether images loaded with the settings of `source` have another fingerprint than it records."""
    if source.fingerprint is None or images.origin is None:
        return False
    loaded = DatasetSettings.model_validate(source_of(images))
    alike = {"name": source.name, "split": source.split, "fingerprint": source.fingerprint}
    return loaded.model_copy(update=alike) == source and loaded.fingerprint != source.fingerprint


def _learned_from(run: Path, data: Mapping[str, Any], images: ImageSet) -> str:
    """Whether the network learned from `images`, in words, by fingerprints and names that its run recorded."""
    recorded, train = _recorded(run), data.get(TRAIN)
    hashes = {hash_of(train)} - {None}
    if recorded.get("images") == len(images):  # the count is compared first, for a fingerprint reads every image
        hashes.add(str(recorded.get("fingerprint"))[:HASH])
    if hashes and images.fingerprint[:HASH] in hashes:
        return _LEARNED_FROM
    handed = isinstance(train, Mapping) and str(train.get("name")).startswith(FROM_PYTHON)
    return _PERHAPS_LEARNED_FROM.format(name=images.name) if handed and recorded.get("name") == images.name else ""
