"""Settings under `transfer` in a recipe that all makers have in common; without importing torch."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from limbeck.errors import UserError
from limbeck.training.numeric_fields import refuse_truth
from limbeck.transfer.budget import parse_budget


def _budget(value: Any) -> Any:
    parse_budget(value)
    return value


BudgetSpec = Annotated[int | float | str, BeforeValidator(_budget)]
"""A count, a share, or images per class; see `parse_budget`."""


def _budget_of_made(value: Any) -> Any:
    try:
        parse_budget(value)
    except UserError:
        raise UserError(
            "`budget` must be a count of images above 0 (5000) or images per class (500/class), as there are no images "
            f"that it could be a share of, got {value!r}."
        ) from None
    return value


MadeBudgetSpec = Annotated[int | float | str, BeforeValidator(_budget_of_made)]
"""The same for makers that have no images to take a share of; whoever counts the images refuses a valid share."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """A baseline that the images of a maker have to beat at the same budget; every comparison adds its controls.

    Attributes:
        label: its name in words.
        changes: laid over the settings of the arm that it stands beside, so that it draws from the same pool; with
            another `maker` among them, in place of these settings.
        strict: the highest of a maker's controls is the one that a verdict is about.
        taught_alike: whether its student is taught as the arm is that it stands beside, where that changes objective,
            student or training; else as the recipe says.
        asked_as_often: whether its student takes so many more steps that the teacher is asked as often as for the arm,
            making its images and teaching on them together; of several arms for the one that asks most.
        from_labels: whether a student without a teacher is taught on these images' labels, as one more control.
    """

    label: str
    changes: Mapping[str, Any]
    strict: int = 0
    taught_alike: bool = False
    asked_as_often: bool = False
    from_labels: bool = False


class Opponent(NamedTuple):
    """The control that an arm is compared with.

    Attributes:
        control: its name.
        why: what both have in common, as text after "as".
        same_images: whether the arm has exactly the images of the control, so that it is compared with no other.
    """

    control: str
    why: str
    same_images: bool = False


def digests_of(paths: Iterable[str]) -> dict[str, str]:
    """Digests (32 hex digits) of small files by path; those that exist."""
    contents = {path: Path(path).read_bytes() for path in paths if Path(path).is_file()}
    return {path: hashlib.blake2b(content, digest_size=16).hexdigest() for path, content in contents.items()}


class MakerSettings(BaseModel):
    """Settings of every maker. Each adds its own, and sets the default of `maker` to its name in the catalogue.

    Attributes:
        maker: which maker, by name.
        budget: how many images the transfer set holds, of one that grows, at its end: a count (500), a share of the
            training images or pools (10%, or 0.1), or images of each class (50/class).
        guesses_labels: whether labels of its images are the teacher's guesses, which are learned from where the
            objective says so, and not by default.
        needs_pool: whether it takes its images from the training images, or looks at them.
        controls: by name, which must not be those of another maker's with other settings.
        equal_passes: what an arm says that controls stand beside it for which the teacher is asked as often; "" where
            its maker has none.
        about_controls: names of settings that are about the controls of a comparison, and about nothing else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _numbers = field_validator("*", mode="before")(refuse_truth)

    maker: str
    budget: BudgetSpec

    guesses_labels: ClassVar[bool] = False
    needs_pool: ClassVar[bool] = True
    controls: ClassVar[Mapping[str, Control]] = {}
    equal_passes: ClassVar[str] = ""
    about_controls: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def controls_beside(cls, said: Mapping[str, Any]) -> Mapping[str, Control]:
        """The controls of an arm with these settings, by name; those that need training images, if there are some.

        Args:
            said: what the arm says, without a budget.
        """
        return cls.controls

    @classmethod
    def opponent(cls, said: Mapping[str, Any]) -> Opponent | None:
        """The control that an arm with these settings is judged against; None if it has none.

        It should differ from the arm only in what the arm is about. By default the strictest control.

        Args:
            said: what the arm says, without a budget.
        """
        ranked = [(control.strict, name) for name, control in cls.controls_beside(said).items() if control.strict]
        return Opponent(max(ranked)[1], "it is the strictest of those beside it") if ranked else None

    @classmethod
    def alone(cls, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings to use when a transfer set is made by itself, without training a student."""
        return said

    @property
    def title(self) -> str:
        """Its name in sentences."""
        return f"maker {self.maker!r}"

    @property
    def needs_teacher(self) -> bool:
        """Whether it uses the teacher."""
        return False

    def named_files(self) -> dict[str, str]:
        """Digests of what is read from the files that these settings name, by path; those that exist.

        Where one differs, a run or comparison does not go on.
        """
        return {}

    def passes(self, classes: int, steps: int | None) -> int:
        """Number of teacher passes while it makes images, as far as it is known in advance.

        Args:
            classes: number of classes of the images.
            steps: training steps of the student.
        """
        return 0

    def real_images(self, there: int, made: int) -> int:
        """How many training images it requires: by default all if it takes its images from them or looks at them.

        Args:
            there: number of training images.
            made: number of images of the transfer set.
        """
        return there if self.needs_pool else 0

    @property
    def own_labels(self) -> bool:
        """Whether students learn from the labels of its images, hard or soft, and not from a teacher."""
        return False

    @property
    def may_keep_floats(self) -> bool:
        """Whether its images may be floats, for which there are no 8-bit views."""
        return False

    @property
    def needs_labels(self) -> bool:
        """Whether it requires labels of the training images."""
        return False
