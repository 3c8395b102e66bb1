"""Settings of `select`; without importing torch."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from limbeck.transfer.criteria import CONTROLS, find_criterion, named_criterion
from limbeck.transfer.settings import Control, MakerSettings, Opponent


def _criterion(value: Any) -> Any:
    value = named_criterion(value)
    if isinstance(value, str | Mapping):
        find_criterion(value)
    return value


CriterionSpec = Annotated[str | dict[str, Any], BeforeValidator(_criterion)]
"""A criterion by name, or made of parts; see `find_criterion`."""


class SelectSettings(MakerSettings):
    """Which images of `data.train` make the transfer set.

    Attributes:
        criterion: what images are chosen by: a name of `limbeck ls criteria`, or its parts, as
            {representation: teacher-logits, score: margin, allocation: k-means, clusters: 20}. Without an `order` the
            scores of the hardest images are preferred, here the lowest, as by the criterion of the score's name.
        dedupe: choose among images of distinct content, which the budget then counts.

    Example:
        >>> SelectSettings(criterion="margin", budget="10%").needs_teacher
        True
    """

    maker: str = "select"
    criterion: CriterionSpec = "entropy"
    dedupe: bool = False

    controls: ClassVar[Mapping[str, Control]] = {
        "random": Control(label="random", changes={"criterion": "random"}, strict=1, from_labels=True),
        "balanced-random": Control(
            label="balanced random", changes={"criterion": "balanced-random"}, strict=2, from_labels=True
        ),
    }

    @classmethod
    def opponent(cls, said: Mapping[str, Any]) -> Opponent:
        """The control whose images are distributed over the classes like those of the arm."""
        criterion = find_criterion(said.get("criterion", cls.model_fields["criterion"].default))
        name = "balanced-random" if criterion.per_class else "random"
        if criterion.parts == find_criterion(name).parts:
            return Opponent(name, "it has the same images", same_images=True)
        where = "within every class" if criterion.per_class else "over the whole set"
        return Opponent(name, f"both take their images {where}")

    @property
    def title(self) -> str:
        return f"criterion {find_criterion(self.criterion).name!r}"

    @property
    def needs_teacher(self) -> bool:
        return find_criterion(self.criterion).needs_teacher

    def real_images(self, there: int, made: int) -> int:
        """A random choice requires only the images drawn; every other criterion, and `dedupe`, all of them."""
        drawn = find_criterion(self.criterion).parts in [find_criterion(name).parts for name in CONTROLS]
        return made if drawn and not self.dedupe else there

    @property
    def needs_labels(self) -> bool:
        return find_criterion(self.criterion).needs_labels
