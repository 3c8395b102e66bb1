"""The memory of other images that crd and rrd compare an image with, in either of its forms."""

from dataclasses import dataclass

from limbeck.errors import UserError
from limbeck.objectives.checks import check_choice, check_count, check_temperature
from limbeck.objectives.momentum_memory import NEGATIVES, MomentumMemory
from limbeck.objectives.queue import STARTS, Queue
from limbeck.objectives.setup import Setup


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
    """

    kind: str
    negatives_count: int
    momentum: float
    temperature: float
    negatives: str
    enqueue: str
    queue_start: str

    def __post_init__(self) -> None:
        check_choice("memory", self.kind, ("momentum", "queue"))
        check_choice("negatives", self.negatives, NEGATIVES)
        check_choice("enqueue", self.enqueue, ("before", "after"))
        check_choice("queue_start", self.queue_start, STARTS)
        check_count("negatives_count", self.negatives_count)
        check_temperature(self.temperature)
        if not 0 <= self.momentum < 1:
            raise UserError(f"`momentum` must be at least 0 and below 1, got {self.momentum}.")

    def make(self, setup: Setup, features: int) -> Queue | MomentumMemory:
        """An empty memory for the images of a run."""
        if self.kind == "queue":
            return Queue(self.negatives_count, features, start=self.queue_start)
        return MomentumMemory(
            setup, features, momentum=self.momentum, temperature=self.temperature, negatives=self.negatives
        )
