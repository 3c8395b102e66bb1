"""What one step computes."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Found:
    """Losses of one batch, and what they are made from.

    Attributes:
        logits: of the teacher, float32 [B, K].
        embedding: of the teacher, float32 [B, D]; D is 0 where it has none.
        labels: int64 [B], that images were to have, or those that the teacher gives.
        student_logits: float32 [B, K], or None where the student was left out.
        layers: batch-norm distance of each layer, [L]; None where it is not among the losses.
        features, local_features: of whole and local views, for contrast, [B, F], or None.
        losses: name -> [B] of each image, or [] of the batch.
        weighted: the sum that is minimised, [B] of each image and its batch.
    """

    logits: Tensor
    embedding: Tensor
    labels: Tensor
    student_logits: Tensor | None = None
    layers: Tensor | None = None
    features: Tensor | None = None
    local_features: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    weighted: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.weighted = self.logits.new_zeros(len(self.logits))

    def add(self, name: str, loss: Tensor, weight: float) -> None:
        """Adds a loss, [B] or []."""
        self.losses[name] = loss
        self.weighted = self.weighted + weight * loss

    def by_row(self) -> dict[str, Tensor]:
        """All of it, without graph, name -> [B, ...]."""
        count = len(self.logits)
        rows = {f"losses.{name}": loss.expand(count) for name, loss in self.losses.items()}
        for name in ("logits", "embedding", "labels", "student_logits", "features", "local_features"):
            value = getattr(self, name)
            rows |= {} if value is None else {name: value}
        rows |= {} if self.layers is None else {"layers": self.layers.expand(count, -1)}
        return {name: value.detach() for name, value in rows.items()}
