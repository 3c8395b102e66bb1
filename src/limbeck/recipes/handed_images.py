"""How recipes name images that are handed over in Python, and whether two recipes name the same images."""

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import TEST
from limbeck.data.place import FROM_PYTHON
from limbeck.recipes.all_of import TEST_SHARE
from limbeck.recipes.reading import renewed
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.sources import PARTS

HASH = 12
"""Hex digits of a fingerprint in recipes."""


def name_of_images(images: ImageSet) -> str:
    """The name in a recipe of images that cannot be loaded by name, so that a run is never resumed with others.

    Example:
        >>> name_of_images(images).partition("#")[0]
        'python:digits/train'
    """
    return f"{FROM_PYTHON}{images.name}#{images.fingerprint[:HASH]}"


def source_of(images: ImageSet) -> dict[str, Any]:
    """Images as a recipe has them: the arguments of `limbeck.load` that loaded them, and their fingerprint.

    Images that cannot be loaded again, as a subset or an array, are named by `name_of_images`.

    Example:
        >>> source_of(lb.load("digits", "test", size=16))["size"]
        16
    """
    if (origin := images.origin) is not None:
        source = {"name": origin.name, "split": origin.split, **origin.options}
        with suppress(ValidationError):  # `load` accepts more than recipes do, as NumPy's numbers
            DatasetSettings.model_validate(source)
            return {**source, "fingerprint": images.fingerprint[:HASH]}
    return {"name": name_of_images(images)}


def hash_of(source: Any) -> str | None:
    """The hash of images in a written recipe; None if it has only their name."""
    if not isinstance(source, Mapping):
        return None
    name = str(source.get("name"))
    return name.rpartition("#")[2] if name.startswith(FROM_PYTHON) else source.get("fingerprint")


def renewing(now: Mapping[str, Any], pool: ImageSet | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`renewed`, but images that have the same fingerprint in both recipes are written as in `now`.

    Earlier versions did not write how images that were handed over could be loaded, and wrote both parts of a folder
    without splits.

    Args:
        now: a recipe as it would be written.
        pool: the training images that were handed over, with nothing held out of them.
    """

    def renew(written: dict[str, Any]) -> dict[str, Any]:
        fresh = renewed(written)
        before, after = fresh.get("data"), now["data"]
        if not isinstance(before, Mapping):
            return fresh
        same = [part for part in PARTS if _same(before.get(part), after.get(part))]
        if pool is not None and _was_split(before, after, pool):
            same += [part for part in PARTS[:2] if part not in same]
        return {**fresh, "data": {**before, **{part: copy.deepcopy(after[part]) for part in same}}}

    return renew


def split_by_earlier_version(images: ImageSet, data: Mapping[str, Any]) -> tuple[ImageSet, ImageSet] | None:
    """(training, test) parts of `images`, if `data` of a recipe of an earlier version names just these."""
    hashes = [hash_of(data.get(part)) for part in PARTS[:2]]
    if None in hashes or not 0 < round(TEST_SHARE * len(images)) < len(images):
        return None
    parts = images.split(TEST_SHARE, seed=0)
    return parts if [part.fingerprint[:HASH] for part in parts] == hashes else None


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    if all(str(source.get("name")).startswith(FROM_PYTHON) for source in (before, after)):
        return False  # their names are compared
    then = hash_of(before)
    return then is not None and then == hash_of(after)


def _was_split(before: Mapping[str, Any], after: Mapping[str, Any], pool: ImageSet) -> bool:
    plausible = after.get(TEST) == TEST_SHARE and isinstance(before.get(TEST), Mapping)
    return plausible and split_by_earlier_version(pool, before) is not None
