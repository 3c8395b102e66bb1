"""`generate` as a maker: images made from nothing but the teacher."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource, TransferSource
from limbeck.data.views import PadCrop, augmentation
from limbeck.errors import UserError, collecting
from limbeck.files import disk_errors
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.generate.counting import check_steps, check_warmup, images_wanted, rounds_of
from limbeck.transfer.generate.engine import Engine
from limbeck.transfer.generate.evidence import evidence_of
from limbeck.transfer.generate.feature_statistics import FeatureStatistics
from limbeck.transfer.generate.networks import build_network
from limbeck.transfer.generate.partial import PartialState, from_json_tensor, json_tensor
from limbeck.transfer.generate.pruning import pruning_for
from limbeck.transfer.generate.repository import Repository
from limbeck.transfer.generate.scales import weights_at_start
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.source import PARTIAL, GeneratingSource
from limbeck.transfer.generate.synthesis import Synthesiser
from limbeck.transfer.generate.teacher_logits import with_teacher_logits
from limbeck.transfer.maker import Made, MakerContext
from limbeck.transfer.real_images import real_images

MADE, REPOSITORY = "made.safetensors", "repository"
"""In the maker's folder: the state after the last round, where all was made at once; and the images."""
_LOGITS, _COST = "answers", "cost"
_ALONE = torch.zeros(16, dtype=torch.uint8)


class GenerateMaker:
    """Makes images by inverting the teacher, see `limbeck.generate`: in rounds while a student learns, or all at once.

    Example:
        >>> context = MakerContext(folder=Path("made"), pool=None, classes=teacher.classes, shape=(1, 8, 8),
        ...                        teacher=teacher)
        >>> settings = GenerateSettings(budget=32, batch_size=16, inner_steps=2, steps_per_round=None,
        ...                             losses={"adversarial": 0})
        >>> len(GenerateMaker().make(settings, context).source.images(0))
        32
    """

    checkpoints: ClassVar[tuple[str, ...]] = (PARTIAL, MADE)

    def count(self, settings: GenerateSettings, context: MakerContext) -> int:
        settings, count = settings.settled(_classes(context)), 0
        problems: list[str] = []
        with collecting(problems):
            count = images_wanted(settings, _classes(context))
            check_warmup(settings, count)
            check_steps(settings, count, context.steps)
        with collecting(problems):
            if context.teacher is None:  # a teacher that is still to be trained is checked later
                build_network(settings.generator, shape=context.shape, num_classes=_classes(context), seed=0)
            else:
                _check_channels(context.teacher, context.shape)
                _check_statistics(settings, context.teacher)
                _check_embedding(settings, context.teacher)
                self._synthesiser(settings, context, context.teacher)
        if problems:
            raise UserError("\n".join(problems))
        return count

    def make(self, settings: GenerateSettings, context: MakerContext) -> Made:
        source = self._source(settings, context)
        with disk_errors(context.folder):
            context.folder.mkdir(parents=True, exist_ok=True)
        _tell_idle(settings, source.engine.count, context)
        _tell_shifts(settings, context)
        if source.steps_per_round is not None:
            return Made(source=source, cost=Cost(), evidence=evidence_so_far(source, settings, context))
        state = self._whole(source, context)
        cost = Cost.from_dict(from_json_tensor(state[_COST]))
        fixed = FixedSource(_labelled(source, state))
        return Made(source=fixed, cost=cost, evidence=evidence_so_far(source, settings, context))

    def _whole(self, source: GeneratingSource, context: MakerContext) -> Mapping[str, Tensor]:
        """All images with their labels and cost, as they are on disk; also those of a call that was stopped after they
        were written."""
        kept = PartialState(context.folder / MADE)
        state = kept.load(_ALONE)
        if state is not None and _COST in state:
            source.load_state_dict(state)
            return state
        assert context.teacher is not None
        cost = source.fill()
        transfer_set, labelling_cost = with_teacher_logits(source.images(0), context.teacher)
        assert transfer_set.soft_labels is not None
        spent = json_tensor((cost + labelling_cost).to_dict())
        state = {**source.state_dict(), _LOGITS: transfer_set.soft_labels, _COST: spent}
        kept.save(_ALONE, state)
        source.forget()
        return state

    def load(self, settings: GenerateSettings, context: MakerContext) -> TransferSource:
        source = self._source(settings, context)
        if source.steps_per_round is not None:
            return source
        path = context.folder / MADE
        state = PartialState(path).load(_ALONE)
        if state is None:
            raise UserError(
                f"{str(path)!r}, which says what was made, is damaged or not there; remove the folder "
                f"{str(context.folder)!r}, so that it is made again."
            )
        source.load_state_dict(state)
        return FixedSource(_labelled(source, state))

    def evidence(self, settings: GenerateSettings, context: MakerContext, source: TransferSource) -> Evidence | None:
        """None where all was made at once: there is nothing to add to what `make` returned."""
        return evidence_so_far(source, settings, context) if isinstance(source, GeneratingSource) else None

    def _synthesiser(self, settings: GenerateSettings, context: MakerContext, teacher: Classifier) -> Synthesiser:
        return Synthesiser(
            settings,
            teacher,
            shape=context.shape,
            num_classes=teacher.num_classes,
            seed=context.seed,
            device=context.device,
            precision=context.precision,
        )

    def _source(self, settings: GenerateSettings, context: MakerContext) -> GeneratingSource:
        count = self.count(settings, context)
        assert context.teacher is not None, "makers that ask a teacher are refused without one before"
        losses = weights_at_start(settings, context.teacher, shape=context.shape, seed=context.seed)
        settings = settings.settled(context.teacher.num_classes).model_copy(update={"losses": losses})
        engine = Engine(
            settings,
            self._synthesiser(settings, context, context.teacher),
            Repository(
                context.folder / REPOSITORY,
                shape=context.shape,
                num_classes=context.teacher.num_classes,
                embedding=embedding_width(context.teacher, context.shape),
                losses=[name for name, weight in settings.losses.model_dump().items() if weight],
                capacity=count if settings.fresh else None,
                latest=bool(settings.fresh),
            ),
            pruning_for(settings, context.teacher.num_classes),
            count=count,
            seed=context.seed,
            rounds=settings.rounds
            if settings.steps_per_round is None or context.steps is None
            else rounds_of(settings, context.steps),
        )
        about = {
            "maker": settings.maker,
            "method": settings.method,
            "budget": parse_budget(settings.budget).label,
            "teacher": context.teacher.name,
            "seed": context.seed,
            "warmup_rounds": settings.warmup,
        }
        return GeneratingSource(
            engine,
            context.folder,
            classes=context.classes or tuple(map(str, range(context.teacher.num_classes))),
            about=about,
            progress=context.progress,
            teacher=context.teacher,
        )


