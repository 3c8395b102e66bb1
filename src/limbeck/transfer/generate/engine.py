"""A round of generating: labels -> calls -> images kept -> outliers removed -> labels of the next round."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import nan
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from limbeck.data.views import augmentation
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of
from limbeck.randomness import generator
from limbeck.transfer.generate.diversity import distinct_count, within_class_spread
from limbeck.transfer.generate.history import Round
from limbeck.transfer.generate.labels import wanted_labels
from limbeck.transfer.generate.partial import from_json_tensor, json_tensor
from limbeck.transfer.generate.repository import Appended, Repository
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.synthesis import Batch
from limbeck.transfer.generate.synthesis.bits import view_of
from limbeck.transfer.generate.weight import GrowingWeight

_COMPARED = 256  # images of a call, at most, that are compared with each other


class Synthesis(Protocol):
    """Makes a batch of images in a call of several steps; its state holds a call in progress, too."""

    def call(
        self,
        number: int,
        labels: Tensor | None,
        *,
        weights: Losses,
        student: Classifier | None,
        stop: Callable[[], bool],
    ) -> Batch: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class Pruning(Protocol):
    """Says which images should leave, and remembers what it needs for that."""

    def added(self, appended: Appended, batch: Batch) -> None:
        """Images came, and others left for them."""
        ...

    def leaving(self, repository: Repository, student: Classifier | None, *, outliers: bool) -> Tensor:
        """Rows that should leave at the end of a round, int64 [n], those that should leave first at the front.

        Args:
            repository: of the images.
            student: as it was before the round, in evaluation mode; None where there is none, or nothing was taught.
            outliers: whether it is a round after which outliers leave.
        """
        ...

    def removed(self, rows: Tensor) -> None:
        """Rows that did leave."""
        ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Called after the repository has loaded its own."""
        ...


@dataclass
class Tally:
    """What the current round has made so far; sums over its calls."""

    calls: int = 0
    made: int = 0
    kept: int = 0
    left: int = 0
    compared: int = 0
    distinct: int = 0
    obtained: int = 0
    predicted: int = 0
    agreed: int = 0
    passes: int = 0
    seconds: float = 0.0
    spread: list[float] = field(default_factory=list)
    losses: list[dict[str, float]] = field(default_factory=list)
    layers: list[list[float]] = field(default_factory=list)


