"""The contract of makers, which turn the images and the teacher at hand into a transfer set and say what that took."""

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
        folder: this maker's own; what it writes there, a run that is resumed finds again.
        pool: images to take from or to look at, without those held out for validation; None where there are none.
        classes: names of the classes that the student will tell apart.
        shape: (C, H, W) of the images that the student takes.
        teacher: with its weights, in evaluation mode; to be left so. None where there is none, and for `count` also
            where it is still to be trained.
        teacher_named: the teacher as recipes name it, as {"weights": "runs/teacher"}, so that whoever reads the set
            finds it again; None where it was handed over in Python.
        held_out: what the student is judged on, validation and test images; only to see that no transfer set holds any.
        handed: other images that were handed over in Python, by the names that settings have for them.
        steps: that the student will be taught for; None where that is not known, or there is no student.
        seed: of all that is drawn.
        workers: processes that it may have score images, see `limbeck.score_table`.
        precision: in which it may ask the teacher: "fp32", "bf16", or "auto" for what the machine is fastest in.
        shared: where the runs of a comparison keep what several of them need, as tables of scores; None in a run that
            stands alone.
        kept: where a maker that stands alone keeps what takes long and serves others, as experts, whatever becomes of
            `folder`; None for `folder`.
        device: where to compute.
        progress: who watches.
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
        source: what the student is taught on. Soft labels of its images are left aside where a recipe has a teacher,
            which is asked instead, and saved by `limbeck make`.
        cost: of making it. What later rounds take, `TransferSource.refresh` tells.
        evidence: all that the report knows of it.
    """

    source: TransferSource
    cost: Cost
    evidence: Evidence


class Maker(Protocol[Settings]):
    """Interface of makers; one is a folder with its settings, and a line in `limbeck.transfer.catalogue`.

    What a maker writes into folders that it names in an attribute `findable`, names in `context.folder`, is found there
    by what it hangs on: whoever begins again with other settings may leave these. While one of the files is there that
    it names in an attribute `checkpoints`, nobody begins again with other settings. Settings that it names in an
    attribute `rounding`, by dotted paths, may change before all is made: what is made differs by rounding alone.
    """

    def count(self, settings: Settings, context: MakerContext) -> int:
        """How many images the transfer set will hold.

        Raises:
            UserError: it cannot be made so: no work has been done yet.
        """
        ...

    def make(self, settings: Settings, context: MakerContext) -> Made:
        """The transfer set, made now or gone on with from what lies in `context.folder`.

        It leaves in `context.folder` whatever `load` needs.

        Raises:
            Interrupted: stopped by Ctrl-C or SIGTERM; calling it again goes on.
        """
        ...

    def load(self, settings: Settings, context: MakerContext) -> TransferSource:
        """The source that `make` left in `context.folder`, without making anything again.

        Raises:
            UserError: it is damaged. Whoever removes the folder has it made again.
        """
        ...

    def evidence(self, settings: Settings, context: MakerContext, source: TransferSource) -> Evidence | None:
        """What the report is to know after the last round; None where that is what `make` told."""
        ...
