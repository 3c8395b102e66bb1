"""What every data set must do."""

from collections.abc import Callable, Mapping
from typing import Any

from limbeck.data.catalogue import find
from limbeck.data.loading import load
from limbeck.testing.assertions import ensure, ensure_equal

Options = dict[str, Any]


def splits_are_what_is_said_of_them(name: str, options: Options) -> None:
    """Every split can be loaded, with the classes, sizes and numbers that the catalogue tells; options are `load`'s."""
    info = find(name)
    classes, fingerprints = set(), {}
    for split, expected in info.splits.items():
        images = load(name, split, **options)
        if expected.images is not None and not options:
            ensure(
                len(images) == expected.images, f"{name}/{split} has {len(images)} images, told are {expected.images}"
            )
        if info.num_classes and "classes" not in options:
            same = images.num_classes == info.num_classes
            ensure(same, f"{name}/{split} has {images.num_classes} classes, told are {info.num_classes}")
        if info.channels and "channels" not in options:
            ensure(images.shape[0] == info.channels, f"{name}/{split} has {images.shape[0]} channels")
        if all(info.size) and "size" not in options:
            same = images.shape[1:] == tuple(info.size)
            ensure(same, f"{name}/{split} has images of {images.shape[1:]}, told are {tuple(info.size)}")
        classes.add(images.classes)
        other = fingerprints.setdefault(images.fingerprint, split)
        ensure(other == split, f"{name}/{split} holds the same images as {name}/{other}; use `split`")
    ensure(len(classes) == 1, f"the splits of {name} must name the same classes, got {classes}")


def is_the_same_every_time(name: str, options: Options) -> None:
    split = next(iter(find(name).splits))
    first, second = load(name, split, **options), load(name, split, **options)
    ensure_equal(first.ids, second.ids, f"{name}/{split} must have the same ids every time")
    ensure(first.fingerprint == second.fingerprint, f"{name}/{split} must hold the same images every time")


def is_brought_to_a_size(name: str, options: Options) -> None:
    split = next(iter(find(name).splits))
    full, small = load(name, split, **options), load(name, split, **{**options, "size": 8, "channels": 1})
    ensure(small.shape == (1, 8, 8), f"{name}/{split} must come as 1x8x8 where that is asked for, got {small.shape}")
    ensure_equal(small.ids, full.ids, f"{name}/{split} must keep its ids at another size")


CHECKS: Mapping[str, Callable[..., None]] = {
    "splits are what is said of them": splits_are_what_is_said_of_them,
    "is the same every time": is_the_same_every_time,
    "is brought to a size": is_brought_to_a_size,
}
