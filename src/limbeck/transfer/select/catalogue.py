"""Names of the selection criteria and of the parts they are made of, without importing torch."""

from dataclasses import dataclass
from typing import Literal

from limbeck.errors import UserError, unknown_name

Order = Literal["highest", "lowest"]
ORDERS = ("highest", "lowest")


@dataclass(frozen=True)
class ScoreEntry:
    summary: str
    reads_features: bool = True


@dataclass(frozen=True)
class AllocationEntry:
    summary: str
    per_class: bool = False


REPRESENTATIONS = {
    "none": "nothing: the score needs no pixels, and none are read",
    "grayscale-histogram": "share of the pixels at each of the 256 levels of the gray image",
}

SCORES = {
    "random": ScoreEntry("uniform in [0, 1), from the seed and the image's id", reads_features=False),
    "entropy": ScoreEntry("Shannon entropy of the representation, in nats"),
}

ALLOCATIONS = {
    "top-n": AllocationEntry("the n first of the whole set"),
    "top-n-per-class": AllocationEntry("the first of every class, in equal shares", per_class=True),
}


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """How images are chosen: what is seen of them, how that is scored, and how the budget is spread over the scores.

    Args:
        score: one of `SCORES`.
        representation: one of `REPRESENTATIONS`.
        allocation: one of `ALLOCATIONS`.
        order: whether the "highest" or the "lowest" scores are preferred; equal scores go by ascending id.
        name: for tables and provenance.
        summary: one line for listings.

    Raises:
        UserError: an unknown name, or a score that reads a representation and has none.

    Example:
        >>> Criterion(representation="grayscale-histogram", score="entropy", order="lowest").allocation
        'top-n-per-class'
    """

    score: str
    representation: str = "none"
    allocation: str = "top-n-per-class"
    order: Order = "highest"
    name: str = "custom"
    summary: str = ""

    def __post_init__(self) -> None:
        for part, got, known in (
            ("representation", self.representation, REPRESENTATIONS),
            ("score", self.score, SCORES),
            ("allocation", self.allocation, ALLOCATIONS),
            ("order", self.order, ORDERS),
        ):
            if got not in known:
                raise unknown_name(part, got, known)
        if self.representation == "none" and SCORES[self.score].reads_features:
            others = ", ".join(repr(name) for name in REPRESENTATIONS if name != "none")
            raise UserError(f"score {self.score!r} reads a `representation`, got 'none'; give one of {others}.")

    @property
    def per_class(self) -> bool:
        """Whether it needs labels."""
        return ALLOCATIONS[self.allocation].per_class


def _gray_entropy(name: str, summary: str, allocation: str, order: Order) -> Criterion:
    return Criterion(
        name=name,
        summary=summary,
        representation="grayscale-histogram",
        score="entropy",
        allocation=allocation,
        order=order,
    )


CRITERIA = {
    one.name: one
    for one in (
        Criterion(name="random", score="random", allocation="top-n", summary="any images, without replacement"),
        Criterion(name="balanced-random", score="random", summary="any images, equally many of every class"),
        _gray_entropy("entropy", "the busiest gray histograms of every class", "top-n-per-class", "highest"),
        _gray_entropy("entropy-lowest", "the plainest gray histograms of every class", "top-n-per-class", "lowest"),
        _gray_entropy("entropy-whole", "the busiest gray histograms of the whole set", "top-n", "highest"),
        _gray_entropy("entropy-whole-lowest", "the plainest gray histograms of the whole set", "top-n", "lowest"),
    )
}

CONTROLS = ("random", "balanced-random")
"""What every other criterion has to beat at the same budget."""


def find_criterion(criterion: str | Criterion) -> Criterion:
    """The criterion of that name; one that is made already passes through."""
    if isinstance(criterion, Criterion):
        return criterion
    if criterion not in CRITERIA:
        raise unknown_name("criterion", criterion, CRITERIA)
    return CRITERIA[criterion]
