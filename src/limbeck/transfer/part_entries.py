"""Entries of `limbeck.transfer.parts`: what is known about a part of a criterion before its code is imported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

Kind = Literal["nothing", "shares", "entropies", "values", "logits", "any"]
"""What the numbers of a representation mean, which decides the scores that can read it."""

End = Literal["highest", "lowest"]
"""An end of a score."""

Reference = str | Callable[..., Any]
"""A function, or "module:name" of it."""


def function_of(reference: Reference) -> Any:
    """The function that "module:name" names, importing the module; a function is returned as it is.

    Example:
        >>> function_of("limbeck.transfer.allocation:shares")(3, torch.tensor([2, 2])).tolist()
        [2, 1]
    """
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class RepresentationEntry:
    """How an image is represented.

    Attributes:
        summary: one line for listings.
        kind: what its numbers mean.
        score: the default score.
        function: "module:name" of the function from pixels uint8 `[B, C, H, W]` to features `[B, D]`, if it reads the
            pixels alone; else of a factory of it, from image set, `ScoringContext` and options.
        short: the name on the command line of the published code.
        reads: "pixels", the "teacher", the whole "set" first, a user's "function", or "nothing".
        trains: whether it trains a network.
        options: what can be set, with the defaults.
        own: whether it is user-defined, so that only the types of its options are known.
        paper: where it was published; for a part of limbeck without a paper, "none, " and what it is instead.
    """

    summary: str
    kind: Kind
    score: str
    function: Reference = ""
    short: str = ""
    reads: Literal["nothing", "pixels", "set", "teacher", "function"] = "pixels"
    trains: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False
    paper: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs besides the images."""
        teacher = {"teacher": ("a teacher",), "function": ("a function of yours",)}.get(self.reads, ())
        return (*teacher, *(("a network that is trained first",) if self.trains else ()))


@dataclass(frozen=True)
class ScoreEntry:
    """How an image is scored by its representation.

    Attributes:
        summary: one line for listings.
        functions: what it can read -> "module:name" of the function from features `[B, D]` and `ScoreInputs` to float64
            `[B]`; of a score that reads no representation under "nothing". One that `trains` takes the whole set,
            `ScoringContext` and options instead.
        representation: the default one.
        labels: whether it compares with labels.
        head: whether it reads the weights of the teacher's last layer.
        trains: whether it trains a network.
        hard_end: the end at which the hardest or most informative images are, which criteria prefer by default; None
            where a user's own score does not say, of which the highest are preferred.
        options: what can be set, with the defaults.
        own: whether it is user-defined, so that only the types of its options are known.
        paper: where it was published; for a part of limbeck without a paper, "none, " and what it is instead.
    """

    summary: str
    functions: Mapping[Kind, Reference]
    representation: str = "none"
    labels: bool = False
    head: bool = False
    trains: bool = False
    hard_end: End | None = "highest"
    options: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False
    paper: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs besides the images and a representation that it can read."""
        needs = {
            "a teacher": self.kinds == ("logits",),
            "the weights of its last layer": self.head,
            "labels": self.labels,
            "a network that is trained first": self.trains,
        }
        return tuple(need for need, applies in needs.items() if applies)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Representations that it can read; empty for scores that read none."""
        return tuple(kind for kind in self.functions if kind != "nothing")


@dataclass(frozen=True)
class AllocationEntry:
    """How a budget is allocated by scores.

    Attributes:
        summary: one line for listings.
        function: "module:name" of the function that spreads the images of each class over the rows of a table, see
            `allocation.AllocationPlan`; of one that is `greedy`, from features `[N, D]` and n to rows.
        short: the name on the command line of the published code.
        greedy: whether every choice depends on those before it, so that it needs all features.
        per_class: whether every class gets an equal share, within which the rest happens.
        space: the default representation in which it measures distances ("" for the criterion's own); None if it
            measures none.
        options: what can be set, with the defaults.
        own: whether it is user-defined, so that only the types of its options are known.
        paper: where it was published; for a part of limbeck without a paper, "none, " and what it is instead.
    """

    summary: str
    function: Reference
    short: str = ""
    greedy: bool = False
    per_class: bool = False
    space: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    own: bool = False
    paper: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs besides the images and their scores."""
        return ("labels",) if self.per_class else ()
