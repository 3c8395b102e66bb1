"""Images that are handed over in Python, as recipes name them, and whether two recipes name the same."""

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
"""Hex digits of a fingerprint that recipes write down."""


def name_of_images(images: ImageSet) -> str:
    """What stands for images in a recipe that no name finds, so that a run is never resumed with others.

    Example:
        >>> name_of_images(images).partition("#")[0]
        'python:digits/train'
    """
    return f"{FROM_PYTHON}{images.name}#{images.fingerprint[:HASH]}"


def source_of(images: ImageSet) -> dict[str, Any]:
    """Images as a recipe has them: by what `limbeck.load` found them by, and by their fingerprint.

    Where nothing finds them again, as a subset or an array, a name stands for them.

    Example:
        >>> source_of(lb.load("digits", "test", size=16))["size"]
        16
    """
    if (origin := images.origin) is not None:
        source = {"name": origin.name, "split": origin.split, **origin.options}
        with suppress(ValidationError):  # `load` takes more than recipes may say, as numbers of NumPy's
            DatasetSettings.model_validate(source)
            return {**source, "fingerprint": images.fingerprint[:HASH]}
    return {"name": name_of_images(images)}


def hash_of(source: Any) -> str | None:
    """The hash in what a recipe, as it is written down, says of images; None of those that are known by name alone."""
    if not isinstance(source, Mapping):
        return None
    name = str(source.get("name"))
    return name.rpartition("#")[2] if name.startswith(FROM_PYTHON) else source.get("fingerprint")


def renewing(now: Mapping[str, Any], pool: ImageSet | None = None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`renewed`, with images as `now` has them where both recipes mean the same ones by their fingerprints.

    Earlier versions named none of those that were handed over, and wrote down both parts of a folder without splits.

    Args:
        now: a recipe as it would be written down.
        pool: the images to learn from that were handed over, nothing held out of them.
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
    """(learned from, judged on), where `data` of a recipe of an earlier version names these two parts of `images`."""
    hashes = [hash_of(data.get(part)) for part in PARTS[:2]]
    if None in hashes or not 0 < round(TEST_SHARE * len(images)) < len(images):
        return None
    parts = images.split(TEST_SHARE, seed=0)
    return parts if [part.fingerprint[:HASH] for part in parts] == hashes else None


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return False
    if all(str(source.get("name")).startswith(FROM_PYTHON) for source in (before, after)):
        return False  # and compared as they are
    then = hash_of(before)
    return then is not None and then == hash_of(after)


def _was_split(before: Mapping[str, Any], after: Mapping[str, Any], pool: ImageSet) -> bool:
    plausible = after.get(TEST) == TEST_SHARE and isinstance(before.get(TEST), Mapping)
    return plausible and split_by_earlier_version(pool, before) is not None
