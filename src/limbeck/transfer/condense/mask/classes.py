"""Finds the classes of images among those of another network."""

import warnings
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.data.class_names import composed
from limbeck.data.classes import Classes, few
from limbeck.data.imagenet_names import imagenet_names
from limbeck.errors import UserError, closest
from limbeck.models.classifier import Classifier
from limbeck.transfer.class_names import Tokens, all_spellings

_IMAGENET = 1000


def class_map(classes: Sequence[str], network: Classifier, *, by_name: bool = True) -> Tensor:
    """The number of each class among those of a network, which may have other classes.

    Names are matched exactly, else by their words: case, hyphens, a plural's s and further synonyms make no difference.
    A network of 1000 classes without names, or with numbers for names, has ImageNet's in their usual order; one synonym
    of each suffices, and WordNet ids ("n01440764") stand for ImageNet's names.

    Args:
        classes: the K names.
        network: its classes are searched.
        by_name: False takes the number of a class for its number at the network, whatever that is there, as the
            reference implementation does when it asks a network of ImageNet's thousand classes about ten; a warning
            says where names contradict that.

    Returns:
        int64 `[K]` in 0..(classes of the network - 1).

    Raises:
        UserError: a class that the network does not know, or knows several of; fewer classes than numbers.

    Example:
        >>> classifier = lb.create("resnet20", num_classes=3, classes=["tench", "chain saw, chainsaw", "church"])
        >>> class_map(["Church", "chain saw"], classifier)
        tensor([2, 1])
    """
    if not by_name:
        if len(classes) > network.num_classes:
            raise UserError(
                f"`class_map` false asks {network.name} for classes by number, and it has {network.num_classes} for "
                f"{len(classes)}; set `class_map` true, or name another network."
            )
        _doubt_numbers(classes, network)
        return torch.arange(len(classes))
    ours = _in_full(tuple(classes))
    theirs = _in_full(_names_of(network)) if _are_named(classes) else network.classes
    if ours == theirs or (len(ours) == network.num_classes and not (_are_named(ours) and _are_named(theirs))):
        return torch.arange(len(ours))
    if not (_are_named(ours) and _are_named(theirs)):
        subject = f"`network` {network.name} must name its" if _are_named(ours) else "the images must name their"
        raise UserError(
            f"{subject} classes, so that the {len(ours)} of the images are found among the "
            f"{network.num_classes} of {network.name}; give `classes`, or set `class_map` false to have class i asked "
            "for as number i."
        )
    counts = Counter(theirs)
    exact = {composed(name): place for place, name in enumerate(theirs) if counts[name] == 1}
    places = [exact.get(composed(name)) for name in ours]
    if None in places:
        spellings = [all_spellings(name) for name in theirs]
        places = [
            _by_words(name, theirs, spellings, network) if place is None else place
            for name, place in zip(ours, places, strict=True)
        ]
    return torch.tensor(places)


def _doubt_numbers(classes: Sequence[str], network: Classifier) -> None:
    """Warns where a class asked for by number is one of another name at the network."""
    ours, theirs = _in_full(tuple(classes)), _in_full(_names_of(network))
    if not (_are_named(ours) and _are_named(theirs)):
        return
    other = [place for place, name in enumerate(ours) if all_spellings(name).isdisjoint(all_spellings(theirs[place]))]
    if other:
        first = other[0]
        warnings.warn(
            f"`class_map` false asks {network.name} for classes by number, and {len(other)} of {len(ours)} have "
            f"another name there, as {ours[first]!r}, its {theirs[first]!r} ({first}); `class_map` true asks by name.",
            stacklevel=4,
        )


def _by_words(name: str, names: Sequence[str], there: Sequence[frozenset[Tokens]], network: Classifier) -> int:
    """Index of the one among `names` that shares the largest part of its spellings with this name."""
    wanted = all_spellings(name)
    shares = [len(wanted & words) / len(wanted | words) for words in there]
    best = [place for place, share in enumerate(shares) if share and share == max(shares)]
    if len(best) == 1:
        return best[0]
    mend = "name another network in `mask`, or set `class_map` false to have classes asked for by number."
    if best:
        candidates = few([f"{names[place]!r} ({place})" for place in best])
        raise UserError(f"class {name!r} of the images may be {candidates} of {network.name}; rename it, {mend}")
    near = closest(name, names, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UserError(
        f"class {name!r} of the images is none of the {len(names)} of {network.name}{hint}: {few(names)}; rename it, "
        f"{mend}"
    )


def _names_of(network: Classifier) -> tuple[str, ...]:
    names, count = network.classes, network.num_classes
    nameless = Classes(network.name, count, names).numbers == tuple(range(count))
    return tuple(imagenet_names().values()) if nameless and count == _IMAGENET else names


def _are_named(names: Sequence[str]) -> bool:
    """Whether classes have names, other than mere numbers."""
    return bool(names) and Classes("", len(names), tuple(names)).numbers is None


def _in_full(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names with ImageNet's in full, where some or all of them are WordNet ids or single synonyms.

    A single synonym may be ambiguous: "crane", that of class 134, is also another class's, and "gong" one of 494.
    """
    full = tuple(imagenet_names().values()) if len(names) == _IMAGENET else ()
    same = sum(
        not all_spellings(name).isdisjoint(all_spellings(full_name))
        for name, full_name in zip(names, full, strict=False)
    )
    if full and same > 0.95 * _IMAGENET:
        return full
    if not any(name.startswith(("n0", "n1")) for name in names):
        return names
    return tuple(imagenet_names().get(name, name) for name in names)
