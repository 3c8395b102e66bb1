"""How a teacher's output for one view becomes bytes and back: all of its values, or the largest logits alone."""

from abc import ABC, abstractmethod
from math import prod

import numpy as np
import torch
from torch import Tensor


class Codec(ABC):
    """Interface: how an output becomes bytes and back.

    Attributes:
        name: equal exactly where the bytes mean the same.
        size: bytes of one view's output.
        dtype: of the values, "float16" or "float32".
        rounds: whether every device can compute exactly what will be read back.
    """

    name: str
    size: int
    dtype: str
    rounds = False

    @abstractmethod
    def encode(self, values: Tensor) -> np.ndarray:
        """float32 [B, ...] on the CPU as uint8 [B, size]."""

    @abstractmethod
    def decode(self, packed: np.ndarray) -> Tensor:
        """uint8 [B, size] as float32 [B, ...]."""

    def rounded(self, values: Tensor) -> Tensor:
        """float32 [B, ...] as it will be read back, computed where it is; only if `rounds`."""
        raise AssertionError("told on the CPU alone")

    @abstractmethod
    def comparable(self, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Values [B, ...] and what was read back for them, as far as it was stored: both float32 [B, n]."""


class Dense(Codec):
    """All values, rounded to a floating type.

    Args:
        shape: of one view's output.
        dtype: "float16" or "float32".
    """

    rounds = True

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.shape = shape
        self.dtype = dtype
        self._stored = np.dtype(dtype).newbyteorder("<")
        self.name = dtype
        self.size = prod(shape) * self._stored.itemsize

    def encode(self, values: Tensor) -> np.ndarray:
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, and is not stored
            return values.flatten(1).numpy().astype(self._stored).view(np.uint8)

    def decode(self, packed: np.ndarray) -> Tensor:
        values = packed.view(self._stored).astype(np.float32)
        return torch.from_numpy(values).view(len(packed), *self.shape)

    def rounded(self, values: Tensor) -> Tensor:
        return values.to(torch.float16).float() if self.dtype == "float16" else values

    def comparable(self, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        return values.flatten(1), kept.flatten(1)


class TopLogits(Codec):
    """The k largest logits, and one number for the others, which share the remaining probability equally.

    Softmax gives the k their exact probabilities and the others the right sum; `TopError` measures the loss.

    Args:
        classes: K, at most 65,536.
        k: 1 to K - 1.
        dtype: "float16" or "float32".
    """

    def __init__(self, classes: int, k: int, dtype: str) -> None:
        assert 0 < k < classes <= 2**16
        self.classes, self.k = classes, k
        self.dtype = dtype
        self.values = Dense((k + 1,), dtype)
        self.name = f"top{k}-{dtype}"
        self.size = self.values.size + 2 * k

    def encode(self, values: Tensor) -> np.ndarray:
        top, places = values.topk(self.k, dim=1)
        others = values.scatter(1, places, -torch.inf).logsumexp(dim=1, keepdim=True)
        packed = self.values.encode(torch.cat([top, others], dim=1))
        return np.concatenate([packed, places.numpy().astype("<u2").view(np.uint8)], axis=1)

    def decode(self, packed: np.ndarray) -> Tensor:
        values = self.values.decode(np.ascontiguousarray(packed[:, : self.values.size]))
        places = np.ascontiguousarray(packed[:, self.values.size :]).view("<u2").astype(np.int64)
        each = values[:, self.k :] - np.log(self.classes - self.k)
        return each.repeat(1, self.classes).scatter(1, torch.from_numpy(places), values[:, : self.k])

    def comparable(self, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        # At the stored places: of two almost equal logits, rounding may make either one the larger.
        top, places = kept.topk(self.k, dim=1)
        others = [logits.scatter(1, places, -torch.inf).logsumexp(dim=1, keepdim=True) for logits in (values, kept)]
        return torch.cat([values.gather(1, places), others[0]], dim=1), torch.cat([top, others[1]], dim=1)
