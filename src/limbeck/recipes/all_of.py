"""Expands `data: NAME` into the training, validation and test images of that data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.data.catalogue import find, in_catalogue
from limbeck.data.layout import listing
from limbeck.data.own_splits import TEST, TRAIN, VALIDATION, own_splits
from limbeck.data.place import path_text
from limbeck.errors import UserError
from limbeck.recipes.yaml_files import misread

TEST_SHARE = 0.2
"""Share held out as test images from a folder or file that has no splits."""


def all_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """`data` of a recipe with `train`, `validation` and `test` in place of the `name` of one data set.

    Keys beside `name` override what the name stands for; a mapping among them without a `name` of its own refers to
    the same data set.

    Args:
        content: with the key `name`.

    Raises:
        UserError: a folder or file has no training images, or its layout can be read in two ways.

    Example:
        >>> all_of({"name": "digits", "test": {"size": 16}})
        {'train': {'name': 'digits'}, 'test': {'name': 'digits', 'size': 16}}
    """
    name, stated = content["name"], {key: value for key, value in content.items() if key != "name"}
    if not isinstance(name, str | Path):
        raise ValueError(f"`name` must be a data set, folder, file or hub id, as text, got {name!r}{misread(name)}")
    name = path_text(name)
    parts = _parts(name, stated)
    for part in (TRAIN, TEST, VALIDATION):
        if isinstance(settings := stated.get(part), Mapping) and "name" not in settings:
            implied = parts.get(part)
            stated[part] = {**(implied if isinstance(implied, Mapping) else {"name": name}), **settings}
    return parts | stated


def _parts(name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    """part of `data` -> what the data set supplies for it, unless `stated` says otherwise."""
    splits, entry = own_splits(name), {"name": name}
    if not splits:
        return {TRAIN: entry, TEST: _named_test(name, entry)}
    if TRAIN not in splits and TRAIN not in stated:
        raise UserError(
            f"{name!r} holds {listing(splits)} and nothing to learn from, which would be in a folder `train`; add "
            f"that, or say what to learn from, as `train: {name}/...`"
        )
    if TEST in splits:
        return {TRAIN: entry, TEST: entry, **({VALIDATION: entry} if VALIDATION in splits else {})}
    return {TRAIN: entry, TEST: {**entry, "split": VALIDATION} if VALIDATION in splits else TEST_SHARE}


def _named_test(name: str, every: Mapping[str, Any]) -> Any:
    """Test images of a catalogue or hub data set; only the catalogue tells whether there are any."""
    info = find(name) if in_catalogue(name) else None
    if info is None or info.procedural or TEST in info.splits:
        return every
    return {**every, "split": VALIDATION} if VALIDATION in info.splits else TEST_SHARE
