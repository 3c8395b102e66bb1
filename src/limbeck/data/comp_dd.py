"""Comp-DD: eight kinds of things, ten classes of ImageNet each that are easy to tell by a glance, and ten hard ones.

Wang et al., "Emphasizing discriminative features for dataset distillation in complex scenarios", CVPR 2025.
"""

from pathlib import Path
from typing import Any

from limbeck.data.catalogue import DATASETS
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load
from limbeck.errors import UserError, unknown_name

_PREFIX = "imagenet-1k:comp-dd-"
LEVELS = ("easy", "hard")
CATEGORIES = tuple(
    dict.fromkeys(name.removeprefix(_PREFIX).rpartition("-")[0] for name in DATASETS.built_in if _PREFIX in name)
)
"""bird, dog, car, fish, snake, insect, round, music."""


def comp_dd_name(category: str, level: str) -> str:
    """What the catalogue calls one of the sixteen sets, for recipes and the command line.

    Raises:
        UserError: there is no such category or level.

    Example:
        >>> comp_dd_name("bird", "hard")
        'imagenet-1k:comp-dd-bird-hard'
    """
    if category not in CATEGORIES:
        raise unknown_name("`category` of Comp-DD", str(category), CATEGORIES, f"There are {', '.join(CATEGORIES)}.")
    if level not in LEVELS:
        raise UserError(f"`level` of Comp-DD must be 'easy' or 'hard', got {level!r}.")
    return f"{_PREFIX}{category}-{level}"


def comp_dd(
    category: str,
    level: str,
    split: str = "train",
    *,
    size: int | tuple[int, int] | None = 128,
    root: str | Path | None = None,
    **options: Any,
) -> ImageSet:
    """One of the sixteen sets of Comp-DD, out of ImageNet: `load` of its name in the catalogue.

    As published, "music" "hard" lists one class twice; it therefore has nine classes, and loading it warns of that.

    Args:
        category: "bird", "dog", "car", "fish", "snake", "insect", "round" or "music".
        level: "easy" or "hard".
        split: "train", or "validation", which is "test", too.
        size: pixels, as `load` takes them; 128 as published, though there the aspect is lost.
        root: folder of datasets by hub id, with `ILSVRC/imagenet-1k` in it, as Parquet or in class folders. Default:
            `$LIMBECK_DATA`, then the hub, where the terms for ImageNet must be accepted first.
        options: other options of `load`, such as `in_memory`.

    Raises:
        UserError: no such category, level or split; ImageNet cannot be found.

    Example:
        >>> try:
        ...     comp_dd("birds", "hard")
        ... except UserError as error:
        ...     print(error)
        unknown `category` of Comp-DD 'birds'; did you mean 'bird'? There are bird, dog, ...
    """
    return load(comp_dd_name(category, level), split, size=size, root=root, **options)
