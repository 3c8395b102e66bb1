"""The images that are learned, as inputs of a network, with their labels and the rate at which to learn from them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.errors import UserError


class SyntheticSet:
    """What condensing learns; one image per row.

    Args:
        inputs: float32 `[N, C, H, W]`, in the network's normalised space: zero is the mean colour.
        labels: logits, float32 `[N, K]`, for soft labels; class numbers, int64 `[N]`, for hard ones.
        rate: of the gradient descent that learns from them, > 0.
        learned: bool `[N]`, which images are learned; the others stay as they are. None for all.

    Raises:
        UserError: shapes do not match, something is not finite, or the rate is not > 0.

    Example:
        >>> synthetic = SyntheticSet(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), 0.01)
        >>> synthetic.count, synthetic.soft, synthetic.classes()
        (2, False, tensor([0, 1]))
    """

    def __init__(self, inputs: Tensor, labels: Tensor, rate: Tensor | float, learned: Tensor | None = None) -> None:
        self.inputs = inputs.detach().to(torch.float32).clone()
        # Logits lose nothing in float32; class numbers are indices, not values.
        self.labels = labels.detach().to(torch.float32 if labels.is_floating_point() else torch.int64).clone()
        self.rate = torch.as_tensor(rate, dtype=torch.float32).detach().clone()
        self.learned = torch.ones(len(inputs), dtype=torch.bool) if learned is None else learned.detach().clone()
        self._check()
        self.to(self.inputs.device)

    @property
    def count(self) -> int:
        return len(self.inputs)

    @property
    def soft(self) -> bool:
        """Whether labels are logits."""
        return self.labels.is_floating_point()

    def classes(self) -> Tensor:
        """Class numbers, int64 `[N]`; for soft labels the most probable classes, which learning may change."""
        return self.labels.argmax(1) if self.soft else self.labels

    def to(self, device: torch.device) -> "SyntheticSet":
        """Moves all tensors to `device`; returns itself."""
        for name, value in self.state_dict().items():
            setattr(self, name, value.to(device))
        return self

    def state_dict(self) -> dict[str, Tensor]:
        return {"inputs": self.inputs, "labels": self.labels, "rate": self.rate, "learned": self.learned}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores tensors of `state_dict`.

        Raises:
            UserError: they are of another set.
        """
        for name, value in self.state_dict().items():
            if name not in state or state[name].shape != value.shape or state[name].dtype != value.dtype:
                got = f"{state[name].dtype} {list(state[name].shape)}" if name in state else "none"
                raise UserError(
                    f"`{name}` of the synthetic set must be {value.dtype} {list(value.shape)}, got {got}: the "
                    "state is that of another set."
                )
        for name, value in self.state_dict().items():
            setattr(self, name, state[name].detach().to(value.device).clone())
        self._check()

    def _check(self) -> None:
        if self.inputs.ndim != 4 or not len(self.inputs):
            raise UserError(f"`inputs` must be images [N, C, H, W], N at least 1, got shape {list(self.inputs.shape)}.")
        if self.labels.ndim != (2 if self.soft else 1) or len(self.labels) != self.count:
            raise UserError(
                f"`labels` must be logits [N, K] or class numbers [N] of {self.count} images, got {self.labels.dtype} "
                f"{list(self.labels.shape)}."
            )
        if not self.soft and int(self.labels.min()) < 0:
            raise UserError(f"`labels` must be class numbers from 0, got {int(self.labels.min())}.")
        if self.learned.dtype != torch.bool or self.learned.shape != (self.count,):
            raise UserError(
                f"`learned` must be bool [{self.count}], one for each image, got {self.learned.dtype} "
                f"{list(self.learned.shape)}."
            )
        for name, value in (("inputs", self.inputs), ("labels", self.labels)):
            if not torch.isfinite(value).all():
                raise UserError(f"`{name}` must be finite, got {int((~torch.isfinite(value)).sum())} that are not.")
        if self.rate.ndim or not (torch.isfinite(self.rate) and self.rate > 0):
            raise UserError(f"`rate` must be one finite number > 0, got {self.rate.tolist()}.")
