"""Settings of `borrow`; without importing torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from limbeck.errors import unknown_name
from limbeck.training.numeric_fields import refuse_truth
from limbeck.transfer.settings import Control, MakerSettings, Opponent

SURENESS = {
    "minimal-margin": "farthest from the boundary between the teacher's two likeliest classes",
    "margin": "the widest gap between the teacher's two likeliest classes",
    "entropy": "the teacher's most concentrated answers",
    "confidence": "the teacher is surest of one class",
    "energy": "the largest logits, whatever the others: the least energy",
}
"""Criteria that say how sure the teacher is, best first."""

OTHERS = {
    "boundary": "the narrowest gap between the teacher's two likeliest classes",
    "k-centre": "far from one another in the teacher's embedding, within every class that the teacher gives",
    "balanced-random": "any images, equally many of every class that the teacher gives",
    "random": "any images, whatever the teacher takes them for",
    "none": "the first that come, pools in the order in which they are named, each of them shuffled, equally many of "
    "every class that the teacher gives",
}
CRITERIA = {**SURENESS, **OTHERS}
"""All criteria to borrow by, with a line for listings."""

NONE = "none"
"""The criterion that takes the first images that come."""

KNOWN = "known"
"""In place of names of classes: all that the teacher knows by name."""

Shared = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PoolSettings(BaseModel):
    """A data set to borrow from; its labels are never taught, only told of.

    Attributes:
        name: of a data set, folder, file or hub id, see `limbeck.load`, or of procedural images.
        split: of its images, as train or test.
        images: at most so many, the first, and by default all; of procedural images, how many there are, by default ten
            times the budget, so that there is something to choose from, and as many as the budget where `by` is random.
        seed: of procedural images; others have none.
        streaming: read it from the hub image by image, without a copy of the whole set; what was read is kept in the
            size of the student's images.
        exclude: names or numbers of its classes that are left out.
        image_column: column of a table, or array of an `.npz`, that holds the images, where it has none of the usual
            names.
        label_column: the same of the labels.
        skip_unreadable: whether images that cannot be decoded are left out, and counted, in place of stopping.
        scale: the stored value that becomes white, in arrays and in files of more than 8 bits, see `limbeck.load`; None
            for that of their type.

    Example:
        >>> PoolSettings(name="tiny-imagenet").split
        'train'
    """

    model_config = Shared
    _numbers = field_validator("*", mode="before")(refuse_truth)

    name: str = Field(min_length=1)
    split: str = "train"
    images: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    streaming: bool = False
    exclude: list[str | int] = []
    image_column: str | None = None
    label_column: str | None = None
    skip_unreadable: bool = False
    scale: Annotated[float, Field(gt=0, strict=True)] | None = None


class Threshold(BaseModel):
    """How sure the teacher must be, for each class that it gives.

    Attributes:
        of: "mean" score of the calibration images of the class; "best-share", the mean of the best `share` of them; or
            "quantile", without calibration images: the best `share` of the pool's images of the class pass.
        share: of the images that count or pass, for "best-share" and "quantile".
        calibration: images of the target task, a data set, folder, file or hub id, or all that a pool may say, as
            '{name: photos, images: 5000}'; for "mean" and "best-share".
        split: of calibration images that are a lone name, as train or test.
        fixed_count: for "best-share", as the reference implementation does: the best so many of every class in place of
            a share, and their sum divided by as many even where a class has fewer.
    """

    model_config = Shared
    _numbers = field_validator("*", mode="before")(refuse_truth)

    of: Literal["mean", "best-share", "quantile"] = "quantile"
    share: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.1
    calibration: PoolSettings | None = None
    split: str | None = None
    fixed_count: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _split_of_a_name(cls, values: Any) -> Any:
        """Moves `split` into `calibration`, so that saved settings hold it only once."""
        if not isinstance(values, Mapping) or not isinstance(values.get("calibration"), str | Path):
            return values
        split = {} if values.get("split") is None else {"split": values["split"]}
        return {**values, "calibration": {"name": str(values["calibration"]), **split}, "split": None}

    @model_validator(mode="after")
    def _calibrated(self) -> Self:
        if (self.of == "quantile") != (self.calibration is None):
            raise ValueError(
                f"`threshold` of {self.of!r} {'needs no' if self.calibration else 'needs'} `calibration` images of the "
                f"target task{'; leave them out' if self.calibration else ', or use quantile, which needs none'}"
            )
        if self.split is not None:
            raise ValueError(
                f"`split` is of `calibration` images, and there are none, got {self.split!r}; leave it out"
                if self.calibration is None
                else "`split` is of `calibration` that is a lone name; say it in `calibration`, too"
            )
        if self.fixed_count is not None and self.of != "best-share":
            raise ValueError(f"`fixed_count` is for `of: best-share`, got {self.of!r}; leave it out")
        idle = "`of` is 'mean'" if self.of == "mean" else "`fixed_count` says how many" if self.fixed_count else ""
        if idle and "share" in self.model_fields_set and self.share != type(self).model_fields["share"].default:
            raise ValueError(f"`share` would change nothing, got {self.share:g}: {idle}; leave it out")
        return self


def _by(value: Any) -> Any:
    if not isinstance(value, str | Mapping):
        raise ValueError(f"`by` must be a criterion, or the share of each (margin: 0.5, boundary: 0.5), got {value!r}")
    shares = value if isinstance(value, Mapping) else {value: 1.0}
    for name, share in shares.items():
        if name not in CRITERIA:
            raise unknown_name("criterion to borrow `by`:", str(name), CRITERIA)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ValueError(f"the share of `by` {name!r} must be in (0, 1], got {share!r}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the shares of `by` must sum to 1, got {sum(shares.values()):g}")
    return value


By = Annotated[str | dict[str, float], BeforeValidator(_by)]
"""One of `CRITERIA`, or name -> share of the budget."""


def _pool(value: Any) -> Any:
    return {"name": str(value)} if isinstance(value, str | Path) else value


def _threshold(value: Any) -> Any:
    return {"of": value} if isinstance(value, str) else value


def _exclude(value: Any) -> Any:
    """Checks that "known" stands alone, as next to names it would be read as one of them."""
    if isinstance(value, list) and KNOWN in value:
        if len(value) > 1:
            raise ValueError(
                f"`exclude` must be names of classes, or {KNOWN!r} alone, got {value!r}; name others in the "
                "`exclude` of their pools"
            )
        return KNOWN
    return value


class BorrowSettings(MakerSettings):
    """Which of other people's images make the transfer set; the teacher says what they look like.

    Every image counts for the class that the teacher gives it, and every class gets an equal share of the budget,
    filled best first over all pools. Pictures that are equal count once.

    Attributes:
        budget: a count, a share of the distinct images of the pools, or so many for each class of the teacher.
        pools: data sets to borrow from, in any order, each by its name or as a group of keys.
        by: which images are preferred: minimal-margin, margin, entropy, confidence, energy, boundary, k-centre,
            balanced-random, random or none (`limbeck ls criteria` explains them); or the share of several, in (0, 1]
            and together 1, as {margin: 0.5, boundary: 0.5}.
        threshold: how sure the teacher must be, a group of keys or the name of its `of` alone; None for any.
        fill: "best" first over all pools; or "first-come", pool after pool in the order in which they are named, each
            shuffled by the seed, as the reference implementation does: then `by` says only whose `threshold` must be
            passed, and is none without.
        short: what happens where a class has fewer images than its share. "spread" gives its rest to the others;
            "repeat" shows its images again, in views of their own; "leave" makes a smaller set.
        exclude: classes of all pools that are left out, by name; or "known", all whose name the teacher knows.
        overlap: where a pool holds pictures that equal those that the student is judged on: "refuse", or "leave-out".
        compile: whether torch compiles the teacher before it is asked about pools on a CPU, which takes some ten
            seconds and a C++ compiler, and pays from tens of thousands of images on. Scores differ by rounding.

    Example:
        >>> BorrowSettings(pools=["cifar100"], budget=500, by="margin").needs_teacher
        True
    """

    maker: str = "borrow"
    pools: Annotated[list[Annotated[PoolSettings, BeforeValidator(_pool)]], Field(min_length=1)]
    by: By = "minimal-margin"
    threshold: Annotated[Threshold | None, BeforeValidator(_threshold)] = None
    fill: Literal["best", "first-come"] = "best"
    short: Literal["spread", "repeat", "leave"] = "spread"
    exclude: Annotated[list[str] | Literal["known"], BeforeValidator(_exclude)] = Field(default_factory=list)
    overlap: Literal["refuse", "leave-out"] = "refuse"
    compile: bool = False

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        drawn = [by for by in self._named if by in ("k-centre", "balanced-random", "random")]
        if self.fill == "first-come" and drawn:
            raise ValueError(
                f"`fill: first-come` takes images in the order of the pools, and `by` {drawn[0]!r} goes by chance; "
                f"leave out `fill`, or choose `by` one of {', '.join(SURENESS)}"
            )
        if self.threshold is not None and list(self._named) == [NONE]:
            raise ValueError(
                f"`threshold` says how sure the teacher must be, and `by` {NONE!r} does not ask it; leave it out, or "
                f"use `fill: first-come` with `by` one of {', '.join(SURENESS)}"
            )
        if self.threshold is not None and list(self._named) == ["random"]:
            raise ValueError(
                "`threshold` says how sure the teacher must be, and `by` 'random' does not ask it; leave it out, or "
                "use 'balanced-random'"
            )
        return self

    needs_pool: ClassVar[bool] = False
    controls: ClassVar[Mapping[str, Control]] = {
        "borrowed-random": Control(
            label="random of the same pools",
            changes={"by": "random", "threshold": None, "fill": "best"},
            strict=1,
        ),
        "borrowed-balanced-random": Control(
            label="balanced random of the same pools",
            changes={"by": "balanced-random", "threshold": None, "fill": "best"},
            strict=2,
        ),
    }

    @classmethod
    def opponent(cls, said: Mapping[str, Any]) -> Opponent:
        """The control whose images are distributed over the teacher's classes like those of the arm."""
        if said.get("by") in ("random", {"random": 1.0}):
            return Opponent("borrowed-random", "both take any images of the pools")
        return Opponent("borrowed-balanced-random", "both take as many images of every class that the teacher gives")

    @property
    def _named(self) -> dict[str, float]:
        return dict(self.by) if isinstance(self.by, Mapping) else {self.by: 1.0}

    @property
    def shares(self) -> dict[str, float]:
        """Criterion -> share of the budget, summing to 1; "none" where `by` plays no part."""
        return {NONE: 1.0} if self.fill == "first-come" and self.threshold is None else self._named

    @property
    def title(self) -> str:
        if list(self.shares) == [NONE]:
            return "borrowing the first images that come"
        return f"borrowing by {' and '.join(map(repr, self.shares))}"

    @property
    def needs_teacher(self) -> bool:
        return True
