"""Names of the augmentations, without importing torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
        made_by: makes the augmentation from its options, where it is the user's own.
    """

    summary: str
    options: tuple[str, ...] = ()
    distinct: str = "unlimited"
    made_by: Callable[..., Any] | None = None


_CROP = ("area", "ratio")
_OWN = {
    "none": ViewEntry("the image itself", distinct="1"),
    "pad-crop": ViewEntry("zero-pad and crop back; for digits and text", ("padding",), "(2 x padding + 1)²"),
    "pad-crop-flip": ViewEntry("zero-pad, crop back and mirror, the CIFAR standard", ("padding",), "162 at padding 4"),
    "resized-crop": ViewEntry("a random box, enlarged to the image's size", _CROP),
    "resized-crop-flip": ViewEntry("a random box, enlarged and mirrored, the ImageNet standard", _CROP),
    "colour-jitter": ViewEntry(
        "random brightness, contrast, saturation and hue", ("brightness", "contrast", "saturation", "hue")
    ),
    "shuffled-patches": ViewEntry(
        "rows and columns of patches in another order, for images of several crops", ("factor",), "4 at factor 2"
    ),
    "mixup": ViewEntry("mixed with another image of the set, pixel by pixel", ("alpha", "share")),
    "cutmix": ViewEntry("a box replaced by that of another image of the set", ("alpha", "share")),
    "mixup-or-cutmix": ViewEntry("of each image one of the two", ("alpha", "cutmix_alpha", "cutmix_share", "share")),
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
