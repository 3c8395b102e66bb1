"""One run of condensing: its parts, each made once when first needed, and its stages."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from limbeck.cost import Cost
from limbeck.data.classes import few
from limbeck.data.image_set import ImageSet
from limbeck.data.place import FROM_PYTHON
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource
from limbeck.errors import UserError
from limbeck.memory import most_memory
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.models.forward import FrozenTeacher
from limbeck.models.weights.reordered import numbered_as
from limbeck.models.weights.sources import found_anywhere
from limbeck.transfer.condense.build_engine import engine_for, estimate_without_experts
from limbeck.transfer.condense.condensed_set import set_of_crops, transfer_set_of
from limbeck.transfer.condense.counting import images_per_class
from limbeck.transfer.condense.crops import images_of_crops
from limbeck.transfer.condense.estimate import Estimate
from limbeck.transfer.condense.estimate_text import ahead, work_beside
from limbeck.transfer.condense.evidence import evidence_of, facts_of_set
from limbeck.transfer.condense.experts import ExpertStore
from limbeck.transfer.condense.find_experts import (
    experts_for,
    remarks_on_experts,
    remarks_on_their_number,
    snapshots_at_hand,
    snapshots_read,
)
from limbeck.transfer.condense.frames import Frame, frame_of, save_frame
from limbeck.transfer.condense.history import History, HistoryFile
from limbeck.transfer.condense.judging import SHARE, accuracy_of, measured_judging
from limbeck.transfer.condense.learning import Learning
from limbeck.transfer.condense.learning_inputs import Begun, digest_of
from limbeck.transfer.condense.mask.masks import Masks, mask_network
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start import Start, chosen_for, initial_set
from limbeck.transfer.condense.start_images import Chosen
from limbeck.transfer.condense.synthetic import SyntheticSet
from limbeck.transfer.maker import Made, MakerContext

MADE = "made"
"""Folder of the transfer set in the maker's folder."""
_DIGEST = "digest"
"""Key in the note on the experts, beside those of their `extent`."""
_FEWEST = round(1 / SHARE)
"""Fewest images of which `SHARE` is at least one."""


def split_for(settings: CondenseSettings, pool: ImageSet) -> tuple[ImageSet, ImageSet | None]:
    """The images to condense, and those held out to judge iterations, which nothing else sees.

    Raises:
        UserError: too few images to hold some out, or a class that would have none left.
    """
    if not settings.holds_out:
        return pool, None
    if len(pool) < _FEWEST:
        raise UserError(
            f"`choose: {settings.choose}` judges by {SHARE:.0%} of the training images, and {pool.name!r} has "
            f"{len(pool)}, at least {_FEWEST} being needed; set `choose: last`."
        )
    rest, held_out = pool.split(SHARE, seed=settings.experts.seed)  # whatever the seed of the set, as experts share it
    if lost := _classes_lost(pool, rest):
        raise UserError(
            f"`choose: {settings.choose}` holds out {SHARE:.0%} of the training images, and classes of {pool.name!r} "
            f"would have none left ({few(lost)}); set `choose: last`, or give more images of these classes."
        )
    return rest, held_out


def _classes_lost(pool: ImageSet, rest: ImageSet) -> list[str]:
    if pool.labels is None:
        return []
    counts, counts_left = pool.class_counts().tolist(), rest.class_counts().tolist()
    return [name for name, before, after in zip(pool.classes, counts, counts_left, strict=True) if before and not after]