class Engine:
    """Makes the images of a repository, round by round; all that its next step depends on is in its state.

    Args:
        settings: of the maker, settled.
        synthesis: makes images.
        repository: holds them.
        pruning: says which images leave after a round; or None.
        count: images wanted in the end.
        seed: of all that is drawn.
        rounds: of the whole run, where that is known.

    Attributes:
        round: number of the round that is made next, or is being made.
        calls: made so far.
    """

    def __init__(
        self,
        settings: GenerateSettings,
        synthesis: Synthesis,
        repository: Repository,
        pruning: Pruning | None = None,
        *,
        count: int,
        seed: int,
        rounds: int | None = None,
    ) -> None:
        self.settings = settings
        self.synthesis = synthesis
        self.repository = repository
        self.pruning = pruning
        self.count = count
        self.seed = seed
        self.rounds = rounds
        self.views = augmentation(settings.views)
        self.weight = GrowingWeight(settings.losses.one_hot, settings.growth, warmup_rounds=settings.warmup)
        self.round = self.calls = 0
        self.tally = Tally()
        self._labels = self._draw_labels()

    @property
    def endless(self) -> bool:
        """Whether new images take the place of old ones, so that it never ends."""
        return bool(self.settings.fresh) or self.settings.replay is not None

    @property
    def full(self) -> bool:
        return not self.endless and len(self.repository) >= self.count

    @property
    def warming_up(self) -> bool:
        return self.round < self.settings.warmup

    def make_round(self, student: Classifier | None, between: Callable[[], bool]) -> Round:
        """Makes the images of a round, or what is left of it.

        Args:
            student: as it is now, in evaluation mode; None where there is none.
            between: called after every step and every call; when it raises, the state can be resumed from.
        """
        early = self.settings.adversary_early and self.round == self.settings.warmup - 1
        adversary = student if early or not self.warming_up else None
        weights = self.settings.losses.model_copy(update={"one_hot": self.weight.value})
        for number in range(self.tally.calls, self.settings.calls_per_round):
            labels = None if self._labels is None else self._labels[number]  # [B]
            began = time.perf_counter()
            batch = self.synthesis.call(self.calls, labels, weights=weights, student=adversary, stop=between)
            self._keep(batch, None if self.warming_up else student)
            self.tally.seconds += time.perf_counter() - began
            between()
        return self._end_round(weights.one_hot, None if self.warming_up else student)

    def _keep(self, batch: Batch, student: Classifier | None) -> None:
        """Puts those images of a batch that are not held already into the repository, and counts."""
        names = self.repository.layout.losses
        appended = self.repository.append(
            batch.images,
            logits=batch.logits,
            embedding=batch.embedding,
            wanted=batch.labels,
            view=batch.views,
            round=self.round,
            call=self.calls,
            losses={name: batch.image_losses.get(name, nan) for name in names},
        )
        if self.pruning is not None:
            self.pruning.added(appended, batch)
        self.calls += 1
        self._count(batch, appended, student)

    def _count(self, batch: Batch, appended: Appended, student: Classifier | None) -> None:
        tally, labels = self.tally, batch.logits.argmax(1)  # int64 [n]
        sample = batch.images[:_COMPARED]
        tally.calls += 1
        tally.made += len(labels)
        tally.kept += len(appended.rows)
        tally.left += len(appended.left)
        tally.compared += len(sample)
        tally.distinct += distinct_count(sample)
        tally.obtained += int((labels == batch.labels).sum())
        tally.passes += batch.passes
        if student is not None:
            in_batch = batch.student_logits
            student_logits = self._student_logits(student, batch.images, batch.views) if in_batch is None else in_batch
            tally.predicted += len(labels)
            tally.agreed += int((student_logits.argmax(1) == labels).sum())
        spread = within_class_spread(batch.embedding, labels) if batch.embedding.numel() else None
        tally.spread += [] if spread is None else [spread]
        tally.losses.append(dict(batch.losses))
        tally.layers.append(batch.layers.tolist())

    def _end_round(self, one_hot: float, student: Classifier | None) -> Round:
        tally = self.tally
        losses = {name: _mean([call[name] for call in tally.losses]) for name in tally.losses[0]}
        # Without its adversary a round counts as one whose adversarial loss is 0, as published: warm-up has none.
        absent = 0.0 if self.settings.losses.adversarial else None
        self.weight.update(batch_norm=losses.get("batch_norm"), adversarial=losses.get("adversarial", absent))
        distillation = self._distillation(student)
        removed = self._prune(student)
        row = Round(
            number=self.round,
            made=tally.made,
            held=len(self.repository),
            removed=tally.left + removed,
            distinct=round(tally.made * tally.distinct / tally.compared),
            obtained=tally.obtained / tally.made if self.settings.aims_at_classes else None,
            counts=self.repository.class_counts().tolist(),
            losses=losses,
            layers=torch.tensor(tally.layers).mean(0).tolist(),
            one_hot_weight=one_hot,
            spread=_mean(tally.spread) if tally.spread else None,
            agreement=tally.agreed / tally.predicted if tally.predicted else None,
            distillation=distillation,
            teacher_passes=tally.passes,
            seconds=tally.seconds,
        )
        self.round += 1
        self.tally = Tally()
        self._labels = self._draw_labels()
        return row

    def _distillation(self, student: Classifier | None) -> float | None:
        """Divergence of the student from the teacher on some images of earlier rounds; None where none was taught."""
        rows = self.repository.rows[: max(0, len(self.repository) - self.tally.kept)]
        if student is None or self.round <= self.settings.warmup or not len(rows):
            return None
        drawn = torch.randperm(len(rows), generator=generator(self.seed, "generate", "taught", self.round))
        rows = rows[drawn[:_COMPARED].sort().values]
        images, views = self.repository.column("images", rows), self.repository.column("view", rows)
        student_logits = self._student_logits(student, images, views).float()
        teacher_logits = self.repository.column("logits", rows).float()
        return float(
            kl_div(student_logits.log_softmax(1), teacher_logits.log_softmax(1), reduction="batchmean", log_target=True)
        )

    @torch.no_grad()
    def _student_logits(self, student: Classifier, images: Tensor, views: Tensor) -> Tensor:
        """Logits [n, K] of a student in evaluation mode for the teacher's views of images, uint8 [n, C, H, W]."""
        return student(view_of(images.float(), images, self.views, views).to(device_of(student))).logits.cpu()

    def _prune(self, student: Classifier | None) -> int:
        """Removes what should leave, but no more than keeps a full set full, then the excess; returns how many left."""
        before = len(self.repository)
        if self.pruning is not None:
            rows = self.pruning.leaving(self.repository, student, outliers=self._homogenises)
            # A set that is full stays so, or the last images would be made and removed without end.
            self._remove(rows[: before - self.count] if before >= self.count and not self.endless else rows)
        excess = len(self.repository) - self.count
        if excess > 0:  # the last ones, which came after there were enough
            self._remove(self.repository.rows[-excess:])
        return before - len(self.repository)

    @property
    def _homogenises(self) -> bool:
        """Whether outliers leave after this round."""
        homogenise = self.settings.homogenise
        if homogenise is None or self.warming_up:
            return False
        return self.rounds is None or self.round < homogenise.until * self.rounds

    def _remove(self, rows: Tensor) -> None:
        self.repository.remove(rows)
        if self.pruning is not None:
            self.pruning.removed(rows)

    def _draw_labels(self) -> Tensor | None:
        """Labels of the calls of the next round, int64 [calls, B]; None where the teacher gives them."""
        rule, size, held = self.settings.labels, self.settings.batch_size, self.repository.class_counts()
        if rule == "argmax":
            return None
        if self.round <= self.settings.warmup:  # as published: the first round after the warm-up draws the first bias
            held = torch.zeros_like(held)
        calls = range(self.calls, self.calls + self.settings.calls_per_round)
        drawn = [wanted_labels(rule, size, len(held), seed=self.seed, call=call, held=held) for call in calls]
        return torch.stack(drawn)

    def state_dict(self) -> dict[str, Tensor]:
        state = {
            "place": torch.tensor([self.round, self.calls]),
            "tally": json_tensor(asdict(self.tally)),
            "labels": torch.empty(0, dtype=torch.int64) if self._labels is None else self._labels,
        }
        for prefix, part in self._stateful().items():
            state |= {f"{prefix}.{name}": tensor for name, tensor in part.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.round, self.calls = state["place"].tolist()
        self.tally = Tally(**from_json_tensor(state["tally"]))
        self._labels = None if self.settings.labels == "argmax" else state["labels"]
        for prefix, part in self._stateful().items():
            start = f"{prefix}."
            part.load_state_dict(
                {name[len(start) :]: tensor for name, tensor in state.items() if name.startswith(start)}
            )

    def _stateful(self) -> "dict[str, GrowingWeight | Synthesis | Repository | Pruning]":
        parts = {"weight": self.weight, "synthesis": self.synthesis, "repository": self.repository}
        return parts if self.pruning is None else {**parts, "pruning": self.pruning}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
