"""Selection criteria: their parts, and the named ones; without importing torch."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from limbeck.catalogue import Catalogue
from limbeck.errors import UserError, unknown_name
from limbeck.import_paths import import_object, is_import_path
from limbeck.signatures import checked_value
from limbeck.transfer.part_entries import AllocationEntry, End, RepresentationEntry, ScoreEntry
from limbeck.transfer.part_options import check_one_part, check_part_option, check_together, checked_options
from limbeck.transfer.parts import (
    ALIASES,
    ALLOCATIONS,
    ORDERS,
    REPRESENTATIONS,
    SCORES,
    Order,
    full_name,
)

_Entry = AllocationEntry | RepresentationEntry | ScoreEntry

DEFAULT_SCORE = "entropy"
CLUSTERS = "clusters"
"""Prefix of the names of table columns that hold clusters."""


def _part_name(family: Any, part: Any) -> str:
    """Our name of a part, which may also be passed as a Python object."""
    return full_name(family.name_of(part) if isinstance(family, Catalogue) and callable(part) else part)


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """How images are chosen: how they are represented, how that is scored, and how the budget is allocated by scores.

    Every part has a default: the score's own representation, the representation's own score, equal shares for the
    classes. The short and long names of the published code's command line also work (`aliases`).

    Args:
        score: one of `SCORES`, or your own function or its import path, which all parts accept; by default the score of
            the representation, or "entropy" without one.
        representation: one of `REPRESENTATIONS`; by default that of the score.
        allocation: one of `ALLOCATIONS`.
        order: whether the "highest" or the "lowest" scores are preferred, or "random" ones; by default those of the
            hardest images, which are the lowest of a margin and of a confidence. Equal scores go by ascending id.
        space: the representation in which an allocation measures distances; by default the criterion's own, but the
            pixels for manifolds.
        options: of the parts, name -> value, for instance `{"clusters": 20}`; an option that several parts share keeps
            each part's default and cannot be set.
        name: for tables and provenance.
        summary: one line for listings.

    Raises:
        UserError: an unknown name or option, a score that cannot read the representation, or parts that do not fit
            together.

    Example:
        >>> Criterion(representation="grayscale-histogram", score="entropy", order="lowest").allocation
        'top-n-per-class'
        >>> Criterion(representation="pev", allocation="km", options={"clusters": 20}).score
        'patch-entropy-sum'
    """

    score: str = ""
    representation: str = ""
    allocation: str = "top-n-per-class"
    order: Order | Literal[""] = ""
    space: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    name: str = "custom"
    summary: str = ""

    def __post_init__(self) -> None:
        for part, family in _FAMILIES.items():
            name = _part_name(family, getattr(self, part))
            object.__setattr__(self, part, name)
            if name and name not in family:
                raise unknown_name(part, name, [*family, *(short for short in ALIASES if ALIASES[short] in family)])
        self._fill_in()
        self._check_score()
        self._check_space()
        self._check_options()

    def _fill_in(self) -> None:
        score = self.score or (REPRESENTATIONS[self.representation].score if self.representation else DEFAULT_SCORE)
        object.__setattr__(self, "score", score)
        object.__setattr__(self, "order", self.order or SCORES[score].hard_end or "highest")
        object.__setattr__(self, "representation", self.representation or SCORES[score].representation)
        default = ALLOCATIONS[self.allocation].space
        object.__setattr__(self, "space", self.space or ("" if default is None else default or self.representation))

    def _check_score(self) -> None:
        kind, kinds = REPRESENTATIONS[self.representation].kind, SCORES[self.score].kinds
        if (kind in (*kinds, "any")) if kinds else (kind == "nothing"):
            return
        if not kinds:
            raise UserError(
                f"score {self.score!r} reads no `representation`, got {self.representation!r}; leave it out"
                f"{', or name it as `space`' if ALLOCATIONS[self.allocation].space is not None else ''}."
            )
        can = ", ".join(repr(name) for name, entry in REPRESENTATIONS.items() if entry.kind in (*kinds, "any"))
        raise UserError(
            f"score {self.score!r} reads a `representation`, got {self.representation!r}; give one of {can}."
        )

    def _check_space(self) -> None:
        entry = ALLOCATIONS[self.allocation]
        if entry.space is None and self.space:
            raise UserError(
                f"allocation {self.allocation!r} measures no distances, so it has no `space`; leave it out."
            )
        if entry.space is not None and self.space == "none":
            others = ", ".join(repr(name) for name in REPRESENTATIONS if name != "none")
            raise UserError(f"allocation {self.allocation!r} measures distances in a `space`; give one of {others}.")

    def _check_options(self) -> None:
        checked_options(self.options)
        defaults = self.default_options
        own_options = {name for part in self._parts.values() if part.own for name in part.options}
        settled = dict(self.options)
        for name, value in self.options.items():
            check_one_part(name, self._parts_with(name), defaults, self.name)
            if name in own_options:
                settled[name] = checked_value(name, value, defaults[name], "a criterion")
            else:
                check_part_option(name, value, defaults[name])
        numbers = [name for name in self.options if isinstance(defaults[name], float) and name not in own_options]
        settled |= {name: float(self.options[name]) for name in numbers}  # so that 2 and 2.0 name the same column
        object.__setattr__(self, "options", settled)
        check_together({**self.default_options, **self.options}, self.default_options, self.order)

    @property
    def default_options(self) -> dict[str, Any]:
        """All options of its parts with their defaults; for an option that several share, that of the last part."""
        return {name: value for part in self._parts.values() for name, value in self._defaults_of(part).items()}

    def _defaults_of(self, part: _Entry) -> dict[str, Any]:
        cutoff = {"cutoff": 0.0} if "cutoff" in part.options and self.order == "random" else {}
        return {**part.options, **cutoff}  # a random order has no hardest images

    @property
    def _parts(self) -> dict[str, _Entry]:
        """Its parts, under the names that errors use for them."""
        return {
            f"allocation {self.allocation!r}": ALLOCATIONS[self.allocation],
            f"score {self.score!r}": SCORES[self.score],
            **{f"representation {name!r}": REPRESENTATIONS[name] for name in self.represented},
        }

    def _parts_with(self, option: str) -> list[str]:
        return [what for what, part in self._parts.items() if option in part.options]

    def option(self, name: str) -> Any:
        """Its value, or the default; None for an option that no part has. See `options_of` for those of one part."""
        return self.options.get(name, self.default_options.get(name))

    def options_of(self, part: _Entry) -> dict[str, Any]:
        """The options of one of its parts, name -> value or default; parts may share the name of an option."""
        return self._defaults_of(part) | {name: value for name, value in self.options.items() if name in part.options}

    @property
    def hard_end(self) -> End:
        """The end of its scores where the hardest images are; of a score that does not say, the one it prefers."""
        return SCORES[self.score].hard_end or ("lowest" if self.order == "lowest" else "highest")

    @property
    def per_class(self) -> bool:
        """Whether its allocation needs labels."""
        return ALLOCATIONS[self.allocation].per_class

    @property
    def needs_labels(self) -> bool:
        return self.per_class or SCORES[self.score].labels

    @property
    def represented(self) -> tuple[str, ...]:
        """The representations that it reads, without repetition."""
        return tuple(dict.fromkeys(name for name in (self.representation, self.space) if name not in ("", "none")))

    @property
    def needs_teacher(self) -> bool:
        return any(REPRESENTATIONS[name].reads == "teacher" for name in self.represented)

    @property
    def seeded(self) -> bool:
        """Whether its columns in a table of scores depend on the seed, by networks that are trained or by clusters."""
        trained = SCORES[self.score].trains or REPRESENTATIONS[self.representation].trains
        return trained or self.clusters_column is not None

    @property
    def column(self) -> str:
        """Name of its column of scores, including options that are not the default."""
        seen = () if self.representation == "none" else (self.representation,)
        return ":".join([self.score, *seen, *self._special(SCORES[self.score], REPRESENTATIONS[self.representation])])

    @property
    def clusters_column(self) -> str | None:
        """Name of its column of clusters, including options that are not the default; None without clusters."""
        if "clusters" not in ALLOCATIONS[self.allocation].options:
            return None
        special = self._special(ALLOCATIONS[self.allocation], REPRESENTATIONS[self.space])
        return ":".join([CLUSTERS, self.allocation, self.space, *special])

    def _special(self, *parts: _Entry) -> list[str]:
        """The options of some parts that differ from their default, as "name=value"."""
        options = ((part, name, value) for part in parts for name, value in self.options_of(part).items())
        return [f"{name}={value}" for part, name, value in options if value != part.options[name]]

    def stream(self, kind: Literal["random", "order"]) -> str:
        """Name of the random stream of a random score or order.

        Every allocation has its own stream, so that random and class-balanced random images of one seed are two
        different controls.
        """
        return kind if self.allocation == "top-n" else f"{kind}/{self.allocation}"

    @property
    def parts(self) -> dict[str, Any]:
        """Everything that decides what is chosen, independent of names and of how it was written."""
        options = {name: self.option(name) for name in self.default_options}
        shared = [name for name in options if len(self._parts_with(name)) > 1]
        options |= {name: {what: self._parts[what].options[name] for what in self._parts_with(name)} for name in shared}
        return asdict(self) | {"name": "", "summary": "", "options": options}

    def described(self) -> dict[str, Any]:
        """Its parts, for provenance, with the `implementation` where there are several, even if it is the default."""
        options = {name: self.option(name) for name in self.default_options if name == "implementation"}
        return asdict(self) | {"options": {**self.options, **options}}


_FAMILIES: dict[str, Mapping[str, Any]] = {
    "representation": REPRESENTATIONS,
    "score": SCORES,
    "allocation": ALLOCATIONS,
    "order": ORDERS,
    "space": REPRESENTATIONS,
}

_LISTING = "`limbeck ls criteria` lists them all."


def _whole(name: str, summary: str, order: Order | Literal[""] = "", **parts: Any) -> Criterion:
    return Criterion(name=name, summary=summary, order=order, allocation="top-n", **parts)


def _classwise(name: str, summary: str, order: Order | Literal[""] = "", **parts: Any) -> Criterion:
    return Criterion(name=name, summary=summary, order=order, **parts)


def _spread(name: str, summary: str, **parts: Any) -> Criterion:
    """Of the name of its allocation."""
    return Criterion(name=name, summary=summary, allocation=name, **parts)


_GRAY: dict[str, Any] = {"representation": "grayscale-histogram", "score": "entropy"}

_NAMED = {
    criterion.name: criterion
    for criterion in (
        _whole("random", "any images, without replacement", score="random"),
        _classwise("balanced-random", "any images, equally many of every class", score="random"),
        _classwise("entropy", "the busiest gray histograms of every class", **_GRAY),
        _classwise("entropy-lowest", "the plainest gray histograms of every class", "lowest", **_GRAY),
        _whole("entropy-whole", "the busiest gray histograms of the whole set", **_GRAY),
        _whole("entropy-whole-lowest", "the plainest gray histograms of the whole set", "lowest", **_GRAY),
        _classwise("entropy-rgb", "the busiest colour histograms of every class", representation="rgb-histogram"),
        _classwise(
            "entropy-average-adjusted",
            "gray histograms farthest from the average one, in every class",
            representation="average-adjusted-histogram",
        ),
        _classwise("patch-entropy", "the busiest patches of every class", representation="patch-entropies"),
        _classwise("variance", "the strongest contrasts of every class", score="variance"),
        _classwise("autoencoder", "the fullest codes of every class", representation="autoencoder-codes"),
        _classwise("teacher-entropy", "the teacher's most spread answers", representation="teacher-logits"),
        _classwise("margin", "the teacher is torn between two classes", score="margin"),
        _classwise("least-confidence", "the teacher is least sure", score="least-confidence"),
        _classwise("el2n", "the teacher is farthest from the label", score="el2n"),
        _classwise("minimal-margin", "nearest to the teacher's decision boundary", score="minimal-margin"),
        _classwise("forgetting", "forgotten most often while a small network learns", score="forgetting"),
        _classwise("grand", "move the head of networks most that have begun to learn", score="grand"),
        _spread("k-means", "the busiest of every cluster of gray histograms"),
        _spread("k-means-per-class", "the same, clustered within every class"),
        _spread("manifold", "any images, from all over a t-SNE map in turn", score="random"),
        _spread("coverage", "any images, equally many of every stratum of the distance from the label", score="el2n"),
        _spread(
            "k-centre",
            "far from one another in the teacher's embedding",
            score="random",
            space="teacher-embedding",
        ),
        Criterion(
            name="herding",
            summary="whose embeddings together follow the mean of every class",
            score="random",
            allocation="herding-per-class",
            space="teacher-embedding",
        ),
    )
}

CRITERIA: Catalogue[Criterion] = Catalogue("criteria", _NAMED, "limbeck.transfer.own_criteria:describe")

CONTROLS = ("random", "balanced-random")
"""The baselines that every other criterion has to beat at the same budget."""


def find_criterion(criterion: "str | Mapping[str, Any] | Callable[..., Any] | Criterion") -> Criterion:
    """The criterion of that name, or one made of parts.

    Args:
        criterion: one of `CRITERIA`; a part, or several joined by slashes, such as "hrgb/kmpc/ls"; a mapping from part
            to name, in which all other keys are options; or a criterion, which is returned as it is. Your own function,
            or its import path, is a score, or the part under whose key it stands in a mapping; the import path of a
            criterion, a mapping or a text is that criterion.

    Raises:
        UserError: there is nothing of that name, or parts do not fit together.

    Example:
        >>> find_criterion("pev/km/ls") == find_criterion({"representation": "pev", "allocation": "km", "order": "ls",
        ...                                                "name": "pev/km/ls"})
        True
    """
    if isinstance(criterion, Criterion):
        return criterion
    if isinstance(criterion, Mapping):
        return _from_mapping(criterion)
    if callable(criterion):
        criterion = SCORES.name_of(criterion)
    if not isinstance(criterion, str):
        raise UserError(
            f"`criterion` must be a name, a mapping of parts, a function or a `Criterion`, got {criterion!r}."
        )
    if SCORES.is_unlisted(criterion):
        return CRITERIA[criterion] if _is_whole(criterion) else Criterion(name=criterion, score=criterion)
    if criterion in CRITERIA:
        return CRITERIA[criterion]
    if "/" in criterion or any(full_name(criterion) in family for family in _FAMILIES.values()):
        return _from_text(criterion)
    raise unknown_name("criterion", criterion, CRITERIA, _LISTING)


def named_criterion(criterion: Any) -> Any:
    """A criterion in the form that a recipe can hold, with names in place of Python functions."""
    if isinstance(criterion, Mapping):
        families = {part: family for part, family in _FAMILIES.items() if isinstance(family, Catalogue)}
        return {
            part: families[part].name_of(value) if part in families and callable(value) else value
            for part, value in criterion.items()
        }
    return SCORES.name_of(criterion) if callable(criterion) else criterion


def _is_whole(path: str) -> bool:
    """Whether an import path leads to a whole criterion, not to a part of one."""
    return is_import_path(path) and isinstance(import_object(path, "criterion"), Criterion | Mapping | str)


def _from_mapping(spec: Mapping[str, Any]) -> Criterion:
    parts = {part.name for part in fields(Criterion)} - {"options"}
    options = checked_options(spec.get("options") or {})
    options |= {key: value for key, value in spec.items() if key not in parts | {"options"}}
    named = {key: value for key, value in spec.items() if key in parts}
    for part, value in named.items():
        if not isinstance(value, str) and not (callable(value) and isinstance(_FAMILIES.get(part), Catalogue)):
            function = " or a function" if isinstance(_FAMILIES.get(part), Catalogue) else ""
            raise UserError(f"`{part}` of a criterion must be a name{function}, got {value!r}.")
    plain = Criterion(**named)
    for option in options:
        if option not in plain.default_options:
            raise unknown_name("part of a criterion:", str(option), [*parts, *plain.default_options])
    return replace(plain, options=options)


def _from_text(text: str) -> Criterion:
    named: dict[str, str] = {}
    for piece in text.split("/"):
        name = full_name(piece)
        # "random" means the score; as an order it is written "rng".
        families = ("representation", "allocation", "score", "order")
        matches = ["score"] if SCORES.is_unlisted(name) else [part for part in families if name in _FAMILIES[part]]
        if not matches or piece == "":
            names = [known_name for family in _FAMILIES.values() for known_name in family] + list(ALIASES)
            raise unknown_name("part of a criterion:", piece, dict.fromkeys(names), _LISTING)
        part = "order" if piece == "rng" else matches[0]
        if part in named:
            raise UserError(f"`criterion` {text!r} names two of {part}: {named[part]!r} and {piece!r}; give one.")
        named[part] = name
    return Criterion(name=text, **named)  # pyright: ignore[reportArgumentType] (`Criterion` checks the order)
