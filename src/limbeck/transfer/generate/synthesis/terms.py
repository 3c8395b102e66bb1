"""What images are optimised for: the losses of one batch of views, of teacher and student, by name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.data.views import Augmentation
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier, Outputs
from limbeck.models.forward import Computing, evaluating
from limbeck.precision import autocast
from limbeck.transfer.generate.contrast import Contrast
from limbeck.transfer.generate.feature_statistics import FeatureStatistics
from limbeck.transfer.generate.losses import (
    Moments,
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
from limbeck.transfer.generate.synthesis.found import Found
from limbeck.transfer.generate.synthesis.freezing import without_gradients
from limbeck.transfer.generate.synthesis.state import put, take
from limbeck.transfer.generate.synthesis.units import units_of


@dataclass(frozen=True)
class Shown:
    """Images as networks see them in one step.

    Attributes:
        images: float32 [B, C, H, W] in [0, 1].
        views: of them, the same.
        local: boxes of them, enlarged, the same; None where there is no contrast.
        labels: int64 [B], that they are to have; None for those that the teacher gives.
        call, step: in which they are seen.
    """

    images: Tensor
    views: Tensor
    local: Tensor | None
    labels: Tensor | None
    call: int
    step: int


class Terms:
    """Losses, and all that they look at, learn and remember.

    Args:
        settings: forms of losses.
        teacher: frozen, on its device; hooked while the terms are `open`.
        views: of the images.
        shape: (C, H, W) of the images.
        seed: of what contrast draws.
        computing: where and how networks compute.

    Attributes:
        contrast: with images made before, or None.
    """

    def __init__(
        self,
        settings: GenerateSettings,
        teacher: Classifier,
        *,
        views: Augmentation,
        shape: tuple[int, int, int],
        seed: int,
        computing: Computing,
    ) -> None:
        self.settings = settings
        self.teacher = teacher
        self.computing = computing
        self.moments: BatchNormMoments | None = None
        if settings.losses.batch_norm:
            exported = None if settings.statistics is None else FeatureStatistics.read(settings.statistics)
            self.moments = BatchNormMoments(teacher, exported)
        self.memory = MomentumMemory(settings.momentum) if settings.momentum and self.moments is not None else None
        self.contrast: Contrast | None = None
        if settings.losses.contrast:
            self.contrast = Contrast(teacher, shape, rate=settings.learning_rate, seed=seed, whole=views)
        self._units = tuple(
            torch.tensor(values, device=computing.device).view(-1, 1, 1) for values in units_of(teacher, shape[0])
        )
        if settings.losses.activation and teacher.taps.embedding is None:
            raise UserError(
                f"`losses.activation` is the size of the teacher's embedding, and no tap of {teacher.name} says where "
                "that is; set it to 0, or `lb.wrap` the teacher with `embedding`."
            )
        self.wants = ("logits",) if teacher.taps.embedding is None else ("logits", "embedding")
        self._last: Sequence[Moments] = ()

    @property
    def parameters(self) -> list[Tensor]:
        """What is learned besides images, by `apply`."""
        return [] if self.contrast is None else self.contrast.parameters

    def __call__(self, shown: Shown, weights: Losses, student: Classifier | None) -> Found:
        """The losses of what is shown.

        Args:
            shown: with gradients, or without.
            weights: of 0, a loss is left out.
            student: None leaves the adversary out.
        """
        outputs = self._outputs(self.teacher, shown.views, self.wants)
        logits = outputs.logits.float()
        embedding = logits.new_empty(len(logits), 0) if outputs.embedding is None else outputs.embedding.float()
        labels = logits.detach().argmax(dim=1) if shown.labels is None else shown.labels
        found = Found(logits, embedding, labels)
        if self.moments is not None:
            self._last = self.moments.found
        if weights.batch_norm:
            found.layers = self._distances()
            found.add("batch_norm", found.layers.sum(), weights.batch_norm)
        if weights.one_hot:
            found.add("one_hot", one_hot(logits, labels), weights.one_hot)
        if weights.adversarial and student is not None:
            found.student_logits = self._outputs(student, shown.views, ("logits",)).logits.float()
            form, temperature = self.settings.adversarial, self.settings.adversarial_temperature
            loss = adversarial(logits, found.student_logits, form=form, temperature=temperature)
            found.add("adversarial", loss, weights.adversarial)
        if weights.activation:
            found.add("activation", activation(embedding), weights.activation)
        if weights.balance:
            found.add("balance", balance(logits), weights.balance)
        if weights.total_variation:
            found.add("total_variation", total_variation(self._normalised(shown)), weights.total_variation)
        if weights.total_variation_l2:
            loss = total_variation(self._normalised(shown), norm="l2")
            found.add("total_variation_l2", loss, weights.total_variation_l2)
        if weights.l2:
            found.add("l2", l2(self._normalised(shown)), weights.l2)
        if weights.contrast:
            self._add_contrast(found, shown, weights.contrast)
        return found

    @contextmanager
    def open(self, student: Classifier | None) -> Iterator[None]:
        """Sets hooks, puts the student in evaluation mode and freezes its weights; all is undone afterwards."""
        with ExitStack() as stack:
            for hooks in (self.moments, self.contrast):
                if hooks is not None:
                    stack.enter_context(hooks)
            if "embedding" in self.wants:
                stack.enter_context(self.teacher.tapping(self.wants))
            if student is not None:
                stack.enter_context(evaluating(student))
                stack.enter_context(without_gradients(student))
            try:
                yield
            finally:
                self._last = ()  # no graph outlives its step

    def apply(self, gradients: Sequence[Tensor]) -> None:
        """A step of what is learned besides images."""
        if self.contrast is not None:
            self.contrast.apply(gradients)

    def remember(self, kept: Mapping[str, Tensor]) -> None:
        """After a call: the statistics of its last step and the features of what is kept are remembered."""
        if self.memory is not None:
            self.memory.update(self._last)
        if self.contrast is not None and "local_features" in kept:
            self.contrast.append(kept["local_features"], kept["features"])

    def _distances(self) -> Tensor:
        assert self.moments is not None, "weights of losses are those of the settings, or 0"
        moments = self._last if self.memory is None else self.memory.mixed(self._last)
        return batch_norm_distance(moments, self.moments.reference)

    def _add_contrast(self, found: Found, shown: Shown, weight: float) -> None:
        assert self.contrast is not None, "weights of losses are those of the settings, or 0"
        assert shown.local is not None, "with contrast there are local views"
        found.features = self.contrast.features
        self._outputs(self.teacher, shown.local, ("logits",))
        found.local_features = self.contrast.features
        loss = self.contrast.loss(found.local_features, found.features, call=shown.call, step=shown.step)
        found.add("contrast", loss, weight)

    def _normalised(self, shown: Shown) -> Tensor:
        """Images in the teacher's units, as published weights are for these."""
        mean, std = self._units
        return (shown.images - mean) / std

    def _outputs(self, network: Classifier, views: Tensor, want: Sequence[str]) -> Outputs:
        with autocast(self.computing.device, self.computing.dtype):
            return network(views, want=want)

    def state_dict(self) -> dict[str, Tensor]:
        state = {} if self.memory is None else put("memory", self.memory.state_dict())
        return state if self.contrast is None else state | put("contrast", self.contrast.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if self.memory is not None:
            memory = take("memory", state)
            self.memory.load_state_dict({name: tensor.to(self.computing.device) for name, tensor in memory.items()})
        if self.contrast is not None:
            self.contrast.load_state_dict(take("contrast", state))
