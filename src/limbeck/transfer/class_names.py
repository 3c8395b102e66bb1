"""Matching the class names of two data sets, by words alone."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from limbeck.data.classes import few

Tokens = tuple[str, ...]

_SAME = (
    ("airplane", "aeroplane", "plane"),
    ("automobile", "auto", "car", "motorcar"),
    ("bicycle", "bike"),
    ("couch", "sofa"),
    ("motorcycle", "motorbike"),
    ("telephone", "phone"),
    ("television", "tv"),
    ("truck", "lorry"),
)
"""Synonyms among the class names of common data sets; the first word of a group stands for all."""

_NO_KINDS = {
    "bear": ("cat", "teddy"),
    "bug": ("lady",),
    "car": ("cable", "freight", "passenger", "railroad", "toy"),
    "cat": ("bear",),
    "cow": ("sea",),
    "cucumber": ("sea",),
    "dog": ("corn", "hot", "prairie", "toy"),
    "fish": ("cat", "cray", "jelly", "silver", "star"),
    "fly": ("dragon",),
    "fox": ("flying",),
    "horse": ("clothes", "pommel", "rocking", "saw", "sea", "vaulting"),
    "lion": ("sea",),
    "mouse": ("computer",),
    "pig": ("guinea",),
    "plane": ("carpenters", "woodworking"),
}
"""Word -> words before it that make it something else, in ImageNet and similar sets: a hot dog is not a dog."""

_CANONICAL = {word: group[0] for group in _SAME for word in group}
_WORDNET = re.compile(r"n\d{8}")
_NUMBERED = re.compile(r"^(?:n\d{8}|\d+)[\s_:.)-]+(?=[^\W\d_])|-101$")
"""Prefixes and suffixes of names in Caltech and ImageNet: "001.ak47", "airplanes-101", "n02084071 dog"."""
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FURTHER = frozenset({"of", "with", "without", "in", "on", "at", "for", "from"})
"""Words after which a phrase only describes the thing named before them, as in "cup of tea"."""


def known_as(pool_classes: Sequence[str], teacher_classes: Sequence[str]) -> dict[str, str]:
    """Class of a pool -> the class of the teacher that has the same name, for those classes that match.

    Case, hyphens, underscores, plurals, lists of synonyms ("tabby, tabby cat") and words that mean the same ("car",
    "automobile") make no difference, and a name that specifies a kind of thing matches the thing: "pickup_truck"
    matches "truck", but "catfish" and "sea horse" do not match "cat" and "horse". Only words are compared: a "beagle"
    does not match "dog". WordNet ids ("n02123045"), which name ImageNet's classes, stand for their descriptions; where
    both sides are such ids, the ids must be equal.

    Args:
        pool_classes: names of the pool's classes.
        teacher_classes: names of the teacher's classes.

    Example:
        >>> known_as(["garbage truck", "seahorse", "Cats", "beagle"], ["cat", "dog", "horse", "truck"])
        {'garbage truck': 'truck', 'Cats': 'cat'}
    """
    names_by_form: dict[Tokens, str] = {}
    for name in teacher_classes:
        for phrase in _phrases(name):
            for form in _forms(phrase):
                names_by_form.setdefault(form, name)
    same, ids = set(teacher_classes), _are_ids(teacher_classes)
    matches: dict[str, str] = {}
    for name in pool_classes:
        match = name if name in same else None if ids and _are_ids([name]) else _known(name, names_by_form)
        matches |= {} if match is None else {name: match}
    return matches


def alike(name: str, classes: Sequence[str]) -> list[int]:
    """Numbers of the `classes` called `name`: the exact match, else all that match in another spelling or by one of the
    synonyms in their names.

    Example:
        >>> alike("tabby cat", ["Tabby_Cat", "tabby, tabby cat", "tiger cat"])
        [0, 1]
    """
    if name in classes:
        return [classes.index(name)]
    wanted = all_spellings(name)
    return [number for number, other in enumerate(classes) if not wanted.isdisjoint(all_spellings(other))]


@lru_cache(maxsize=4096)
def all_spellings(name: str) -> frozenset[Tokens]:
    """All equivalent forms of a class's name, including synonyms; some forms are not real words.

    Example:
        >>> all_spellings("Tiger_Cats") >= all_spellings("tiger-cat")
        True
    """
    return frozenset(form for phrase in _phrases(name) for form in _forms(phrase))


def why_unmatched(pool_classes: Sequence[str], teacher_classes: Sequence[str]) -> str:
    """Why the names cannot tell which classes of the pool the teacher knows; "" where they can.

    Example:
        >>> why_unmatched(["0", "1"], ["cat", "dog"])
        "the pool's classes are numbers (0, 1), the teacher's are not"
    """
    if not pool_classes:
        return "the pool has no labels"
    if not teacher_classes:
        return "the teacher has no names for its classes"
    for are_kind, kind in ((_are_ids, "WordNet ids"), (_are_numbers, "numbers")):
        ours, theirs = are_kind(pool_classes), are_kind(teacher_classes)
        if ours != theirs and not any(map(_in_words, pool_classes if ours else teacher_classes)):
            owner, other, names = ("pool", "teacher", pool_classes) if ours else ("teacher", "pool", teacher_classes)
            return f"the {owner}'s classes are {kind} ({few(names)}), the {other}'s are not"
    return ""


def _are_ids(names: Sequence[str]) -> bool:
    return all(_WORDNET.fullmatch(name) for name in names)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.isascii() and name.isdecimal() for name in names)


def _in_words(name: str) -> str:
    """ImageNet's description of a WordNet id; "" for other names and unknown ids."""
    return _words_of_ids().get(name, "") if _WORDNET.fullmatch(name) else ""


