"""The pixels that distribution matching learns: their space, optimizer and range."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from limbeck.data.multi_formation import split_images
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.transfer.condense.method_settings import Distribution
from limbeck.transfer.condense.synthetic import SyntheticSet


class LearnedPixels:
    """The images of a synthetic set that are learned, with their optimizer.

    Args:
        settings: optimizer, space, clamp and patience are read.
        classifier: converts between its inputs and images in [0, 1].
        synthetic: what the images begin as.

    Example:
        >>> from limbeck.transfer.condense.method_settings import Distribution
        >>> start = SyntheticSet(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), 0.01)
        >>> pixels = LearnedPixels(Distribution(image_rate=0.1), student, start)
        >>> pixels.images(torch.tensor([1])).sum().backward()
        >>> pixels.step()
        >>> pixels.finish(1.0)[:, 0, 0, 0]
        tensor([ 0.0000, -0.1000])
    """

    def __init__(self, settings: Distribution, classifier: Classifier, synthetic: SyntheticSet) -> None:
        self._options = settings
        self._classifier = classifier
        self._learned = synthetic.learned
        self._inputs = synthetic.inputs.clone()  # [N, C, H, W], of which some stay as they are
        self._values = self._in_space(self._inputs[self._learned]).requires_grad_()  # [L, C, H, W]
        self._optimizer = self._make_optimizer()
        self._plateau = (
            None
            if settings.patience is None
            else ReduceLROnPlateau(self._optimizer, factor=0.5, patience=settings.patience)
        )

    @property
    def rate(self) -> float:
        return float(self._optimizer.param_groups[0]["lr"])

    def images(self, rows: Tensor) -> Tensor:
        """Some of the learned images, in the space in which they are learned."""
        return self._values[rows]

    def fixed(self, which: Tensor) -> Tensor:
        """The images that `which`, bool `[N]`, selects, in the same space."""
        return self._in_space(self._inputs[which.to(self._inputs.device)])

    def inputs(self, images: Tensor, per_image: int = 1) -> Tensor:
        """Images of that space as inputs of the network, `per_image` from each, see `split_images`."""
        if self._options.space == "inputs" and per_image == 1:
            return images
        # Split as for students: before whitening, which mixes the pixels of an image.
        images = images if self._options.space == "images" else self._classifier.images_of(images)
        return self._classifier.prepare(split_images(images, per_image))

    def step(self) -> None:
        """A step of the optimizer along the gradients accumulated since the last one."""
        self._optimizer.step()
        self.forget_gradients()

    def forget_gradients(self) -> None:
        self._optimizer.zero_grad()

    @torch.no_grad()
    def finish(self, loss: float) -> Tensor:
        """Ends an iteration: clamps values to their range, and halves the rate after `patience` without a lower loss.

        Returns:
            All images as inputs `[N, C, H, W]`.
        """
        if self._options.clamp and self._options.space == "images":
            self._values.clamp_(0, 1)
        elif self._options.clamp:
            self._values.copy_(self._classifier.prepare(self._classifier.images_of(self._values).clamp(0, 1)))
        if self._plateau is not None:
            self._plateau.step(loss)
        return self._all_inputs()

    @property
    def state_bytes(self) -> int:
        """Bytes of `state_dict` after a step."""
        copies = 2 if self._options.optimizer == "adamw" else int(self._options.image_momentum > 0)
        return (1 + copies) * self._values.nbytes

    def state_dict(self) -> dict[str, Tensor]:
        state = {"values": self._values.detach(), "rate": torch.tensor(self.rate, dtype=torch.float64)}
        if self._plateau is not None:
            plateau = [self._plateau.best, self._plateau.num_bad_epochs]
            state["plateau"] = torch.tensor(plateau, dtype=torch.float64)
        kept = self._optimizer.state.get(self._values, {})
        return state | {f"optimizer.{name}": value for name, value in kept.items() if value is not None}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what `state_dict` returned.

        Raises:
            UserError: the state is of other images.
        """
        values = state.get("values")
        if values is None or values.shape != self._values.shape:
            got = "none" if values is None else list(values.shape)
            raise UserError(
                f"the state must hold {list(self._values.shape)} learned pixels, got {got}: of another set."
            )
        with torch.no_grad():
            self._values.copy_(values)
        self._optimizer.param_groups[0]["lr"] = float(state["rate"])
        if self._plateau is not None:
            self._plateau.best, bad = state["plateau"].tolist()
            self._plateau.num_bad_epochs = int(bad)
        prefix = "optimizer."
        self._optimizer.state.clear()
        self._optimizer.state[self._values] = {
            # AdamW counts its steps on the CPU.
            name.removeprefix(prefix): tensor.clone() if not tensor.ndim else tensor.to(self._values.device, copy=True)
            for name, tensor in state.items()
            if name.startswith(prefix)
        }

    def _make_optimizer(self) -> Optimizer:
        rate, decay = self._options.image_rate, self._options.weight_decay
        if self._options.optimizer == "adamw":
            return AdamW([self._values], lr=rate, weight_decay=decay)
        return SGD([self._values], lr=rate, momentum=self._options.image_momentum, weight_decay=decay)

    def _in_space(self, inputs: Tensor) -> Tensor:
        inputs = inputs.detach().clone()
        return self._classifier.images_of(inputs) if self._options.space == "images" else inputs

    def _all_inputs(self) -> Tensor:
        inputs = self._inputs.clone()
        inputs[self._learned] = self.inputs(self._values.detach())
        return inputs
