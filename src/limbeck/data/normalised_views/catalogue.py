"""Names of the normalised views, without importing torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator

from limbeck.catalogue import Catalogue
from limbeck.data.normalised_views.options import CropScaleRotateOptions, DsaOptions
from limbeck.errors import UserError, unknown_name
from limbeck.signatures import check_option


@dataclass(frozen=True)
class NormalisedViewEntry:
    """What a user needs to know before choosing normalised views.

    Attributes:
        summary: one line for listings.
        options: with their defaults.
        check: raises a UserError for options out of their ranges.
        made_by: makes the views from their options, where they are the user's own.
    """

    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[..., object] = dict
    made_by: Callable[..., Any] | None = None


_OWN = {
    "none": NormalisedViewEntry("the images themselves"),
    "dsa": NormalisedViewEntry(
        "one of colour, crop, cutout, flip, scale and rotate for a whole batch", asdict(DsaOptions()), DsaOptions
    ),
    "crop-scale-rotate": NormalisedViewEntry(
        "of each image one of the three", asdict(CropScaleRotateOptions()), CropScaleRotateOptions
    ),
}
NORMALISED_VIEWS: Catalogue[NormalisedViewEntry] = Catalogue(
    "normalised_views", _OWN, "limbeck.data.normalised_views.own_normalised_views:describe"
)


def check_normalised_views(spec: Any) -> Any:
    """Raises a UserError for an unknown name or option; returns `spec` with objects replaced by their names.

    Example:
        >>> check_normalised_views({"dsa": {"shift": 0.25}})
        {'dsa': {'shift': 0.25}}
    """
    spec = NORMALISED_VIEWS.named(spec)
    for name, options in named(spec):
        if name not in NORMALISED_VIEWS:
            raise unknown_name("normalised view", str(name), NORMALISED_VIEWS, "`limbeck ls views` lists them all")
        what = f"normalised view {name!r}"
        if not isinstance(options, Mapping):
            raise UserError(f"the options of {what} must be a mapping, got {options!r}.")
        entry = NORMALISED_VIEWS[name]
        for option, value in options.items():
            if option not in entry.options:
                raise unknown_name(f"option of {what}:", str(option), entry.options or ("(it takes none)",))
            check_option(option, value, entry.options[option], what)
        entry.check(**options)
    return spec


def named(spec: Any) -> list[tuple[str, Any]]:
    """(name, options) in the order in which they are applied; empty for None.

    Raises:
        UserError: neither a name, nor a mapping from name to options, nor a list of these.
    """
    if spec is None:
        return []
    if isinstance(spec, str):
        return [(spec, {})]
    if isinstance(spec, Mapping):
        return [(name, {} if options is None else options) for name, options in spec.items()]
    if isinstance(spec, Sequence):
        return [entry for part in spec for entry in named(part)]
    raise UserError(
        f"normalised views must be a name, a mapping from name to options, or a list of these, got {spec!r}."
    )


NormalisedViewsSpec = Annotated[Any, BeforeValidator(check_normalised_views)]
"""A field of settings: a name, a name with options, a list of these, or None."""
