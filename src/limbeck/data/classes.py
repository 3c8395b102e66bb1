"""Whether two sides mean the same classes: their names are compared, or their numbers where there are no names."""

import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from limbeck.data.class_names import composed
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError, closest

_SHOWN = 3


@dataclass(frozen=True)
class Classes:
    """The classes of an image set or a classifier.

    Attributes:
        owner: whose classes they are, in messages: "the teacher resnet20", "'digits/test'", "the test images".
        count: K.
        names: K of them, or none.
    """

    owner: str
    count: int
    names: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """Class numbers where there are no names, or where the names are 0 to K-1 in any order and notation ("007");
        None where the names are anything else."""
        if not self.names:
            return tuple(range(self.count))
        if not all(name.isascii() and name.isdecimal() for name in self.names):
            return None
        numbers = tuple(int(name) for name in self.names)
        return numbers if sorted(numbers) == list(range(self.count)) else None

    @property
    def has(self) -> str:
        verb = "have" if self.owner.split(" (")[0].endswith("images") else "has"
        return f"{self.owner} {verb}"


def few(names: Sequence[str]) -> str:
    """The first names of many.

    Example:
        >>> few(["ant", "bee", "cat", "dog"])
        'ant, bee, cat, ...'
    """
    return ", ".join([*names[:_SHOWN], *(["..."] if len(names) > _SHOWN else [])])


class HasClasses(Protocol):
    """An image set or a classifier."""

    name: str
    classes: tuple[str, ...]

    @property
    def num_classes(self) -> int: ...


def classes_of(one: HasClasses, owner: str | None = None) -> Classes:
    """The classes of an image set or a classifier, which by default is called by its name."""
    return Classes(owner or repr(one.name), one.num_classes, one.classes)


def match_classes(images: ImageSet, known: Classes, owner: str | None = None, *, stacklevel: int = 3) -> ImageSet:
    """The same images with labels renumbered to the classes `known`, matched by name (see `class_places`).

    Unlabelled images take over the classes of `known`, whatever theirs were called. Warns of any assumption made.

    Args:
        images: labelled or not.
        known: the classes to number by.
        owner: what messages call the images.
        stacklevel: of the warning, as seen from here.

    Raises:
        UserError: see `class_places`.
    """
    source = classes_of(images, owner)
    if images.labels is None:
        return images.with_labels(None, known.names or _numbered(known.count))
    places, assumed = class_places(source, known)
    if assumed:
        warnings.warn(assumed, stacklevel=stacklevel)
    return place_labels(images, places, joint_names(source, known, places))


def class_places(source: Classes, known: Classes) -> tuple[tuple[int, ...], str]:
    """The place of each class of `source` among the classes `known`, and what had to be assumed to tell it.

    Classes are matched by name, in any order and Unicode form; `source` may have fewer. Where one side has no names,
    or only numbers, a class's number is its place and both sides must have equally many; that is an assumption unless
    both are plain numbers in order.

    Returns:
        int of 0..K-1 for each class `source`, distinct; a sentence, "" where nothing was assumed.

    Raises:
        UserError: a name that is not `known`, or unequal counts; the message begins with whose classes do not fit.

    Example:
        >>> class_places(Classes("these", 2, ("dog", "cat")), Classes("those", 3, ("ant", "cat", "dog")))
        ((2, 1), '')
    """
    if source.names and source.names == known.names:
        return tuple(range(source.count)), ""
    names, others = ([composed(name) for name in side.names] for side in (source, known))
    at = {name: place for place, name in enumerate(others)}
    counts = Counter(others)
    twice = [name for name in names if counts[name] > 1]
    if twice:
        raise UserError(
            f"{known.owner} calls two classes {twice[0]!r}, so that of {source.owner} cannot be told by name."
        )
    ours, theirs = source.numbers, known.numbers
    fits = source.count == known.count
    if names and set(names) <= at.keys() and (fits or ours is None):
        return tuple(at[name] for name in names), ""
    if ours is None and theirs is None:
        raise UserError(_other_names(source, known))
    if not fits:
        raise UserError(f"{_counts(source, known)}; names would tell which of them are meant.")
    numbers = tuple(range(source.count)) if ours is None else ours
    places = numbers
    if theirs is not None:
        place_of = {number: place for place, number in enumerate(theirs)}
        places = tuple(place_of[number] for number in numbers)
    in_order = places == tuple(range(source.count))
    if in_order and ours is not None and theirs is not None:
        return places, ""
    return places, _assumed(source, known, places)


def place_labels(images: ImageSet, places: Sequence[int], names: Sequence[str]) -> ImageSet:
    """The same images with labels renumbered: class i becomes `places[i]` among `names`."""
    if images.classes == tuple(names) and list(places) == list(range(len(places))):
        return images
    labels = None if images.labels is None else torch.tensor(places)[images.labels]
    return images.with_labels(labels, names)


def place_columns(values: Tensor, places: Sequence[int]) -> Tensor:
    """`[N, K]` with column i at `places[i]`, a permutation."""
    return values[:, torch.tensor(places).argsort()]


def joint_names(source: Classes, known: Classes, places: Sequence[int]) -> tuple[str, ...]:
    """Names of the classes `known`, or those of `source` where only `source` has names other than numbers."""
    found_by_name = source.count < known.count  # a subset of numeric names, such as 3 and 5, is not 0..K-1
    if known.numbers is None or source.numbers is not None or found_by_name:
        return known.names or _numbered(known.count)
    return tuple(source.names[row] for row in torch.tensor(places).argsort().tolist())


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))


def _assumed(source: Classes, known: Classes, places: Sequence[int]) -> str:
    pairs = [f"{_name(source, row)} for {_name(known, place)}" for row, place in enumerate(places[: _SHOWN + 1])]
    without = known if known.numbers is not None else source
    return (
        f"{without.has} no names for the {without.count} classes, so those of {source.owner} are taken for those of "
        f"{known.owner} by their numbers: {few(pairs)}. Name the classes (`classes`) to have them compared."
    )


def _name(classes: Classes, place: int) -> str:
    return repr(classes.names[place]) if classes.names else str(place)


def _counts(source: Classes, known: Classes) -> str:
    return f"{known.owner} tells {known.count} classes apart, but {source.has} {source.count}"


def _other_names(source: Classes, known: Classes) -> str:
    known_names = {composed(name) for name in known.names}
    unknown = [name for name in source.names if composed(name) not in known_names]
    alike = {_folded(name): name for name in known.names}
    begins = f"{_counts(source, known)}: " if source.count > known.count else f"{source.has} other classes: "
    same = [(name, alike[_folded(name)]) for name in unknown if _folded(name) in alike]
    if len(same) == len(unknown):
        name, other = same[0]
        return (
            f"{begins}{name!a} is written otherwise than {other!a} of {known.owner}; if they mean the same, "
            "write both alike."
        )
    near = closest(unknown[0], known.names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"{begins}{few([repr(name) for name in unknown])} {'is' if len(unknown) == 1 else 'are'} none of the "
        f"{known.count} of {known.owner} ({few(known.names)}){hint or '.'} Give images of these classes, or choose "
        "among theirs: `--classes`, `classes=`, or in a recipe `classes` beside the name of the images."
    )


def _folded(name: str) -> str:
    """Equal for names that differ only in case, spaces, dashes and Unicode form."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())
