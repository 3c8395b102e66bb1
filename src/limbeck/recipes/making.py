"""The transfer set of a run, made before training, and loaded again when the run is resumed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from torch import Tensor, nn

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource, TransferSource
from limbeck.errors import UserError
from limbeck.files import disk_errors
from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import private_copy
from limbeck.progress import Progress, Silent
from limbeck.recipes.inputs import Inputs, build_student
from limbeck.recipes.matching import match_student
from limbeck.recipes.metering import MAKING, at_least, metered, metering
from limbeck.recipes.schema import Recipe
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.evidence import EVIDENCE
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.settings import MakerSettings

MADE_FILE, FOLDER = "making.json", "making"
"""In a run folder: the file written when making has finished, and the maker's own folder."""


def unmakeable(recipe: Recipe, inputs: Inputs, folder: Path, progress: Progress, where: str = "") -> dict[str, None]:
    """The reason, if any, why the maker of a recipe cannot do its work, found before anything is made.

    Args:
        recipe: of one run.
        inputs: its images; a teacher that is to be trained is not there yet.
        folder: of the run.
        progress: reports progress.
        where: begins each sentence about labels.
    """
    settings = recipe.transfer
    if settings is None:
        return {}
    if settings.needs_teacher and recipe.teacher is None:
        return {f"{settings.title} asks a teacher, and the recipe has none; give it a `teacher`.": None}
    try:
        find_maker(settings.maker).count(settings, context_for(recipe, inputs, folder, progress))
    except UserError as error:
        return {f"{where if settings.needs_labels else ''}{error}": None}
    return {}


def context_for(
    recipe: Recipe, inputs: Inputs, folder: Path, progress: Progress, shared: Path | None = None
) -> MakerContext:
    """What the maker of a recipe may use in the run folder `folder`."""
    classes_known = inputs.teacher is not None or inputs.train is not None
    device = PartialState(cpu=recipe.device == "cpu").device
    assert device is not None
    return MakerContext(
        folder=folder / FOLDER,
        pool=inputs.train,
        classes=inputs.classes.names if classes_known else (),
        shape=inputs.shape,
        teacher=None if inputs.teacher is None or recipe.teacher is None else evaluating(inputs.teacher),
        teacher_named=inputs.teacher_named,
        held_out=[images for images in (inputs.validation, inputs.test) if images is not None],
        steps=recipe.training.steps,
        seed=recipe.seed,
        precision=recipe.training.precision,
        shared=shared,
        device=device,
        progress=progress,
    )


def evaluating(teacher: Classifier) -> Classifier:
    """A copy in eval mode: a teacher left in training mode would give different outputs after a resume, and its batch
    statistics would drift."""
    if not any(part.training for part in teacher.modules()):
        return teacher
    return private_copy(teacher, "teacher").eval()


def make_source(
    recipe: Recipe, inputs: Inputs, run_folder: RunFolder, progress: Progress, shared: Path | None = None
) -> tuple[TransferSource, Cost]:
    """The source of training images, and the cost of making it.

    Of several processes one makes it, and the others load what it made. Cost and evidence are on disk before this
    returns; a resumed run makes nothing again, unless the maker's folder was removed.

    Raises:
        UserError: see the maker's `make` and `load`; `making.json` is damaged.
    """
    settings = recipe.transfer
    if settings is None:
        assert inputs.train is not None, "recipes without a maker have training images"
        return _with_carried(FixedSource(inputs.train), inputs), Cost()
    context = context_for(recipe, inputs, run_folder.path, progress, shared)
    already_made = (run_folder.path / MADE_FILE).exists() and context.folder.is_dir()
    if not already_made and run_folder.writes:
        source, cost = _make(settings, context, run_folder)
    else:
        PartialState().wait_for_everyone()
        cost = _read_cost(settings, run_folder)
        source = find_maker(settings.maker).load(settings, context)
    return _with_carried(source, inputs), cost


