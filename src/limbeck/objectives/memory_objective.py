"""The memory of other images that crd and rrd compare an image with, in either of its forms, and what they share."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.objectives.checks import check_choice, check_count, check_positive
from limbeck.objectives.momentum_memory import DRAWS, NEGATIVES, POSITIVES, MomentumMemory
from limbeck.objectives.objective import Objective
from limbeck.objectives.queue import STARTS, Queue
from limbeck.objectives.setup import Setup, Unbuilt


@dataclass(frozen=True)
class MemoryOptions:
    """How an objective remembers other images.

    Args:
        kind: "momentum", embeddings of every image by its id, or "queue", the teacher's last embeddings.
        negatives_count: how many of the memory's images each is compared with, or the queue's length.
        momentum: of the momentum memory, 0 <= momentum < 1.
        temperature: of the momentum memory's scores, > 0.
        negatives: of the momentum memory, drawn from "other-classes", which needs labels, or from "any".
        enqueue: embeddings join the queue "before" or "after" the comparison.
        queue_start: "rows" or "columns", see `Queue`.
        positives: "own" or "same-class", see `MomentumMemory`.
        draws: "distinct" or "independent", see `MomentumMemory`.
    """

    kind: str
    negatives_count: int
    momentum: float
    temperature: float
    negatives: str
    enqueue: str
    queue_start: str
    positives: str
    draws: str

    def __post_init__(self) -> None:
        check_choice("memory", self.kind, ("momentum", "queue"))
        check_choice("negatives", self.negatives, NEGATIVES)
        check_choice("enqueue", self.enqueue, ("before", "after"))
        check_choice("queue_start", self.queue_start, STARTS)
        check_choice("positives", self.positives, POSITIVES)
        check_choice("draws", self.draws, DRAWS)
        if self.positives != "own" and (self.kind, self.negatives) != ("momentum", "other-classes"):
            raise UserError(
                "`positives: same-class` goes with `memory: momentum` and `negatives: other-classes`, got "
                f"`memory: {self.kind}` and `negatives: {self.negatives}`."
            )
        check_count("negatives_count", self.negatives_count)
        check_positive("temperature", self.temperature)
        if not 0 <= self.momentum < 1:
            raise UserError(f"`momentum` must be at least 0 and below 1, got {self.momentum}.")

    def make(self, setup: Setup, features: int) -> Queue | MomentumMemory:
        """An empty memory for the images of a run."""
        if self.kind == "queue":
            return Queue(self.negatives_count, features, start=self.queue_start)
        return MomentumMemory(
            setup,
            features,
            momentum=self.momentum,
            temperature=self.temperature,
            negatives=self.negatives,
            positives=self.positives,
            draws=self.draws,
        )


class MemoryObjective(Objective):
    """Interface of a loss that compares images, after a linear projection of either embedding, with a memory of others.

    Args:
        features: size of the projections.
        options: of the memory.
        learns_teacher: the teacher's projection receives a gradient.
    """

    def __init__(self, features: int, options: MemoryOptions, *, learns_teacher: bool = True) -> None:
        super().__init__()
        check_count("features", features)
        self.features = features
        self.options = options
        self.learns_teacher = learns_teacher
        self.student_linear: nn.Module = Unbuilt()
        self.teacher_linear: nn.Module = Unbuilt()
        self.memory: nn.Module = Unbuilt()

    of_momentum: ClassVar[tuple[str, ...]] = ("momentum", "negatives", "draws", "temperature")
    """Options that the momentum memory alone reads."""

    @classmethod
    def unread(cls, options: Mapping[str, Any]) -> Mapping[str, str]:
        of_the_other = cls.of_momentum if options["memory"] == "queue" else ("enqueue", "queue_start")
        return dict.fromkeys(of_the_other, f"`memory` is {options['memory']!r}")

    @property
    def remembers_ids(self) -> bool:
        return self.options.kind == "momentum"

    def build(self, setup: Setup) -> None:
        student, teacher = setup.embedding_sizes()
        self.student_linear = nn.Linear(student, self.features)
        self.teacher_linear = nn.Linear(teacher, self.features).requires_grad_(self.learns_teacher)
        self.memory = self.options.make(setup, self.features)

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor, ids: Tensor) -> Tensor:
        student = F.normalize(self.student_linear(student_embedding))
        teacher = F.normalize(self.teacher_linear(teacher_embedding.detach()))
        if isinstance(self.memory, Queue):
            if self.options.enqueue == "before":
                self.memory.push(teacher)
            loss = self.against_queue(student, teacher, self.memory.keys)
            if self.options.enqueue == "after":
                self.memory.push(teacher)
            return loss
        assert isinstance(self.memory, MomentumMemory)
        rows = self.memory.rows(ids)
        scores = self.memory.scores(student, teacher, self.memory.draw(rows, self.options.negatives_count))
        self.memory.update(student, teacher, rows)
        return self.against_images(*scores, len(self.memory.ids))

    @abstractmethod
    def against_queue(self, student: Tensor, teacher: Tensor, keys: Tensor) -> Tensor:
        """The loss of unit embeddings [B, D] and the queue's [K, D]."""

    @abstractmethod
    def against_images(self, student_scores: Tensor, teacher_scores: Tensor, images: int) -> Tensor:
        """The loss of logarithms of scores [B, 1 + K], see `MomentumMemory.scores`, with a memory of so many images."""