@dataclass(frozen=True)
class Condensation:
    """One run of condensing: its parts, and its stages in the order in which the maker calls them.

    Args:
        settings: of the maker.
        context: of the maker.
        whole: the pool, including the images that may be held out.
    """

    settings: CondenseSettings
    context: MakerContext
    whole: ImageSet

    @cached_property
    def pool(self) -> ImageSet:
        return split_for(self.settings, self.whole)[0]

    @cached_property
    def validation(self) -> ImageSet | None:
        return split_for(self.settings, self.whole)[1]

    @cached_property
    def images_per_class(self) -> int:
        return images_per_class(self.settings, self.pool)

    @property
    def image_count(self) -> int:
        return self.images_per_class * int((self.pool.class_counts() > 0).sum())

    @cached_property
    def networks(self) -> FreshNetworks:
        return FreshNetworks.of(self.settings.network, self.pool)

    @cached_property
    def network(self) -> Classifier:
        """An untrained network; converts between images and normalised inputs."""
        return self.networks(0)

    @cached_property
    def begun(self) -> Begun:
        """What learning began with, if this run resumes another."""
        return Begun(self.context.folder)

    @cached_property
    def teacher(self) -> Classifier | None:
        """The teacher; one that gives labels with its classes numbered as those of the pool."""
        teacher = self.context.teacher
        if teacher is None or not self.settings.labelled_by_teacher:
            return teacher
        return numbered_as(teacher, self.pool, f"the teacher {teacher.name}")

    def transfer_set(self, synthetic: SyntheticSet, start: Start) -> TransferSet:
        return transfer_set_of(
            synthetic, self.settings, self.networks, self.network, self.pool, start, seed=self.context.seed
        )

    def crops(self) -> Made:
        """The finished set of images made of crops, which a teacher rates; nothing is learned."""
        context, began = self.context, time.perf_counter()
        assert self.teacher is not None, "makers that ask a teacher are refused without one before"
        rater = FrozenTeacher(self.teacher, device=context.device)
        counts = (self.pool.class_counts() > 0).long() * self.images_per_class
        crop_images = images_of_crops(
            self.pool, rater, self.settings.crops, counts, seed=context.seed, progress=context.progress
        )
        rated = rater.passes  # before labels are asked for
        transfer_set = set_of_crops(
            crop_images,
            self.settings,
            self.networks,
            self.pool,
            rater,
            named=_teacher_named(context),
            seed=context.seed,
        )
        cost = Cost(
            images_read=rated // self.settings.crops.crops,
            teacher_passes=rater.passes,
            seconds=time.perf_counter() - began,
        )
        frame = frame_of(0, crop_images.images, crop_images.labels)
        return self.finished(transfer_set, cost, [frame])

    def chosen(self) -> Chosen | None:
        """Images that `initialise` names, chosen before anything that takes long; None where it names none."""
        if self.settings.initial is None and self.settings.initial_folder is None:
            return None
        chosen = chosen_for(self.settings, self.pool, count=self.image_count, context=self.context)
        if self.settings.initial_folder is not None:
            self.begun.note("initial", chosen.images.fingerprint, f"the images of {self.settings.initial_folder!r}")
        return chosen

    def experts(self) -> tuple[ExpertStore | None, Cost]:
        """The experts and their cost; before any is taught, an estimate of what learning will take is shown."""
        settings, extent = self.settings, self.begun.before.get("experts", {})
        store, cost = experts_for(
            settings,
            self.pool,
            self.networks,
            self.context,
            before=self._tell_estimate,
            begun={name: value for name, value in extent.items() if name != _DIGEST},
        )
        if store is not None:
            self._note_experts(store)
            for remark in [*remarks_on_experts(settings, store), *remarks_on_their_number(settings, store)]:
                self.context.progress.say(remark)
        return store, cost

    def _note_experts(self, store: ExpertStore) -> None:
        """Notes how much of the folder is read, so that a resumed run reads the same, even if it has grown since."""
        settings, extent = self.settings, store.extent
        if not settings.reads_judges:
            del extent["judges"], extent["epochs"]  # other runs may change them
        digest = store.digest(snapshots_at_hand(settings, store), judges=settings.reads_judges)
        self.begun.note("experts", {**extent, _DIGEST: digest}, f"the experts in {str(store.folder)!r}")

    def _tell_estimate(self) -> None:
        """Shows what learning will take; raises a UserError where memory does not suffice, before any work is done."""
        if not self.settings.iterations:
            return
        estimate = estimate_without_experts(
            self.settings,
            self.network,
            self.pool,
            fresh=self.networks,
            images_per_class=self.images_per_class,
            snapshots=snapshots_read(self.settings) or (0, 1),
            seed=self.context.seed,
            device=self.context.device,
        )
        mask_cost = None
        if self.settings.mask is not None:
            expert = self.network if self.settings.mask.network == "expert" else None
            classes = (self.pool.class_counts() > 0).nonzero().flatten().repeat_interleave(self.images_per_class)
            masks = self._masks_of(mask_network(self.settings.mask, teacher=self.context.teacher, expert=expert))
            mask_cost = masks.measured(torch.zeros(len(classes), *self.pool.shape), classes)
        self.context.progress.say(f"after experts are taught, {self._ahead(estimate, mask_cost)}")

    def _ahead(self, estimate: Estimate, mask_cost: tuple[float, int] | None, done: int = 0) -> str:
        """What learning takes, in words; `mask_cost` is seconds and bytes of making the mask's maps once."""
        judging_cost = None
        if self.validation is not None:
            count = self.image_count * self.settings.per_image
            judging_cost = measured_judging(
                self.settings.use, self.network, count, self.validation, self.context.device
            )
        extras = work_beside(self.settings, judging_cost, mask_cost, done)
        return ahead(estimate, *extras, iterations=self.settings.iterations, done=done)

    def start(self, store: ExpertStore | None, chosen: Chosen | None = None) -> Start:
        """The images and labels that learning begins with."""
        return initial_set(
            self.settings,
            self.pool,
            self.network,
            store.judges if store is not None and self.settings.reads_judges else (),
            count=self.image_count,
            seed=self.context.seed,
            teacher=self.teacher,
            chosen=chosen,
            context=self.context,
        )

    def learn(self, start: Start, store: ExpertStore | None) -> tuple[SyntheticSet, Cost]:
        """The images to keep and the cost of learning them, without interruptions."""
        if not self.settings.iterations:
            self._save_frame(start.synthetic, 0, start, None, None)
            return start.synthetic, Cost()
        masks = self._masks(store)
        engine = engine_for(
            self.settings,
            self.network,
            store,
            start.synthetic,
            self.pool,
            fresh=self.networks,
            classes=start.classes,
            mask=masks,
            seed=self.context.seed,
            device=self.context.device,
        )
        learning = Learning(
            engine,
            self.context.folder,
            every=self.settings.evaluate_every,
            look=lambda images, iteration, score: self._save_frame(images, iteration, start, score, masks),
            keeps_best=self.settings.choose == "validation",
            judge=None if self.validation is None else lambda images: self._judge(images, start),
            memory=lambda: _held(self.context.device),
            progress=self.context.progress,
            begun=self.begun.now,
        )
        if learning.done < self.settings.iterations:
            mask_cost = None if masks is None else masks.measured(self._shown(start.synthetic), start.classes)
            self.context.progress.say(self._ahead(engine.estimate(), mask_cost, learning.done))
        learning.run()
        mask_passes = 0 if masks is None else masks.passes  # without interruptions, as the seconds
        return learning.kept, Cost(steps=self.settings.iterations, teacher_passes=mask_passes, seconds=learning.seconds)

    def finished(
        self, made: TransferSet, cost: Cost, frames: Sequence[Frame], store: ExpertStore | None = None
    ) -> Made:
        """Saves the set, and gathers the evidence for the report."""
        shutil.rmtree(self.context.folder / MADE, ignore_errors=True)  # left by a call that was stopped after saving
        made.save(self.context.folder / MADE)
        history = HistoryFile(self.context.folder).read() if self.settings.iterations else History([])
        evidence = evidence_of(
            self.settings,
            made.images,
            history,
            frames,
            pool=len(self.pool),
            cost=cost,
            facts=facts_of_set(self.settings, made, store),
            findings=[] if store is None else remarks_on_experts(self.settings, store),
        )
        return Made(source=FixedSource(made), cost=cost, evidence=evidence)

    def _masks(self, store: ExpertStore | None) -> Masks | None:
        settings = self.settings.mask
        if settings is None:
            return None
        expert = store.judge(0) if settings.network == "expert" and store is not None else None
        network = mask_network(settings, teacher=self.context.teacher, expert=expert)
        if settings.network not in ("teacher", "expert"):
            self.begun.note("mask", digest_of(network), f"the weights of `mask.network` {settings.network!r}")
        return self._masks_of(network)

    def _masks_of(self, looking: Classifier) -> Masks:
        assert self.settings.mask is not None
        looking = looking.to(self.context.device)
        return Masks(self.settings.mask, looking, self.pool.classes, seed=self.context.seed)

    def _judge(self, images: SyntheticSet, start: Start) -> float:
        assert self.validation is not None
        transfer_set = self.transfer_set(images, start)
        return accuracy_of(transfer_set, self.validation, self.networks, seed=self.context.seed)

    def _shown(self, images: SyntheticSet) -> torch.Tensor:
        """The images in units of [0, 1]."""
        return self.network.images_of(images.inputs.cpu()).detach()

    def _save_frame(
        self, images: SyntheticSet, iteration: int, start: Start, score: float | None, masks: Masks | None
    ) -> None:
        shown = self._shown(images)
        maps = None if masks is None or masks.maps is None else masks.maps.cpu()
        save_frame(self.context.folder, frame_of(iteration, shown, start.classes, maps=maps, accuracy=score))


def _teacher_named(context: MakerContext) -> Mapping[str, Any]:
    """The teacher as recipes name it, to be found from any folder; one from Python by its name and fingerprint."""
    teacher, named = context.teacher, context.teacher_named
    assert teacher is not None
    if named is None:
        return {"weights": f"{FROM_PYTHON}{teacher.name}#{fingerprint(teacher)[:12]}"}
    return {**named, "weights": found_anywhere(str(named["weights"]))}


def _held(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else most_memory()
