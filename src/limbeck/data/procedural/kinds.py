"""The kinds of procedural images and their variants. Quick to import: no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Variant:
    """A named setting of a kind: what it looks like, and the options of its function."""

    summary: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """Images that a function makes out of (seed, index).

    Attributes:
        made_by: "module:function" of `(seed, indices, shape, **options) -> uint8 [B, C, H, W]`.
        summary: one line for listings.
        variants: by name, chosen after a colon ("noise:white"); the first is the default.
        paper: where they are from.
        version: increases when the pixels change.
    """

    made_by: str
    summary: str
    variants: Mapping[str, Variant]
    paper: str
    version: int = 1

    @property
    def default(self) -> str:
        return next(iter(self.variants))


KINDS: Mapping[str, Kind] = {
    "noise": Kind(
        made_by="limbeck.data.procedural.noise:noise",
        summary="coloured noise with spectra as those of natural images",
        variants={
            "spectra": Variant("1/f^a across and along, a of each image's own in 0.5 to 3.5", {}),
            "white": Variant("no pixel knows of its neighbours", {"steepness": (0.0, 0.0)}),
            "pink": Variant("1/f", {"steepness": (1.0, 1.0)}),
            "brown": Variant("1/f^2", {"steepness": (2.0, 2.0)}),
        },
        paper="Baradad et al., NeurIPS 2021",
    ),
    "dead-leaves": Kind(
        made_by="limbeck.data.procedural.dead_leaves:dead_leaves",
        summary="ellipses and parallelograms of all sizes that cover one another",
        variants={
            "textured": Variant("leaves with grain and shade", {}),
            "flat": Variant("leaves of one colour each", {"texture": 0.0}),
            "ellipses": Variant("flat, ellipses alone", {"texture": 0.0, "angular": 0.0}),
        },
        paper="Lee, Mumford and Huang, IJCV 2001; Baradad et al., NeurIPS 2021",
    ),
    "fractals": Kind(
        made_by="limbeck.data.procedural.fractals:fractals",
        summary="attractors of random iterated function systems",
        variants={
            "many": Variant("three of them before coloured noise", {}),
            "one": Variant("one before coloured noise", {"count": 1}),
            "black": Variant("one before black", {"count": 1, "ground": False}),
        },
        paper="Kataoka et al., ACCV 2020; Anderson and Farrell, WACV 2022",
    ),
    "shaders": Kind(
        made_by="limbeck.data.procedural.shaders:shaders",
        summary="random compositions of waves and ramps of the coordinates",
        variants={
            "mixed": Variant("smooth shades and sharp edges", {}),
            "smooth": Variant("waves without edges", {"sharpness": 0.0}),
            "calm": Variant("longer waves", {"frequency": 0.35}),
            "deep": Variant(
                "longer waves, twice as many functions within one another", {"frequency": 0.35, "depth": 12}
            ),
        },
        paper="Baradad et al., NeurIPS 2022",
    ),
}
