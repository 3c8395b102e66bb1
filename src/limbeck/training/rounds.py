"""The rounds of a transfer source: the present images of a run, their batches, and the teacher's outputs for them."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from limbeck.cost import Cost
from limbeck.data.normalised_views import normalised_views
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import TransferSource
from limbeck.data.views import Augmentation
from limbeck.models.classifier import Classifier, Outputs
from limbeck.models.forward import FrozenTeacher
from limbeck.models.shared_memory import private_copy
from limbeck.randomness import derive_seed
from limbeck.training.batches import Batch, BatchStream, Passes
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.checks import check_length, check_made, check_round
from limbeck.training.random_state import own_generators
from limbeck.training.schedule import Phases
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.known import take_known
from limbeck.training.view_cache.opening import open_view_cache


class Rounds:
    """The present round of a run.

    Step s is step s mod `steps_per_round` of round s // `steps_per_round`. The images of a round are a function of its
    number and of the source's state, order and views of (seed, round, step): a checkpoint needs no more.

    Args:
        source: of the images.
        seed: of the run.
        accelerator: of the run. Of several processes, the first makes the images of a round and sends the others the
            state that they are made from, as it is restored in a resumed run.

    Attributes:
        number: of the present round; -1 before the first.
        transfer_set: its images.
        cost: of all calls of `refresh` so far, including those before an interruption.
    """

    transfer_set: TransferSet

    def __init__(self, source: TransferSource, seed: int, accelerator: Accelerator) -> None:
        self.source = source
        self.seed = seed
        self.accelerator = accelerator
        self.number = -1
        self.cost = Cost()

    def at(self, step: int) -> tuple[int, int]:
        """The round that a step belongs to, and which step of it that is."""
        length = self.source.steps_per_round
        return (0, step) if length is None else divmod(step, length)

    def begin(self, saved: Checkpoint | None, student: Classifier) -> None:
        """Restores the round of a checkpoint without making its images again, or makes those of the first round.

        Raises:
            UserError: the run was begun with rounds of another length.
        """
        if saved is None:
            self.refresh(0, student)
            return
        notes = saved.notes.get("rounds", {"number": 0, "cost": {}})  # default: a run from before there were rounds
        check_length(self.source, notes.get("steps", self.source.steps_per_round))
        self.source.load_state_dict(saved.take("source"))
        self.number, self.cost = notes["number"], Cost.from_dict(notes["cost"])
        self.transfer_set = self.source.images(self.number).decoded()

    def refresh(self, number: int, student: Classifier) -> None:
        """Has the source make the images of a round, and switches to them.

        Raises:
            UserError: they are of another kind than those before, or the source breaks its contract.
        """
        shared: list[Any] = [None, None]
        first = self.accelerator.is_main_process
        if first:
            # A source that uses the student may leave gradients, statistics or another mode in it.
            own = student if self.source.steps_per_round is None else private_copy(student, "student").eval()
            with own_generators(self.accelerator.device, self.seed, "refresh", number), torch.enable_grad():
                cost = self.source.refresh(number, own)
            # A single process does not need the state; checking the first one is enough.
            needed = self.accelerator.num_processes > 1 or self.number < 0
            shared = [cost, self.source.state_dict() if needed else {}]
            check_made(*shared)
        cost, state = broadcast_object_list(shared)
        if not first:
            self.source.load_state_dict(state)
        transfer_set = self.source.images(number).decoded()
        if self.number >= 0:
            check_round(transfer_set, self.transfer_set, number)
        self.number, self.transfer_set, self.cost = number, transfer_set, self.cost + cost

    def save(self, saved: Checkpoint) -> None:
        saved.put("source", self.source.state_dict())
        steps = self.source.steps_per_round
        saved.notes["rounds"] = {"number": self.number, "cost": self.cost.to_dict(), "steps": steps}


class RoundStream:
    """The batches of the present round, and the teacher's outputs for them.

    Args:
        rounds: whose present round it is.
        views: of the images.
        phases: of the run, with its settings.
        teacher: if some term reads its outputs.
        channels_last: memory order of the batches.
        say: called with messages about the view cache.
        passes: see `BatchStream`.

    Attributes:
        view_cache: summary of the view cache, once the stream is closed.
    """

    def __init__(
        self,
        rounds: Rounds,
        views: Augmentation,
        phases: Phases,
        *,
        teacher: FrozenTeacher | None,
        channels_last: bool,
        say: Callable[[str], None],
        passes: Passes | None = None,
    ) -> None:
        self.passes = passes
        self.rounds = rounds
        self.views = views
        self.normalised_views = normalised_views(phases.settings.normalised_views)
        self.phases = phases
        self.teacher = teacher
        self.channels_last = channels_last
        self.say = say
        self.view_cache: dict[str, Any] | None = None
        self._batches, self._cache = self._open()

    def next_round(self) -> None:
        """Switches to the images of the present round of `rounds`."""
        self.close()
        self._batches, self._cache = self._open()

    def batch(self, step: int) -> Batch:
        """The batch of a step of the round."""
        return self._batches[step]

    def teacher_outputs(self, batch: Batch, step: int, want: Collection[str]) -> tuple[Outputs | None, int]:
        """The teacher's outputs for the batch of a step, and for how many of its images they were in the cache."""
        if self.teacher is None or not want:
            return None, 0
        if self._cache is None:
            return self.teacher(batch.images, want={*want, "logits"}, input_transform=batch.input_transform), 0
        return self._cache(batch.images, self._cache.entries(*self._batches.draws(step)), want)

    def close(self) -> None:
        self._batches.close()
        if self._cache is not None:
            self._cache.close()
            self.view_cache = self._cache.summary()
            self._cache = None

    def _open(self) -> tuple[BatchStream, ViewCache | None]:
        rounds, taught = self.rounds, self.rounds.transfer_set.taught_part()
        length, total = rounds.source.steps_per_round, self.phases.total
        batches = BatchStream(
            taught.images,
            augmentation=self.views,
            batch_size=self.phases.settings.batch_size,
            seed=rounds.seed if rounds.number == 0 else derive_seed(rounds.seed, "round", rounds.number),
            device=rounds.accelerator.device,
            soft_labels=taught.soft_targets,
            channels_last=self.channels_last,
            normalised_views=self.normalised_views,
            process=rounds.accelerator.process_index,
            processes=rounds.accelerator.num_processes,
            steps=total if length is None else min(length, total - rounds.number * length),
            passes=self.passes,
        )
        return batches, self._open_cache(taught)

    def _open_cache(self, made: TransferSet) -> ViewCache | None:
        images, settings = made.images, self.phases.settings.cache
        if self.teacher is None or not settings or self.normalised_views.changes:
            return None
        cache, known = open_view_cache(self.teacher, images, self.views, settings, say=self.say), made.known_logits
        if cache is not None and known is not None:
            take_known(cache, images, self.views, known)
        return cache
