"""Loads the images that a recipe names, in one size if theirs differ or are of another aspect than the network's."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from limbeck.data.catalogue import find, in_catalogue
from limbeck.data.encoded.build import COVERED, SizesDiffer
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.finding import Reading, find_encoded
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load as load_images
from limbeck.data.local import NoSuchSplit
from limbeck.data.origin import Origin
from limbeck.data.own_splits import TEST, TRAIN, VALIDATION, own_path, own_splits
from limbeck.data.place import FROM_PYTHON
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_set_folder import CONFIG_NAME
from limbeck.errors import UserError
from limbeck.recipes.image_sizes import KnownSize
from limbeck.recipes.settings import DatasetSettings, DataSettings

PARTS = (TRAIN, TEST, VALIDATION)
_NOT_OPTIONS = {"name", "split", "fingerprint"}
"""Settings that are no options of `limbeck.load`."""
Sources = Mapping[str, DatasetSettings]


@dataclass(frozen=True)
class Loaded:
    """Images of a recipe by part, and the size that they were resized to if theirs differed."""

    parts: Mapping[str, TransferSet]
    size: KnownSize | None = None

    def images(self, part: str) -> ImageSet | None:
        """The images for "train", "test" or "validation", if the recipe names some."""
        return self.parts[part].images if part in self.parts else None


class NoSize(UserError):
    """Images of several sizes, and neither networks nor recipe say to which one to resize them."""


def sources_of(data: DataSettings) -> dict[str, DatasetSettings]:
    """Settings of the images to load for "train", "test" and "validation", except shares to hold out."""
    named = {part: getattr(data, part) for part in PARTS}
    return {part: source for part, source in named.items() if isinstance(source, DatasetSettings)}


def load_sources(
    sources: Sources,
    size: Callable[[], KnownSize | None],
    *,
    only: Collection[str] = PARTS,
    train: ImageSet | None = None,
) -> Loaded:
    """Loads images; those of several sizes, or all of another aspect, come in the size that `size` returns.

    They are scaled until they cover it and cropped to its centre, in place of being stretched by a network. Images of
    one size and that aspect are not resized, except the user's own beside others that are.

    Args:
        sources: what the recipe names.
        size: returns the size that networks take; called unless the recipe says a size of all images.
        only: parts to load.
        train: training images that are loaded already.

    Raises:
        UserError: see `limbeck.load`; a missing split or an unknown size, and the key of the recipe that sets it.
    """
    loaded: dict[str, TransferSet] = {}
    differing: dict[str, SizesDiffer] = {}
    wanted = {part: source for part, source in sources.items() if part in only}
    for part in wanted:
        try:
            loaded[part] = load_part(part, sources)
        except SizesDiffer as error:
            differing[part] = error
    known_size = size() if any(source.size is None for source in wanted.values()) else None
    unfit = {part for part in loaded if _unfit(loaded[part], wanted[part], known_size)}
    if not differing and not unfit:
        return Loaded(loaded)
    known_size = known_size or _size_of(train if TRAIN not in loaded else loaded[TRAIN].images, sources)
    if known_size is None:
        raise NoSize(_no_size(differing, sources))
    for part, source in wanted.items():
        own = own_path(source.name) is not None and not is_transfer_set(source)
        if part in differing or part in unfit or (own and source.size is None):
            loaded[part] = load_part(part, {**sources, part: sized(source, known_size)})
    return Loaded({part: loaded[part] for part in wanted}, known_size)


def sized(source: DatasetSettings, known_size: KnownSize) -> DatasetSettings:
    """Settings that bring the images to that size."""
    return source.model_copy(update={"size": known_size.size})


def _unfit(loaded: TransferSet, source: DatasetSettings, known_size: KnownSize | None) -> bool:
    """Whether images are not as a network of that size wants them, and may be resized; see `load_training_images`."""
    if known_size is None or source.size is not None or known_size.fits(loaded.images, source.name):
        return False
    return not is_transfer_set(source) or not _carried(TransferSet.load(Path(source.name).expanduser()))


def load_part(part: str, sources: Sources) -> TransferSet:
    """The images for `part`: all of a folder without splits, unless the same folder is trained on.

    Raises:
        SizesDiffer: the images have several sizes.
        UserError: see `limbeck.load`; the split is missing.
    """
    source = sources[part]
    try:
        return load_training_images(source) if part == TRAIN else TransferSet(load_named(source, part))
    except NoSuchSplit as error:
        train = sources.get(TRAIN)
        learned = part != TRAIN and train is not None and _same_place(train, source)
        if source.split is None and part != TRAIN and not learned and own_splits(source.name) == (TRAIN,):
            return TransferSet(load_named(source.model_copy(update={"split": TRAIN}), part))
        raise UserError(_no_split(part, source, error, learned=learned)) from None


def load_named(source: DatasetSettings, split: str) -> ImageSet:
    """The images that settings name, from `split` if they name none.

    Raises:
        UserError: see `limbeck.load`; the images were handed over in Python, or do not match `fingerprint`.
    """
    if source.name.startswith(FROM_PYTHON):
        raise UserError(f"the images {source.name!r} were handed over in Python; hand them over again to resume there.")
    options = source.model_dump(exclude=_NOT_OPTIONS, exclude_none=True)
    return _checked(load_images(source.name, source.split or split, **options), source)


def is_transfer_set(source: DatasetSettings) -> bool:
    """Whether it is the folder of a transfer set; catalogue names are not, even if a folder has such a name."""
    return not in_catalogue(source.name) and (Path(source.name).expanduser() / CONFIG_NAME).is_file()


def load_training_images(source: DatasetSettings) -> TransferSet:
    """Training images, with everything that they carry if `source` is the folder of a transfer set."""
    if not is_transfer_set(source):
        return TransferSet(load_named(source, TRAIN))
    changes = source.model_dump(exclude={*_NOT_OPTIONS, "in_memory", "labels"}, exclude_defaults=True)
    transfer_set = TransferSet.load(Path(source.name).expanduser())
    if not changes:
        images = (
            transfer_set.images if source.labels else transfer_set.images.with_labels(None, transfer_set.images.classes)
        )
        decoded = replace(transfer_set, images=images).decoded()
        origin = Origin(source.name, TRAIN, {} if source.labels else {"labels": False})
        return replace(decoded, images=_checked(decoded.images, source).with_origin(origin))
    if what := _carried(transfer_set):
        raise UserError(
            f"`data.train` is the transfer set {source.name!r}, whose {what} of its images as they are; drop "
            f"{', '.join(f'`{key}`' for key in changes)}."
        )
    return TransferSet(load_named(source, TRAIN))


def load_training_images_in(source: DatasetSettings, known_size: KnownSize | None) -> TransferSet:
    """As `load_training_images`, in that size if theirs differ or are of another aspect.

    Raises:
        SizesDiffer: the images have several sizes, and none is known.
    """
    try:
        loaded = load_training_images(source)
        if not _unfit(loaded, source, known_size):
            return loaded
    except SizesDiffer:
        if known_size is None:
            raise
    assert known_size is not None
    return load_training_images(sized(source, known_size))


def _carried(transfer_set: TransferSet) -> str:
    """What a transfer set holds that is of its images as they are; "" if nothing is."""
    carried = {
        "soft labels are": transfer_set.soft_labels is not None,
        "use is": transfer_set.use is not None,
        "floats are": transfer_set.floats is not None,
        "parts are": transfer_set.per_image > 1,
    }
    return next((name for name, there in carried.items() if there), "")


def encoded_images(source: DatasetSettings, part: str) -> EncodedImages | None:
    """The images for `part`, not yet decoded; None for images that are not encoded, for a choice of classes, and where
    `load_part` reports an error."""
    info = find(source.name) if in_catalogue(source.name) else None
    if is_transfer_set(source) or source.classes or (info is not None and info.hub_id is None):
        return None
    reading = Reading(source.image_column, source.label_column, True, None, source.scale)
    try:
        return find_encoded(source.name, source.split or part, reading, labels_needed=False).encoded_set.images
    except NoSuchSplit:
        return None


def _checked(images: ImageSet, source: DatasetSettings) -> ImageSet:
    """`images`, if they match the fingerprint of `source`; otherwise raises a UserError."""
    if source.fingerprint is None or images.fingerprint.startswith(source.fingerprint):
        return images
    raise UserError(
        f"the images of {source.name!r} ({images.name}) are not those that were meant: `fingerprint` must be "
        f"{source.fingerprint}, got {images.fingerprint[:12]} of {len(images):,} images. Bring back what they were, or "
        "leave out `fingerprint` where others will do."
    )


def _same_place(source: DatasetSettings, other: DatasetSettings) -> bool:
    paths = [own_path(settings.name) for settings in (source, other)]
    return None not in paths and paths[0].resolve() == paths[1].resolve()  # pyright: ignore


def _size_of(train: ImageSet | None, sources: Sources) -> KnownSize | None:
    """The size of the training images, if all have the same."""
    if train is None:
        return None
    _, height, width = train.shape
    return KnownSize((height, width), f"what all images of {sources[TRAIN].name!r} to learn from have")


def _no_size(differing: Mapping[str, SizesDiffer], sources: Sources) -> str:
    """The error message for unknown sizes: the key of the recipe that sets it, and an example."""
    names = dict.fromkeys(sources[part].name for part in differing)
    first = next(iter(differing.values()))
    all_names = {source.name for source in sources.values()}
    name = f"name: {next(iter(names))}, " if len(all_names) == 1 else "..., "
    return (
        f"`data.size` must be given: the images of {' and '.join(map(repr, names))} differ in size ({first.found}), "
        f"and neither student nor teacher is of one. For instance `data: {{{name}size: {first.example}}}` in the "
        f"recipe, or -s data.size={first.example}: {COVERED}."
    )


def _no_split(part: str, source: DatasetSettings, error: NoSuchSplit, *, learned: bool) -> str:
    """The error message for a missing split: the key of the recipe that names it, or that holds images out."""
    have = " and ".join(map(repr, error.available))
    wanted = f"{source.name!r} has no split {source.split or part!r}, but {have}"
    if learned and error.available == (TRAIN,):
        share = {TEST: 0.2, VALIDATION: 0.1}[part]
        return (
            f"`data.{part}`: {wanted}, which is learned from. `data.{part}: {share}` holds a share of it out, and "
            f"`data: {source.name}` does so by itself."
        )
    if part == TEST and source.split is None and VALIDATION in error.available:
        return (
            f"`data.test`: {wanted}. `data.test.split: validation` judges on its validation images, and "
            f"`data: {source.name}` does so by itself."
        )
    return f"`data.{part}.split` must be one of those there are: {wanted}."