def _read_cost(settings: MakerSettings, run_folder: RunFolder) -> Cost:
    try:
        content = run_folder.read(MADE_FILE)
        if content["maker"] != settings.maker:
            raise ValueError(f"it is of maker {content['maker']!r}")
        return Cost() + Cost.from_dict(content["cost"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        path = str(run_folder.path / MADE_FILE)
        raise UserError(f"{path!r} is damaged ({error!r}); remove it, so that it is made again.") from error


def _make(settings: MakerSettings, context: MakerContext, run_folder: RunFolder) -> tuple[TransferSource, Cost]:
    with disk_errors(context.folder):
        context.folder.mkdir(parents=True, exist_ok=True)  # if it is missing later, everything is made again
    with metering(run_folder, MAKING):
        made = find_maker(settings.maker).make(settings, context)
    cost = at_least(made.cost, metered(run_folder, MAKING))
    made.evidence.save(run_folder.path / EVIDENCE)
    run_folder.write(MADE_FILE, {"maker": settings.maker, "cost": cost.to_dict()})
    PartialState().wait_for_everyone()
    return made.source, cost


def last_source(recipe: Recipe, inputs: Inputs, folder: Path, progress: Progress) -> tuple[TransferSource, Inputs]:
    """The source of a finished run after its last round, and the inputs matched to its student.

    Args:
        recipe: of the run.
        inputs: as they were gathered for it.
        folder: of the run.
        progress: receives the progress of what the source makes from now on.
    """
    assert recipe.transfer is not None
    inputs = match_student(inputs, build_student(recipe.student, inputs, seed=recipe.seed))
    source = find_maker(recipe.transfer.maker).load(recipe.transfer, context_for(recipe, inputs, folder, progress))
    if source.steps_per_round is not None:
        source.load_state_dict(Checkpoint.load(RunFolder(folder).checkpoint).take("source"))
    return source, inputs


def keep_last_evidence(
    recipe: Recipe, inputs: Inputs, run_folder: RunFolder, source: TransferSource, shared: Path | None
) -> None:
    """Replaces the evidence by that after the last round, if the source has rounds."""
    if recipe.transfer is None or source.steps_per_round is None:
        return
    context = context_for(recipe, inputs, run_folder.path, Silent(), shared)
    evidence = find_maker(recipe.transfer.maker).evidence(recipe.transfer, context, source)
    if evidence is not None:
        evidence.save(run_folder.path / EVIDENCE)


def _with_carried(source: TransferSource, inputs: Inputs) -> TransferSource:
    """The source, with the pool's `use` and, if there is no teacher, its soft labels added to images from the pool."""
    pool = inputs.train
    soft_labels = None if inputs.teacher is not None else inputs.soft_labels
    if pool is None or not isinstance(source, FixedSource) or (soft_labels is None and inputs.use is None):
        return source
    transfer_set = source.transfer_set
    if transfer_set.soft_labels is not None or not _taken_from(pool, transfer_set.images):
        return source
    rows = None if soft_labels is None else soft_labels.rows(pool.positions(transfer_set.images.ids))
    with_rows = transfer_set_of(transfer_set.images, rows)
    return FixedSource(replace(with_rows, provenance=transfer_set.provenance, about=transfer_set.about, use=inputs.use))


def _taken_from(pool: ImageSet, images: ImageSet) -> bool:
    """Whether `images` are from the pool. Ids do not prove it, as makers also number their images from 0."""
    if images.shape != pool.shape or not torch.isin(images.ids, pool.ids).all():
        return False
    return torch.equal(pool.subset(images.ids).digests(), images.digests())


class WithoutSoftLabels:
    """A source without its soft labels, because a teacher labels the images; makers need not know which it is.

    Args:
        source: of a maker.
    """

    def __init__(self, source: TransferSource) -> None:
        self.source = source
        self.steps_per_round = source.steps_per_round

    def images(self, round: int) -> TransferSet:
        return replace(self.source.images(round), soft_labels=None)

    def refresh(self, round: int, student: nn.Module) -> Cost:
        return self.source.refresh(round, student)

    def state_dict(self) -> dict[str, Tensor]:
        return self.source.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.source.load_state_dict(state)


def transfer_set_of(images: ImageSet, soft_labels: SoftTargets | None) -> TransferSet:
    """Images with soft labels, or without."""
    if soft_labels is None:
        return TransferSet(images)
    kind, temperature = soft_labels.kind, soft_labels.temperature
    return TransferSet(images, soft_labels.values, soft_label_kind=kind, soft_label_temperature=temperature)
