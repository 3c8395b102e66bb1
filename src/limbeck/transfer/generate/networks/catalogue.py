"""The networks that make images by name; without importing torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.catalogue import Catalogue
from limbeck.errors import unknown_name
from limbeck.signatures import check_option


@dataclass(frozen=True)
class GeneratorEntry:
    """What a user needs to know before choosing a generator.

    Attributes:
        summary: what it is, a few words.
        options: what it takes besides width and latents, with defaults.
        channels, size: of the images that it makes, where it makes no others.
        made_by: builds the network, where it is not limbeck's own.
    """

    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    channels: int | None = None
    size: int | None = None
    made_by: Callable[..., Any] | None = None


GENERATORS: Catalogue[GeneratorEntry] = Catalogue(
    "generators",
    {
        "published": GeneratorEntry("that of CMI, Fast and BSR for 32 pixels; other sizes start from 5 to 8 pixels"),
        "light": GeneratorEntry("a quarter of its work or less, for 64 to 224 pixels: no hidden layer at full size"),
        "large": GeneratorEntry("that of Fast for 224 pixels: latents are maps of a sixteenth of the size"),
        "none": GeneratorEntry("the pixels themselves, for `optimise: pixels`"),
    },
    "limbeck.transfer.generate.networks.own_generators:describe",
)


def find_generator(name: str, options: Mapping[str, Any]) -> GeneratorEntry:
    """The catalogue's entry of that name, which takes such options.

    Raises:
        UserError: there is none, or an option that it does not take.

    Example:
        >>> find_generator("published", {}).summary
        'that of CMI, Fast and BSR for 32 pixels; other sizes start from 5 to 8 pixels'
    """
    if name not in GENERATORS:
        raise unknown_name("generator", name, GENERATORS, "`limbeck ls generators` lists them all")
    entry, what = GENERATORS[name], f"generator {name!r}"
    for option, value in options.items():
        if option not in entry.options:
            has = f"{what} has {', '.join(entry.options)}" if entry.options else f"{what} has no options"
            raise unknown_name("generator option", option, entry.options, has)
        check_option(option, value, entry.options[option], what)
    return entry
