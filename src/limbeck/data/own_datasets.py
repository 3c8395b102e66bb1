"""Data sets of the user's own: entries made from a `DatasetInfo`, or from a function that loads a split."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from limbeck.data.catalogue import DatasetInfo, Split, find_split
from limbeck.data.encoded.build import LoadOptions, build_image_set
from limbeck.data.encoded.from_set import encoded_from
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.signatures import inputs_and_options, summary_of

_SAID = ("summary", "splits", "num_classes", "size", "channels", "licence", "remark")


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> DatasetInfo:
    """The catalogue's entry of a data set of the user's own.

    Args:
        name: its name.
        part: a `DatasetInfo` of a repository on the hub, or a function from the name of a `split` to an `ImageSet`.
        remarks: for a function: `splits`, names or a mapping from name to number of images, by default "train" and
            "test"; `num_classes`, `size` (height, width), `channels`, `licence`, and a `summary` or `remark` for
            listings.

    Raises:
        UserError: it is neither.
    """
    what = f"data set {name!r}"
    if isinstance(part, DatasetInfo):
        check_remarks(remarks, (), what)
        if part.hub_id is None and part.made_by is None:
            raise UserError(f"{what} must have a `hub_id`, or be a function from a split to an `ImageSet`.")
        return replace(part, name=name)
    if not callable(part) or isinstance(part, type):
        raise UserError(f"{what} must be a `DatasetInfo` or a function from a split to an `ImageSet`, got {part!r}.")
    check_remarks(remarks, _SAID, what)
    inputs, _ = inputs_and_options(part, ("split",), what)
    if inputs != ["split"]:
        raise UserError(f"{what} must take `split`, the name of the split to load, got no such parameter.")
    splits = remarks.get("splits", ("train", "test"))
    if isinstance(splits, str) or not all(isinstance(split, str) and split for split in splits) or not splits:
        raise UserError(f"`splits` of {what} must be names, at least one, got {splits!r}.")
    counts = splits if isinstance(splits, Mapping) else dict.fromkeys(splits)
    return DatasetInfo(
        name=name,
        hub_id=None,
        config=None,
        image_column="",
        label_column="",
        splits={split: Split(split, count) for split, count in counts.items()},
        num_classes=int(remarks.get("num_classes", 0)),
        size=tuple(remarks.get("size", (0, 0))),  # pyright: ignore[reportArgumentType] (of two)
        channels=int(remarks.get("channels", 0)),
        licence=str(remarks.get("licence", "")),
        remark=str(remarks.get("remark", remarks.get("summary", summary_of(part)))),
        made_by=_loader(part, what),
    )


def load_own(
    info: DatasetInfo,
    split: str,
    options: LoadOptions,
    columns: tuple[str | None, str | None],
    classes: Sequence[str | int] | None,
) -> ImageSet:
    """A split of a data set of the user's own, with the options of `load`.

    Raises:
        UserError: no such split; columns, of which it has none; see also `build_image_set`.
    """
    assert info.made_by is not None
    if any(columns):
        raise UserError(f"{info.name!r} has no columns; leave out `image_column` and `label_column`.")
    images = info.made_by(find_split(info, split).hub_name)
    name = f"{info.name}/{split}"
    if classes is None and options == LoadOptions(in_memory=options.in_memory):
        renamed = copy.copy(images)
        renamed.name = name
        return renamed
    if options.size is None and options.channels is None:
        options = replace(options, channels=images.shape[0])
    return build_image_set(encoded_from(images), options, name=name, keep=classes)


def _loader(function: Callable[..., Any], what: str) -> Callable[[str], ImageSet]:
    def load(split: str) -> ImageSet:
        images = function(split=split)
        if not isinstance(images, ImageSet):
            raise UserError(f"{what} must give an `ImageSet`, got {type(images).__name__}.")
        return images

    return load
