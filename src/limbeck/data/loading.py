"""`load`: turns a name, a folder, a file, a hub id or a Python object into an `ImageSet`."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from limbeck.data.catalogue import DatasetInfo, find, in_catalogue
from limbeck.data.encoded.build import LoadOptions, both_sides, build_image_set
from limbeck.data.encoded.from_set import encoded_from
from limbeck.data.finding import Reading, find_encoded
from limbeck.data.image_set import ImageSet
from limbeck.data.objects.loading import check_of_names, load_first_object, load_object
from limbeck.data.objects.opened import How, Layout
from limbeck.data.objects.reading import OBJECTS, ImagesLike, check_split, is_object, not_images
from limbeck.data.origin import origin_of_load
from limbeck.data.own_datasets import load_own
from limbeck.data.pixel_range import checked_scale
from limbeck.data.place import other_reading
from limbeck.data.procedural.arguments import check_number, is_procedural
from limbeck.data.procedural.loading import load_procedural
from limbeck.data.use import carried_beside
from limbeck.errors import UserError


def load(
    name: ImagesLike,
    split: str = "train",
    *,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: bool = False,
    scale: float | None = None,
    in_memory: bool | None = None,
    root: str | Path | None = None,
    classes: Sequence[str | int] | None = None,
    labels: bool = True,
    images: int | None = None,
    seed: int | None = None,
    layout: Layout | None = None,
) -> ImageSet:
    """Images and labels of a named dataset, of the user's own files, of any dataset on the hub, or of an object.

    Ids are row numbers: of the split, of the sorted list of files, of the array; of ImageNet in class folders a million
    times the class's number and the place in its folder. They stay when `classes` or `skip_unreadable` leave images
    out. Decoded pixels are kept in the cache folder (`LIMBECK_CACHE`) when decoding took longer than a second, and are
    memory-mapped from there the next time.

    Args:
        name: a name of the catalogue (`limbeck ls datasets`; `imagenette:320px` for another configuration), looked for
            under the local root first and then on the hub; a folder of class folders, or of images and a
            `metadata.csv`, also with `train/` and `test/` or `val/` above them; a Parquet file or a folder of them; a
            `.npz`; a hub id "owner/name" or "owner/name:config". A `Path`, and a string that starts as one
            ("./cifar10"), is never anything else; `docs/data.md` shows how folders and files are read. Or an object: a
            `datasets.Dataset`, several by the names of their splits, a torch `Dataset`, an array or tensor, (images,
            labels), a data frame, an `ImageSet`.
        split: "train", "test", "validation"; what else the dataset has.
        size: pixels, one number or (height, width): every image is scaled until it covers that and cropped to its
            centre. Default: their own size when all have the same, else the catalogue's, else an error.
        channels: 1 or 3. Default: the catalogue's, else 1 if all images are gray, else 3.
        image_column, label_column: columns of a table or a `metadata.csv`, arrays of a `.npz` or keys of the items of a
            torch `Dataset`, where they are none of the usual.
        skip_unreadable: leave out images that cannot be decoded, counted in `ImageSet.skipped`, instead of stopping.
        scale: the stored value that becomes white, > 0, in arrays and in files of more than 8 bits: 4095 for 12-bit
            data in 16-bit files, 255 for floats in 0..255. Larger values are refused. Files of 8 bits stay as they are.
            Default: 65535 for 16-bit files and integers, 255 for other integers, 1 for floats, with a warning where no
            value of the set reaches half of that.
        in_memory: whether pixels are held decoded. Default: if they take at most 4 GiB; else they stay encoded in
            memory-mapped files and are decoded when asked for.
        root: folder of datasets by hub id, `<root>/<hub id>/<config>/<split>-*.parquet`; ImageNet also in class
            folders, `<root>/ILSVRC/imagenet-1k/train/n01440764/`. Where it is given, the hub is not asked. Default:
            `$LIMBECK_DATA`, then the hub.
        classes: names or numbers of the classes to keep, renumbered from 0 in this order. Default: all.
        labels: False leaves the labels and the names of the classes aside, as of images of other things than those to
            be told apart. `classes` still chooses among the images.
        images: of procedural images ("dead-leaves", "noise:pink") and of streams, how many there are; they have no end.
        seed: of procedural images, any whole number. Default: 0.
        layout: of an array or tensor whose shape can be read in two ways, "NCHW", "NHWC" or "NHW".

    Raises:
        UserError: nothing of that name, or not under `root`, no such split, column or class, no images, unreadable
            ones, images of several sizes and no `size`, a folder that can be read in two ways, procedural images
            without a number.

    Example:
        >>> images = load("digits", "test")
        >>> images.shape, images.num_classes
        ((1, 8, 8), 10)
        >>> load("dead-leaves", images=500, size=16, seed=1).shape
        (3, 16, 16)
        >>> load((torch.rand(6, 3, 32, 32), [0, 1, 0, 1, 0, 1]))
        ImageSet('tensor', 6 images 3x32x32, 2 classes)
    """
    options = _load_options(size, channels, skip_unreadable, in_memory, scale)
    if is_object(name):
        check_of_names(root=root, seed=seed)
        check_split(name, split)
        how = How(image_column, label_column, layout, images, options)
        return load_object(name, split, how, classes=classes, labels=labels)
    name = _checked_name(name)
    if layout is not None:
        raise UserError(f"`layout` is for arrays and tensors, and {str(name)!r} is none; leave it out, got {layout!r}.")
    check_number(name, images, seed)
    if remark := other_reading(name, root):
        warnings.warn(remark, stacklevel=2)
    columns = {"image_column": image_column, "label_column": label_column}
    arguments = {"size": size, "channels": channels, "scale": scale, "in_memory": in_memory, **columns}
    arguments |= {"classes": None if classes is None else tuple(classes), "images": images, "seed": seed}
    origin = origin_of_load(name, split, root=root, labels=labels, skip_unreadable=skip_unreadable, **arguments)
    if images is not None:  # only procedural images have a number
        shown = {"seed": 0 if seed is None else seed, "columns": (image_column, label_column), "classes": classes}
        return load_procedural(find(str(name)), split, options, images, **shown).with_origin(origin)
    if (entry := _registered(name)) is not None:
        loaded = load_own(entry, split, options, (image_column, label_column), classes)
        return (loaded if labels else loaded.with_labels(None, ())).with_origin(origin)
    info = find(str(name)) if in_catalogue(name) else None
    keep = classes if info is None or info.keep is None else _within(classes, info)
    reading = Reading(image_column, label_column, in_memory is False, root, scale, classes=keep)
    found = find_encoded(name, split, reading, labels_needed=labels or classes is not None)
    for remark in found.remarks:
        warnings.warn(remark, stacklevel=2)
    if lost := ([] if info is not None else carried_beside(name)):
        warnings.warn(
            f"{str(name)!r} is a transfer set that carries {' and '.join(lost)}, and only its 8-bit images are loaded; "
            "`lb.TransferSet.load`, `lb.distill` and `data.train` of recipes take all of it.",
            stacklevel=2,
        )
    where = f"{str(name)!r} ({split})"
    loaded = build_image_set(found.encoded_set, options, name=found.name, keep=keep, where=where)
    return (loaded if labels else loaded.with_labels(None, ())).with_origin(origin)


def as_image_set(images: ImagesLike, split: str, argument: str) -> ImageSet:
    """Images for an argument that accepts whatever `load` does: an `ImageSet` as it is, anything else loaded.

    Args:
        images: see `load`.
        split: of a name, and of an object that has several; an object without splits is taken as it is.
        argument: what to call it in messages.

    Raises:
        UserError: see `load`.

    Example:
        >>> as_image_set(torch.zeros(5, 28, 28), "test", "test")
        ImageSet('tensor', 5 images 1x28x28, unlabelled)
    """
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        return load(images, split)
    if not is_object(images):
        raise not_images(argument, repr(images) if images is None else type(images).__name__)
    return load_object(images, split, How())


def load_first(
    name: ImagesLike,
    split: str = "train",
    *,
    count: int | None,
    shape: tuple[int, int, int],
    image_column: str | None = None,
    label_column: str | None = None,
    skip_unreadable: bool = False,
    scale: float | None = None,
    seed: int = 0,
) -> ImageSet:
    """The first `count` images (None for all) as `load` gives them, without decoding others, for uses that can do
    without labels: labels that cannot be numbered are ignored with a warning, unless `label_column` names them.

    Args:
        name, split, image_column, label_column, skip_unreadable, scale: see `load`.
        count: at least 1; unreadable images count, too.
        shape: (C, H, W) that all images are converted to.
        seed: of procedural images; not for others.

    Raises:
        UserError: see `load`.

    Example:
        >>> load_first("digits", count=100, shape=(3, 16, 16))
        ImageSet('digits/train', 100 images 3x16x16, 10 classes)
    """
    channels, *size = shape
    options = _load_options((size[0], size[1]), channels, skip_unreadable, None, scale)
    if isinstance(name, ImageSet):
        return first_of(name, count=count, shape=shape)
    if is_object(name):
        check_of_names(seed=seed or None)
        return load_first_object(name, split, How(image_column, label_column, None, count, options))
    name = _checked_name(name)
    if remark := other_reading(name, None):
        warnings.warn(remark, stacklevel=2)
    if is_procedural(name):
        check_number(name, count, seed)
        assert count is not None
        return load_procedural(find(str(name)), split, options, count, seed=seed, columns=(image_column, label_column))
    check_number(name, None, seed or None)
    if (entry := _registered(name)) is not None:
        return first_of(load_own(entry, split, options, (image_column, label_column), None), count=count, shape=shape)
    reading = Reading(image_column, label_column, False, None, scale)
    found = find_encoded(name, split, reading, labels_needed=label_column is not None)
    if found.unusable:
        warnings.warn(f"the labels of {str(name)!r} are left aside: {found.unusable}", stacklevel=2)
    for remark in found.remarks:
        warnings.warn(remark, stacklevel=2)
    keep = None if found.info is None else found.info.keep
    return build_image_set(found.encoded_set, options, name=found.name, keep=keep, first=count)


def first_of(images: ImageSet, *, count: int | None, shape: tuple[int, int, int]) -> ImageSet:
    """The first `count` (None for all) of images that are loaded already, converted to (C, H, W) like `load_first`.

    Example:
        >>> first_of(images, count=5, shape=(3, 16, 16))
        ImageSet('digits/train', 5 images 3x16x16, 10 classes)
    """
    if images.shape == shape:
        return images if count is None or count >= len(images) else images.subset(images.ids[:count])
    channels, *size = shape
    options = _load_options((size[0], size[1]), channels, False, None, None)
    return build_image_set(encoded_from(images), options, name=images.name, first=count)


def _checked_name(name: object) -> str | Path:
    if not isinstance(name, str | Path) or name == "":
        raise UserError(
            "`name` must be a data set of the catalogue, a folder, a file or a hub id, as a string or `Path`, got "
            f"{name!r}; the folder at hand is '.', and {OBJECTS} are taken, too."
        )
    return name


def _registered(name: str | Path) -> DatasetInfo | None:
    """The entry of a data set that the user's own function makes, or None if `name` is not one."""
    info = find(str(name)) if in_catalogue(name) else None
    return info if info is not None and info.made_by is not None else None


def _load_options(
    size: int | tuple[int, int] | None,
    channels: int | None,
    skip_unreadable: bool,
    in_memory: bool | None,
    scale: float | None,
) -> LoadOptions:
    both = None if size is None else both_sides(size)
    if channels not in (None, 1, 3) or isinstance(channels, bool):
        raise UserError(f"`channels` must be 1 (gray) or 3 (RGB), got {channels!r}.")
    return LoadOptions(both, channels, skip_unreadable, in_memory, checked_scale(scale))


def _within(classes: Sequence[str | int] | None, info: DatasetInfo) -> Sequence[str | int]:
    assert info.keep is not None
    if classes is None:
        return info.keep
    for choice in classes:
        if isinstance(choice, int) and not 0 <= choice < len(info.keep):
            raise UserError(f"`classes` must lie in 0..{len(info.keep) - 1}, got {choice}.")
    return [info.keep[choice] if isinstance(choice, int) else choice for choice in classes]
