"""The interface of makers, which make a transfer set from images and a teacher and report what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch

from limbeck.cost import Cost
from limbeck.data.transfer_source import TransferSource
from limbeck.precision import Precision
from limbeck.progress import Progress, Silent
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.settings import MakerSettings

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

Settings = TypeVar("Settings", bound=MakerSettings, contravariant=True)


@dataclass(frozen=True, kw_only=True)
class MakerContext:
    """What a maker may use.

    Attributes:
        folder: the maker's own folder, which a resumed run finds again.
        pool: images to take from or to look at, without those held out for validation; None if there are none.
        classes: names of the classes that the student will tell apart.
        shape: (C, H, W) of the images that the student takes.
        teacher: with its weights, in evaluation mode, in which it must stay. None if there is none, and for `count`
            also if it is still to be trained.
        teacher_named: the teacher as recipes name it, such as {"weights": "runs/teacher"}, so that readers of the set
            can find it; None if it was passed as a Python object.
        held_out: validation and test images that the student is judged on; only for checking that no transfer set
            contains any.
        handed: other images that were passed as Python objects, by the names that the settings use for them.
        steps: number of training steps of the student; None if it is unknown or there is no student.
        seed: of all random draws.
        workers: number of processes that may score images, see `limbeck.score_table`.
        precision: of the teacher's forward passes: "fp32", "bf16", or "auto" for the fastest on the machine.
        shared: folder in which the runs of a comparison keep what several of them need, such as tables of scores; None
            for a run by itself.
        kept: folder in which a maker that runs by itself keeps what is slow to make and reusable, such as experts, even
            if `folder` is removed; None for `folder`.
        device: where to compute.
        progress: reports progress.
    """

    folder: Path
    pool: "ImageSet | None"
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    teacher: "Classifier | None" = None
    teacher_named: Mapping[str, Any] | None = None
    held_out: "Sequence[ImageSet]" = ()
    handed: "Mapping[str, ImageSet]" = field(default_factory=dict)
    steps: int | None = None
    seed: int = 0
    workers: int = 1
    precision: Precision = "auto"
    shared: Path | None = None
    kept: Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a maker made before the first step.

    Attributes:
        source: the images that the student is taught on. Soft labels of its images are ignored where a recipe has a
            teacher, which is asked instead; `limbeck make` saves them.
        cost: of making it; `TransferSource.refresh` returns the cost of later rounds.
        evidence: everything that the report knows about it.
    """

    source: TransferSource
    cost: Cost
    evidence: Evidence


class Maker(Protocol[Settings]):
    """Interface of makers; a maker is a package with its settings, and an entry in `limbeck.transfer.catalogue`.

    Three optional attributes concern a run that is started again. `findable` names folders in `context.folder` whose
    contents are keyed by all that they depend on, so they can stay when a run starts over with other settings.
    `checkpoints` names files; while one of them exists, a run cannot start over with other settings. `rounding` names
    settings, by dotted paths, that may change before everything is made, as they alter the result by rounding alone.
    """

    def count(self, settings: Settings, context: MakerContext) -> int:
        """How many images the transfer set will hold.

        Raises:
            UserError: it cannot be made with these settings; no work has been done yet.
        """
        ...

    def make(self, settings: Settings, context: MakerContext) -> Made:
        """Makes the transfer set, or continues from what is in `context.folder`.

        Leaves in `context.folder` whatever `load` needs.

        Raises:
            Interrupted: stopped by Ctrl-C or SIGTERM; another call continues.
        """
        ...

    def load(self, settings: Settings, context: MakerContext) -> TransferSource:
        """Loads the source that `make` left in `context.folder`, without making anything again.

        Raises:
            UserError: it is damaged; removing the folder has it made again.
        """
        ...

    def evidence(self, settings: Settings, context: MakerContext, source: TransferSource) -> Evidence | None:
        """The evidence after the last round; None if that of `make` still holds."""
        ...