@torch.no_grad()
def embedding_width(teacher: Classifier, shape: tuple[int, int, int]) -> int:
    """Numbers of a teacher's embedding; 0 where it has none."""
    if teacher.taps.embedding is None:
        return 0
    embedding = teacher(torch.zeros(1, *shape, device=device_of(teacher)), want=("logits", "embedding")).embedding
    assert embedding is not None
    return embedding.shape[1]


def evidence_so_far(source: GeneratingSource, settings: GenerateSettings, context: MakerContext) -> Evidence:
    """The evidence of what a source made so far."""
    assert context.teacher is not None
    return evidence_of(
        source.engine.repository,
        source.history,
        settings,
        context.teacher,
        real=real_images(context.pool, context.held_out, context.classes),
        floors=()
        if settings.statistics is None
        else tuple(FeatureStatistics.read(Path(settings.statistics)).floor.tolist()),
        seed=context.seed,
        device=context.device,
    )


def _classes(context: MakerContext) -> int:
    return len(context.classes) if context.teacher is None else context.teacher.num_classes


def _check_channels(teacher: Classifier, shape: tuple[int, int, int]) -> None:
    if shape[0] not in (1, teacher.channels) and teacher.channels != 1:
        raise UserError(
            f"the teacher {teacher.name} takes images of {teacher.channels} channel(s), and the student's, of "
            f"{shape[0]}, cannot be made such; make them for a student of 1 or {teacher.channels}."
        )


def _check_embedding(settings: GenerateSettings, teacher: Classifier) -> None:
    if settings.homogenise is not None and teacher.taps.embedding is None:
        raise UserError(
            f"`homogenise` compares images by the teacher's embedding, and {teacher.name} has none; tap one "
            "(`lb.wrap(embedding=...)`), or set `homogenise: null`."
        )


def _labelled(source: GeneratingSource, state: Mapping[str, Tensor]) -> TransferSet:
    return replace(source.images(0), soft_labels=state[_LOGITS], soft_label_kind="logits")


def _tell_idle(settings: GenerateSettings, count: int, context: MakerContext) -> None:
    """Says where classes of an even share are too small to have outliers."""
    per_class = count / max(1, _classes(context))
    if settings.homogenise is not None and per_class <= settings.homogenise.neighbours:
        context.progress.say(
            f"`homogenise` leaves classes of {settings.homogenise.neighbours:,} images or fewer alone (`neighbours`), "
            f"and an even share of {count:,} is {per_class:,.1f} a class: hardly any outlier will leave"
        )


def _tell_shifts(settings: GenerateSettings, context: MakerContext) -> None:
    """Says where views push much of an image out of sight, as those that are usual for photographs do to digits."""
    views, side = augmentation(settings.views), min(context.shape[1:])
    if isinstance(views, PadCrop) and views.padding >= side / 4:
        flips = ", and mirror them" if views.flip else ""
        context.progress.say(
            f"`views` shift images of {side} pixels by up to {views.padding}{flips}; for digits, letters and other "
            "small images {pad-crop: {padding: 1}} serves better, for the student's training, too"
        )


def _check_statistics(settings: GenerateSettings, teacher: Classifier) -> None:
    """Raises a UserError for feature statistics that cannot be read, or are of another network."""
    if settings.statistics is not None:
        FeatureStatistics.read(Path(settings.statistics)).check(teacher)
