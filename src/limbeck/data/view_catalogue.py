"""Names of the augmentations, without importing torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from limbeck.catalogue import Catalogue
from limbeck.errors import UserError, unknown_name


@dataclass(frozen=True)
class ViewEntry:
    """What a user needs to know before choosing an augmentation.

    Attributes:
        summary: one line for listings.
        options: their names.
        distinct: how many different views an image has, in words.
        class_path: "module:class" of limbeck's own augmentation.
        fixed: options of that class which the name stands for.
        made_by: makes the augmentation from its options, where it is the user's own.
    """

    summary: str
    options: tuple[str, ...] = ()
    distinct: str = "unlimited"
    class_path: str = ""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    made_by: Callable[..., Any] | None = None


_CROP = ("area", "ratio")
_OWN = {
    "none": ViewEntry("the image itself", distinct="1", class_path="limbeck.data.views:Identity"),
    "pad-crop": ViewEntry(
        "zero-pad and crop back; for digits and text",
        ("padding",),
        "(2 x padding + 1)²",
        "limbeck.data.views:PadCrop",
        {"flip": False},
    ),
    "pad-crop-flip": ViewEntry(
        "zero-pad, crop back and mirror, the CIFAR standard",
        ("padding",),
        "162 at padding 4",
        "limbeck.data.views:PadCrop",
    ),
    "resized-crop": ViewEntry(
        "a random box, enlarged to the image's size",
        _CROP,
        class_path="limbeck.data.views:ResizedCrop",
        fixed={"flip": False},
    ),
    "resized-crop-flip": ViewEntry(
        "a random box, enlarged and mirrored, the ImageNet standard", _CROP, class_path="limbeck.data.views:ResizedCrop"
    ),
    "colour-jitter": ViewEntry(
        "random brightness, contrast, saturation and hue",
        ("brightness", "contrast", "saturation", "hue"),
        class_path="limbeck.data.views:ColourJitter",
    ),
    "shuffled-patches": ViewEntry(
        "rows and columns of patches in another order, for images of several crops",
        ("factor",),
        "4 at factor 2",
        "limbeck.data.shuffled_patches:ShuffledPatches",
    ),
    "mixup": ViewEntry(
        "mixed with another image of the set, pixel by pixel",
        ("alpha", "share"),
        class_path="limbeck.data.mixing:Mixup",
    ),
    "cutmix": ViewEntry(
        "a box replaced by that of another image of the set",
        ("alpha", "share"),
        class_path="limbeck.data.mixing:CutMix",
    ),
    "mixup-or-cutmix": ViewEntry(
        "of each image one of the two",
        ("alpha", "cutmix_alpha", "cutmix_share", "share"),
        class_path="limbeck.data.mixing:MixupOrCutMix",
    ),
}
VIEWS: Catalogue[ViewEntry] = Catalogue("views", _OWN, "limbeck.data.own_views:describe")


def check_views(spec: Any) -> Any:
    """Raises a UserError for an unknown name or option; returns `spec` with objects replaced by their names."""
    spec = VIEWS.named(spec)
    if isinstance(spec, str):
        spec_of = {spec: {}}
    elif isinstance(spec, Mapping):
        spec_of = spec
    elif isinstance(spec, Sequence):
        for part in spec:
            check_views(part)
        return spec
    else:
        raise UserError(f"`views` must be a name, a mapping from name to options, or a list of these, got {spec!r}.")
    for name, options in spec_of.items():
        if name not in VIEWS:
            raise unknown_name("view", str(name), VIEWS, "`limbeck ls views` lists them all")
        if not isinstance(options or {}, Mapping):
            raise UserError(f"the options of view {name!r} must be a mapping, got {options!r}.")
        unknown = sorted(set(options or {}) - set(VIEWS[name].options))
        if unknown:
            raise unknown_name(f"option of view {name!r}:", unknown[0], VIEWS[name].options or ("(it takes none)",))
    return spec


def build_view(name: str, options: Mapping[str, Any]) -> Any:
    """The augmentation or mixing behind a name of the catalogue; imports its module, and torch with it."""
    entry = VIEWS[name]
    if entry.made_by is not None:
        return entry.made_by(**options)
    module, _, class_name = entry.class_path.partition(":")
    return getattr(import_module(module), class_name)(**entry.fixed, **options)
