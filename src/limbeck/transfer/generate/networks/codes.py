"""Labels as inputs of a generator: one-hot codes, and NAYER's layer that is drawn anew for every batch."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.randomness import generator

CODE = 512
"""Numbers of a code, unless there are more classes: as many as an embedding of CLIP has."""


def with_one_hot(latents: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Latents [B, Z] or [B, Z, H, W] with the one-hot code of the labels beside them: [B, Z + K, ...].

    Example:
        >>> with_one_hot(torch.zeros(2, 1), torch.tensor([0, 2]), 3)
        tensor([[0., 1., 0., 0.],
                [0., 0., 0., 1.]])
    """
    code = F.one_hot(labels, num_classes).to(latents.dtype)
    places = latents.shape[2:]
    return torch.cat([latents, code.view(*code.shape, *(1 for _ in places)).expand(-1, -1, *places)], 1)


def orthogonal_codes(num_classes: int, *, seed: int) -> Tensor:
    """A code for each class, float32 [K, D], all of length 1 and at right angles; D is 512, or K if that is more."""
    random = torch.randn(max(CODE, num_classes), num_classes, generator=generator(seed, "generate", "codes"))
    return torch.linalg.qr(random.double()).Q.T.float().contiguous()


def read_codes(path: str, num_classes: int) -> Tensor:
    """Codes of the user's own, such as embeddings of class names: float32 [K, D].

    Args:
        path: a file of one array of a row for each class, as npy or safetensors.
        num_classes: K.

    Raises:
        UserError: no such file, or it holds something else.
    """
    file = Path(path)
    allowed = f"`generator.codes` must be a file (npy or safetensors) of {num_classes} rows of numbers, one a class"
    if not file.is_file():
        raise UserError(f"{allowed}; there is no file {path!r}.")
    try:
        arrays = [torch.from_numpy(np.load(file))] if file.suffix == ".npy" else [*load_file(file).values()]
    except Exception as error:  # what readers raise depends on what is in the file
        raise UserError(f"{allowed}; {path!r} cannot be read ({type(error).__name__}: {error}).") from None
    if len(arrays) != 1 or arrays[0].ndim != 2 or len(arrays[0]) != num_classes or not arrays[0].is_floating_point():
        shapes = ", ".join(f"{array.dtype} {list(array.shape)}".removeprefix("torch.") for array in arrays)
        raise UserError(f"{allowed}, got {shapes or 'no array'}.")
    codes = arrays[0].float()
    if not codes.isfinite().all():
        raise UserError(f"{allowed}; some in {path!r} are endless or none.")
    return codes


class NoisyCodes(nn.Module):
    """Latents of an image from the code of its class, through a linear layer of N(0, 1) that is drawn for every batch.

    Images of one class would be alike, so the first image of every class takes one layer, the second another, and so
    on: as published, where batches hold all classes equally often and there is a layer for each K images. Codes are
    normalised over the classes, as batch norm does over such batches.

    Args:
        codes: float32 [K, D].

    Source: Tran et al., "NAYER: noisy layer data generation for efficient and effective data-free knowledge
    distillation", CVPR 2024.

    Example:
        >>> noisy = NoisyCodes(orthogonal_codes(3, seed=0))
        >>> labels = torch.tensor([0, 2, 0])
        >>> layers = torch.randn(noisy.layers_of(labels), 16, 512)
        >>> layers.shape, noisy(layers, labels).shape
        (torch.Size([2, 16, 512]), torch.Size([3, 16]))
    """

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        spread = codes.var(0, correction=0).add(1e-5).sqrt()  # that of batch norm
        self.register_buffer("codes", (codes - codes.mean(0)) / spread if len(codes) > 1 else codes)
        self.gain = nn.Parameter(torch.ones(codes.shape[1]))
        self.bias = nn.Parameter(torch.zeros(codes.shape[1]))

    def layers_of(self, labels: Tensor) -> int:
        """How many layers images of these labels need: as many as the most frequent class has images."""
        return int(labels.bincount(minlength=1).max())

    def forward(self, layers: Tensor, labels: Tensor) -> Tensor:
        """Latents [B, Z] of layers [G, Z, D] and labels int64 [B]."""
        codes = self.codes * self.gain + self.bias
        latents = codes @ layers.transpose(1, 2)  # [G, K, Z]
        return latents[_repeats(labels, len(self.codes)), labels]


def _repeats(labels: Tensor, num_classes: int) -> Tensor:
    """How many images of the same label stand before each, int64 [B]."""
    return F.one_hot(labels, num_classes).cumsum(0).gather(1, labels[:, None]).squeeze(1) - 1
