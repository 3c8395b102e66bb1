"""The inner loop of every method: images that a teacher is sure of, by steps on a generator or on pixels."""

from collections.abc import Callable, Mapping
from math import isfinite

import torch
from torch import Tensor

from limbeck.data.views import Augmentation, augmentation
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.interruption import Interrupted, StopRequest
from limbeck.memory import keep_freed_memory
from limbeck.models.classifier import Classifier
from limbeck.models.forward import resolve_computing
from limbeck.models.shared_memory import private_copy
from limbeck.randomness import derive_seed
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.synthesis.batch import Batch, batch_of
from limbeck.transfer.generate.synthesis.bits import in_bits, view_of
from limbeck.transfer.generate.synthesis.call import Call
from limbeck.transfer.generate.synthesis.found import Found
from limbeck.transfer.generate.synthesis.kept import Kept
from limbeck.transfer.generate.synthesis.origin import Origin
from limbeck.transfer.generate.synthesis.state import copied, put, take
from limbeck.transfer.generate.synthesis.terms import Shown, Terms

Stop = Callable[[], object] | StopRequest
_NETWORK_OUTPUTS = ("logits", "embedding", "student_logits", "labels")


class Synthesiser:
    """Makes images from nothing but a teacher, call by call.

    A call is a function of settings, state, labels, student, weights and its number: what it draws comes from seed and
    number. It may be stopped after any step; with its `state_dict`, another synthesiser goes on to the same bits.

    Args:
        settings: of the method.
        teacher: a frozen copy of it is used, in evaluation mode.
        shape: (C, H, W) of the images.
        num_classes: K.
        seed: of all that is drawn.
        device: where to compute.
        precision: "fp32", "bf16" (autocast; statistics, losses and images stay in float32), or "auto".

    Raises:
        UserError: views that mix images or have no gradient; a teacher without batch norm where that is compared.

    Example:
        >>> from limbeck.transfer.generate import Settings
        >>> settings = Settings(
        ...     budget=16, method="fast", batch_size=16, inner_steps=2, views="pad-crop", generator={"width": 8}
        ... )
        >>> synthesiser = Synthesiser(settings, teacher, shape=(1, 8, 8), num_classes=10, seed=0)
        >>> batch = synthesiser.call(0, torch.arange(16) % 10)
        >>> batch.images.shape, batch.images.dtype, batch.passes
        (torch.Size([16, 1, 8, 8]), torch.uint8, 32)
    """

    def __init__(
        self,
        settings: GenerateSettings,
        teacher: Classifier,
        *,
        shape: tuple[int, int, int],
        num_classes: int,
        seed: int,
        device: Device = "auto",
        precision: str = "auto",
    ) -> None:
        keep_freed_memory()
        self.settings = settings
        self.seed = seed
        self.computing = computing = resolve_computing(device, precision)
        self.views = _optimisable(augmentation(settings.views), shape)
        self.teacher = private_copy(teacher, "teacher").to(computing.device).requires_grad_(False).eval()
        if computing.channels_last:
            self.teacher = self.teacher.to(memory_format=torch.channels_last)
        self.terms = Terms(settings, self.teacher, views=self.views, shape=shape, seed=seed, computing=computing)
        self.origin = Origin(
            settings, self.teacher, shape=shape, num_classes=num_classes, seed=seed, computing=computing
        )
        self._call: Call | None = None

    def call(
        self,
        number: int,
        labels: Tensor | None,
        *,
        weights: Losses | None = None,
        student: Classifier | None = None,
        stop: Stop | None = None,
    ) -> Batch:
        """Makes the images of one call, or goes on with one that was stopped.

        Args:
            number: of the call, 0, 1, ...
            labels: that images are to have, int64 [B]; None for `batch_size` images of whatever the teacher says.
            weights: of losses; None for those of the settings.
            student: what it gets wrong is sought, by `weights.adversarial`; its weights and modes stay as they are.
            stop: looked at between steps, when `state_dict` is that of the call so far; the last step and what comes
                after it are one.

        Raises:
            UserError: losses that are not finite; another call was stopped and not gone on with.
            Interrupted: `stop` was true.
        """
        weights = self.settings.losses if weights is None else weights
        student = student if weights.adversarial else None
        call, steps = self._current_call(number, labels), self.settings.inner_steps
        with torch.enable_grad(), self.terms.open(student):
            while call.step < steps:
                self._step(call, weights, student)
                if stop is not None and call.step < steps and (stop() if callable(stop) else stop):
                    raise Interrupted(f"stopped after step {call.step} of {steps} of call {number}")
            batch = self._finish(call, weights, student)
        self._call = None
        return _checked(batch, number)

    def _current_call(self, number: int, labels: Tensor | None) -> Call:
        if self._call is None:
            count = self.settings.batch_size if labels is None else len(labels)
            labels = None if labels is None else labels.to(self.computing.device)
            self.origin.begin(number, labels, count)
            self._call = Call(number, labels, count, Kept(self.settings.keep))
        elif self._call.number != number:
            raise UserError(
                f"`number` must be {self._call.number}, the call that was stopped, got {number}; go on with it, or "
                "load a state from before it."
            )
        return self._call

    def _step(self, call: Call, weights: Losses, student: Classifier | None) -> None:
        images = self.origin.images(call.step)  # [B, C, H, W] float32 in [0, 1]
        found, parts = self._look(call, images, call.step, weights, student)
        parameters = [*self.origin.parameters, *self.terms.parameters]
        gradients = torch.autograd.grad(found.weighted.mean(), parameters, materialize_grads=True)
        call.kept.offer(found.weighted, parts)
        learned = len(self.terms.parameters)
        self.origin.apply(gradients[: len(gradients) - learned])
        self.terms.apply(gradients[len(gradients) - learned :])
        call.step += 1

    def _look(
        self, call: Call, images: Tensor, step: int, weights: Losses, student: Classifier | None
    ) -> tuple[Found, dict[str, Tensor]]:
        """Losses of images in their view number `step`, and all that is to be kept of them, name -> [B, ...]."""
        rows = torch.arange(len(images), device=images.device)
        draw = self.views.draw(rows, seed=derive_seed(self.seed, "generate", call.number, "views"), view=step)
        levels, bits = in_bits(images, floor=self.settings.floor)
        exact = self.settings.exact or not images.requires_grad
        shown = self._shown(call, levels if exact else 255 * images, bits if exact else None, draw, step)
        found = self.terms(shown, weights, student)
        return found, {**found.by_row(), "images": bits, "views": draw}

    def _shown(self, call: Call, levels: Tensor, bits: Tensor | None, draw: Tensor, step: int) -> Shown:
        """Images and their views as networks see them; counts the teacher's passes, too."""
        local, contrast = None, self.terms.contrast
        if contrast is not None:
            local = view_of(levels, bits, contrast.views, contrast.draw(len(levels), call=call.number, step=step))
        call.passes += len(levels) * (1 if local is None else 2)
        return Shown(levels / 255, view_of(levels, bits, self.views, draw), local, call.labels, call.number, step)

    @torch.no_grad()
    def _finish(self, call: Call, weights: Losses, student: Classifier | None) -> Batch:
        self.origin.end()
        self.terms.remember(call.kept.parts)
        parts = call.kept.parts
        if self.settings.fresh:
            steps = self.settings.inner_steps
            fresh = [
                self._look(call, self.origin.fresh(number), steps + number, weights, student)[1]
                for number in range(self.settings.fresh)
            ]
            parts = {name: torch.cat([batch[name] for batch in fresh]) for name in fresh[0]}
        elif not self.settings.exact:
            parts = parts | self._network_outputs(call, weights, student)
        if not self.settings.fresh and self.origin.average is not None:
            averaged = self._look(call, self.origin.by_average(), self.settings.inner_steps, weights, student)[1]
            parts = {name: _alternating(tensor, averaged[name]) for name, tensor in parts.items()}
        return batch_of(parts, call.passes)

    def _network_outputs(self, call: Call, weights: Losses, student: Classifier | None) -> dict[str, Tensor]:
        """Outputs of the networks for images as they are stored."""
        bits = call.kept.parts["images"]
        shown = self._shown(call, bits.float(), bits, call.kept.parts["views"], self.settings.inner_steps)
        outputs = self.terms(shown, weights, student).by_row()
        return {name: tensor for name, tensor in outputs.items() if name in _NETWORK_OUTPUTS}

    def state_dict(self) -> dict[str, Tensor]:
        """All that later steps depend on besides settings and teacher, as copies."""
        state = put("origin", self.origin.state_dict()) | put("terms", self.terms.state_dict())
        if self._call is not None:
            state |= put("call", self._call.state_dict()) | put("call.origin", self.origin.call_state())
        return copied(state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores a state, also one in the middle of a call."""
        self.origin.load_state_dict(take("origin", state))
        self.terms.load_state_dict(take("terms", state))
        saved = take("call", state)
        self._call = None
        if saved:
            self._call = call = Call.of(saved, self.settings.keep, self.computing.device)
            self.origin.load_call(call.number, call.labels, call.count, take("origin", saved))


def _optimisable(views: Augmentation, shape: tuple[int, int, int]) -> Augmentation:
    """Views through which images can be optimised; raises a UserError for others."""
    if views.others:
        raise UserError(
            "`views` must be of one image each while images are optimised, got some that mix several; those of "
            "`training.views` may."
        )
    views.smooth(torch.zeros(1, *shape), torch.zeros(1, dtype=torch.int64))
    return views


def _alternating(first: Tensor, other: Tensor) -> Tensor:
    """Rows of `first` and of `other` in turn."""
    rows = torch.arange(len(first), device=first.device).view(-1, *[1] * (first.ndim - 1))
    return torch.where(rows % 2 == 0, first, other)


def _checked(batch: Batch, number: int) -> Batch:
    wrong = [name for name, value in batch.losses.items() if not isfinite(value)]
    if wrong:
        raise UserError(
            f"losses of the images of call {number} are not finite: {', '.join(wrong)}; lower `learning_rate`, or "
            "their weights."
        )
    return batch