@cache
def _words_of_ids() -> dict[str, str]:
    from timm.data.imagenet_info import ImageNetInfo  # takes seconds to import

    info = ImageNetInfo("imagenet-22k")
    return {name: info.label_name_to_description(name) for name in info.label_names()}


def _known(name: str, known: dict[Tokens, str]) -> str | None:
    phrases = list(_phrases(name))
    kinds = sorted((kind for phrase in phrases for kind in _kinds(phrase)), key=len, reverse=True)
    others = {phrase[-1:] for phrase in [*phrases, *kinds] if _is_no_kind(phrase)}
    for words in [*phrases, *kinds]:
        if words not in others:
            for form in _forms(words):
                if form in known:
                    return known[form]
    return None


def _is_no_kind(phrase: Tokens) -> bool:
    return len(phrase) == 2 and any(phrase[0] in _NO_KINDS.get(word, ()) for word in _singulars(phrase[1]))


def _phrases(name: str) -> Iterator[Tokens]:
    """The synonyms in a name, each as its lower-case words."""
    text = re.sub(r"\([^)]*\)|['’`]", "", unicodedata.normalize("NFKC", _in_words(name) or name)).strip()
    for part in re.split(r"[,;/|]", _HUMP.sub(" ", _NUMBERED.sub("", text))):
        if words := tuple(re.findall(r"[^\W_]+", part.casefold())):
            yield words


def _kinds(phrase: Tokens) -> Iterator[Tokens]:
    """The more general things that a phrase names: "pickup truck" and "truck" for "old pickup truck"."""
    end = next((place for place, word in enumerate(phrase) if place and word in _FURTHER), len(phrase))
    for start in range(int(end == len(phrase)), end):
        yield phrase[start:end]


def _forms(phrase: Tokens) -> Iterator[Tokens]:
    """Normal forms, shared by phrases that differ only in plurals or synonyms; some are not real words."""
    *first, last = phrase
    for word in _singulars(last):
        yield (*first, _CANONICAL.get(word, word))


def _singulars(word: str) -> Iterator[str]:
    yield word
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return
    yield word[:-1]
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        yield word[:-2]
    if word.endswith("ies"):
        yield word[:-3] + "y"
    if word.endswith("ves"):
        yield word[:-3] + "f"
        yield word[:-3] + "fe"
