"""Splits by name: what names of files and folders say, by the keywords of `datasets`."""

import re

from limbeck.data.local import SPLIT_ALIASES

_SPLITS = {keyword: names[0] for names in SPLIT_ALIASES for keyword in names}
_SEPARATOR = r"[-._ 0-9]"
_KEYWORD = "|".join(_SPLITS)
_STATED = re.compile(rf"(?<![^-._ 0-9])({_KEYWORD})(?={_SEPARATOR}|$)")
# "testset" and "trainimages" name a split to people, not to `datasets`.
_HINTED = re.compile(
    rf"(?<![^-._ 0-9])({_KEYWORD})(?=(?:sets?|data|datasets?|images?|imgs?|pics?|files?|batch(?:es)?|samples?)?"
    rf"(?:{_SEPARATOR}|$))"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def is_split(name: str) -> bool:
    """Whether the whole name is that of a split, case ignored."""
    return name.casefold() in _SPLITS


def stated_splits(name: str) -> set[str]:
    """The splits in a name as `datasets` reads it, case ignored: keywords between `-._ `, digits or the ends.

    Example:
        >>> stated_splits("cifar-val_00.parquet"), stated_splits("testament.parquet")
        ({'validation'}, set())
    """
    return {_SPLITS[word] for word in _STATED.findall(name.casefold())}


def hinted_splits(name: str) -> set[str]:
    """The splits that a person would read in a name, also in "testset" or "cifarTest".

    Example:
        >>> hinted_splits("trainset"), hinted_splits("cifarTest"), hinted_splits("contest")
        ({'train'}, {'test'}, set())
    """
    return {_SPLITS[word] for word in _HINTED.findall(_words(name))}


def without_split(name: str) -> str:
    """The name with `*` for the words that hint at a split: equal for "train_images" and "test_images".

    Example:
        >>> without_split("COCO_val2017")
        'coco_*2017'
    """
    return _HINTED.sub("*", _words(name))


def _words(name: str) -> str:
    return _HUMP.sub("_", name).casefold()
