"""The inner loop of every method: images that a teacher is sure of, by steps on a generator or on pixels."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from limbeck.data.views import augmentation
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.interruption import Interrupted, StopRequest
from limbeck.models.classifier import Classifier
from limbeck.models.forward import evaluating, resolve_computing
from limbeck.models.shared_memory import private_copy
from limbeck.randomness import derive_seed
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.synthesis.batch import Batch, batch_of
from limbeck.transfer.generate.synthesis.bits import in_bits, view_of
from limbeck.transfer.generate.synthesis.kept import Kept
from limbeck.transfer.generate.synthesis.origin import Origin
from limbeck.transfer.generate.synthesis.state import copied, put, take
from limbeck.transfer.generate.synthesis.terms import Found, Terms

Stop = Callable[[], object] | StopRequest


class Synthesiser:
    """Makes images from nothing but a teacher, call by call.

    A call is a function of settings, state, labels, student, weights and its number: what it draws comes from seed and
    number. It may be stopped after any step; with its `state_dict`, another synthesiser goes on to the same bits.

    Args:
        settings: of the method.
        teacher: a frozen copy of it is asked, in evaluation mode.
        shape: (C, H, W) of the images.
        num_classes: K.
        seed: of all that is drawn.
        device: where to compute.
        precision: "fp32", "bf16" (autocast; statistics and images stay in float32), or "auto".

    Raises:
        UserError: views that mix images.
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
        self.settings = settings
        self.seed = seed
        self.computing = computing = resolve_computing(device, precision)
        self.views = augmentation(settings.views)
        if self.views.others:
            raise UserError(
                f"`views` must be of one image each while images are optimised, got {settings.views!r}, which mix "
                "several; `training.views` may mix them."
            )
        self.teacher = private_copy(teacher, "teacher").to(computing.device).requires_grad_(False).eval()
        if computing.channels_last:
            self.teacher = self.teacher.to(memory_format=torch.channels_last)
        self.terms = Terms(settings, self.teacher, computing)
        self.origin = Origin(
            settings, self.teacher, shape=shape, num_classes=num_classes, seed=seed, computing=computing
        )
        self._call: _Call | None = None

    def call(
        self,
        number: int,
        labels: Tensor | None,
        *,
        weights: Losses | None = None,
        student: Classifier | None = None,
        stop: Stop | None = None,
    ) -> Batch:
        """Makes the images of one call, or goes on with those of one that was stopped.

        Args:
            number: of the call, 0, 1, ...
            labels: that images are to have, int64 [B]; None for `batch_size` images of whatever the teacher says.
            weights: of losses; None for those of the settings.
            student: what it gets wrong is sought, by `weights.adversarial`; its weights and modes stay as they are.
            stop: looked at between steps, when `state_dict` is that of the call so far; the last step and what comes
                after it are one.

        Raises:
            UserError: losses that are not finite.
            Interrupted: `stop` was true.
        """
        weights = self.settings.losses if weights is None else weights
        student = student if weights.adversarial else None
        if self._call is None or self._call.number != number:
            self._begin(number, labels)
        call, steps = self._call, self.settings.inner_steps
        assert call is not None
        with self._open(student):
            while call.step < steps:
                self._step(call, weights, student)
                if stop is not None and call.step < steps and (stop() if callable(stop) else stop):
                    raise Interrupted(f"stopped after step {call.step} of {steps} of call {number}")
            self._call = None
            return self._finish(call, weights, student)

    def _begin(self, number: int, labels: Tensor | None) -> None:
        count = self.settings.batch_size if labels is None else len(labels)
        labels = None if labels is None else labels.to(self.computing.device)
        self.origin.begin(number, labels, count)
        self._call = _Call(number, labels, count, Kept(self.settings.keep))

    def _step(self, call: "_Call", weights: Losses, student: Classifier | None) -> None:
        images = self.origin.images(call.step)  # [B, C, H, W] float32 in [0, 1]
        found, parts = self._look(call, images, call.step, weights, student)
        gradients = torch.autograd.grad(found.weighted.mean(), self.origin.parameters, materialize_grads=True)
        call.kept.offer(found.weighted, parts)
        self.origin.apply(list(gradients))
        call.step += 1

    def _look(
        self, call: "_Call", images: Tensor, view: int, weights: Losses, student: Classifier | None
    ) -> tuple[Found, dict[str, Tensor]]:
        """Losses of images in their view number `view`, and all that is to be kept of them, name -> [B, ...]."""
        levels, bits = in_bits(images, floor=self.settings.floor)
        rows = torch.arange(len(images), device=images.device)
        draw = self.views.draw(rows, seed=derive_seed(self.seed, "generate", call.number, "views"), view=view)
        seen = view_of(levels, bits, self.views, draw)
        found = self.terms(images, seen, call.labels, weights, student)
        return found, {**found.kept(), "images": bits, "views": draw}

    def _finish(self, call: "_Call", weights: Losses, student: Classifier | None) -> Batch:
        self.origin.end()
        self.terms.remember()
        passes = call.count * self.settings.inner_steps
        parts = call.kept.parts
        if self.settings.fresh:
            shown = []
            with torch.no_grad():
                for number in range(self.settings.fresh):
                    images = self.origin.fresh(number)
                    view = self.settings.inner_steps + number
                    shown.append(self._look(call, images, view, weights, student)[1])
            parts = {name: torch.cat([one[name] for one in shown]) for name in shown[0]}
            passes += call.count * self.settings.fresh
        batch = batch_of(parts, passes)
        wrong = [name for name, value in batch.losses.items() if not torch.isfinite(torch.tensor(value))]
        if wrong:
            raise UserError(
                f"losses of the images of call {call.number} are not finite: {', '.join(wrong)}; lower "
                "`learning_rate` or their weights."
            )
        return batch

    @contextmanager
    def _open(self, student: Classifier | None) -> Iterator[None]:
        """Hooks in place; the student frozen, which is undone."""
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            if self.terms.moments is not None:
                stack.enter_context(self.terms.moments)
            if "embedding" in self.terms.wants:
                stack.enter_context(self.teacher.tapping(("embedding",)))
            if student is not None:
                stack.enter_context(evaluating(student))
                stack.enter_context(_frozen(student))
            yield

    def state_dict(self) -> dict[str, Tensor]:
        """All that later steps hang on besides settings and teacher; tensors that stay as they are."""
        found = put("origin", self.origin.state_dict()) | put("memory", self.terms.state_dict())
        if self._call is not None:
            found |= put("call", self._call.state_dict()) | put("call.origin", self.origin.call_state())
        return copied(found)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes back, or on, to a state, in a call too."""
        self.origin.load_state_dict(take("origin", state))
        self.terms.load_state_dict(take("memory", state))
        saved = take("call", state)
        self._call = _Call.of(saved, self.settings, self.computing.device) if saved else None
        if self._call is not None:
            self.origin.load_call(self._call.number, self._call.labels, self._call.count, take("origin", saved))


class _Call:
    """A call in progress."""

    def __init__(self, number: int, labels: Tensor | None, count: int, kept: Kept, step: int = 0) -> None:
        self.number = number
        self.labels = labels
        self.count = count
        self.kept = kept
        self.step = step

    def state_dict(self) -> dict[str, Tensor]:
        labels = {} if self.labels is None else {"labels": self.labels}
        numbers = {name: torch.tensor(getattr(self, name)) for name in ("number", "count", "step")}
        return {**numbers, **labels, **put("kept", self.kept.state_dict())}

    @classmethod
    def of(cls, state: Mapping[str, Tensor], settings: GenerateSettings, device: torch.device) -> "_Call":
        labels = state["labels"].to(device, copy=True) if "labels" in state else None
        kept = Kept(settings.keep)
        kept.load_state_dict(take("kept", state), device)
        return cls(int(state["number"]), labels, int(state["count"]), kept, int(state["step"]))


@contextmanager
def _frozen(student: Classifier) -> Iterator[None]:
    """No gradients are computed for its weights; afterwards those that were to learn are to learn again."""
    learning = [one for one in student.parameters() if one.requires_grad]
    for one in learning:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in learning:
            one.requires_grad_(True)
