"""What images are optimised for: the losses of one batch of views, of teacher and student, by name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from limbeck.models.classifier import Classifier, Outputs
from limbeck.models.forward import Computing, evaluating
from limbeck.precision import autocast
from limbeck.transfer.generate.losses import (
    activation,
    adversarial,
    balance,
    batch_norm_distance,
    l2,
    one_hot,
    total_variation,
)
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.statistics import BatchNormMoments, MomentumMemory


@dataclass(frozen=True)
class Found:
    """Losses of one batch, and what they are made from.

    Attributes:
        losses: name -> [B] of each image, or [] of the batch.
        weighted: the sum that is minimised, [B] of each image and its batch.
        layers: batch-norm distance of each layer, [L]; empty where it is not among the losses.
        logits: of the teacher, float32 [B, K].
        embedding: of the teacher, float32 [B, D]; D is 0 where it has none.
        student_logits: float32 [B, K], or None where the student was left out.
        labels: int64 [B], that images were to have.
    """

    losses: dict[str, Tensor]
    weighted: Tensor
    layers: Tensor
    logits: Tensor
    embedding: Tensor
    student_logits: Tensor | None
    labels: Tensor

    def kept(self) -> dict[str, Tensor]:
        """All of it by row, [B, ...]."""
        count = len(self.logits)
        found = {f"losses.{name}": one.expand(count) for name, one in self.losses.items()}
        for name in ("logits", "labels", "embedding", "student_logits"):
            one = getattr(self, name)
            found |= {} if one is None else {name: one}
        return found | {"layers": self.layers.expand(count, -1)}


class Terms:
    """Losses with their weights, and all that they look at.

    Args:
        settings: forms of losses.
        teacher: frozen, on its device; hooked while the terms are `open`.
        computing: where and how networks compute.
    """

    def __init__(self, settings: GenerateSettings, teacher: Classifier, computing: Computing) -> None:
        self.settings = settings
        self.teacher = teacher
        self.computing = computing
        self.moments = BatchNormMoments(teacher) if settings.losses.batch_norm else None
        self.memory = MomentumMemory(settings.momentum) if settings.momentum and self.moments else None
        self.wants = ("logits",) if teacher.taps.embedding is None else ("logits", "embedding")

    def __call__(
        self, images: Tensor, views: Tensor, labels: Tensor | None, weights: Losses, student: Classifier | None
    ) -> Found:
        """The losses of images, [B, C, H, W] in [0, 1], that are seen as `views`, the same.

        Args:
            images, views: with gradients.
            labels: int64 [B]; None for those that the teacher gives.
            weights: of 0, a loss is left out.
            student: None leaves the adversary out.
        """
        outputs = self._outputs(self.teacher, views, self.wants)
        logits = outputs.logits.float()
        embedding = logits.new_empty(len(logits), 0) if outputs.embedding is None else outputs.embedding.float()
        labels = logits.detach().argmax(dim=1) if labels is None else labels
        weight = {name: value for name, value in weights.model_dump().items() if value}
        losses: dict[str, Tensor] = {}
        layers, student_logits = logits.new_zeros(0), None
        if "batch_norm" in weight:
            layers = self._batch_norm()
            losses["batch_norm"] = layers.sum()
        if "one_hot" in weight:
            losses["one_hot"] = one_hot(logits, labels)
        if "adversarial" in weight and student is not None:
            student_logits = self._outputs(student, views, ("logits",)).logits.float()
            form, temperature = self.settings.adversarial, self.settings.adversarial_temperature
            losses["adversarial"] = adversarial(logits, student_logits, form=form, temperature=temperature)
        if "activation" in weight:
            losses["activation"] = activation(embedding)
        if "balance" in weight:
            losses["balance"] = balance(logits)
        if "total_variation" in weight:
            losses["total_variation"] = total_variation(self._normalised(images))
        if "l2" in weight:
            losses["l2"] = l2(self._normalised(images))
        weighted = logits.new_zeros(len(logits))
        for name, value in losses.items():
            weighted = weighted + weight[name] * value
        return Found(losses, weighted, layers, logits, embedding, student_logits, labels)

    @contextmanager
    def open(self, student: Classifier | None) -> Iterator[None]:
        """Hooks are in place; the student evaluates, and its weights want no gradients, which is undone."""
        with ExitStack() as stack:
            if self.moments is not None:
                stack.enter_context(self.moments)
            if "embedding" in self.wants:
                stack.enter_context(self.teacher.tapping(self.wants))
            if student is not None:
                stack.enter_context(evaluating(student))
                stack.enter_context(_frozen(student))
            yield

    def remember(self) -> None:
        """After a call: the statistics of its last batch enter the memory."""
        if self.memory is not None and self.moments is not None:
            self.memory.update(self.moments.found)

    def _normalised(self, images: Tensor) -> Tensor:
        """In the teacher's units, those of the published weights."""
        mean, std = self.teacher.mean, self.teacher.std
        if self.teacher.channels != images.shape[1]:
            mean, std = mean.mean(dim=1, keepdim=True), std.mean(dim=1, keepdim=True)
        return (images - mean) / std

    def _batch_norm(self) -> Tensor:
        assert self.moments is not None
        found = self.moments.found
        return batch_norm_distance(found if self.memory is None else self.memory.mixed(found), self.moments.remembered)

    def _outputs(self, network: Classifier, views: Tensor, want: Sequence[str]) -> Outputs:
        with autocast(self.computing.device, self.computing.dtype):
            return network(views, want=want)

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.memory is None else self.memory.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if self.memory is not None:
            self.memory.load_state_dict({name: one.to(self.computing.device) for name, one in state.items()})


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """No gradients of its weights are computed; afterwards those that were to learn are to learn again."""
    learning = [one for one in network.parameters() if one.requires_grad]
    for one in learning:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in learning:
            one.requires_grad_(True)
