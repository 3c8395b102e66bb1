"""The interface of normalised views: pure functions of images and of a draw, made from (seed, step, position)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.copies import to_device
from limbeck.errors import UserError
from limbeck.randomness import derive_seed, uniform, words

_PARTS = 2**24
"""Uniform numbers in [0, 1) are multiples of one over this."""


@dataclass(frozen=True, eq=False)
class Draw:
    """All randomness in the views of a batch; the same draw gives the same views.

    Attributes:
        word: 63 random bits of the batch.
        bits: 64 random bits of each image, int64 [B].

    Example:
        >>> from limbeck.data.normalised_views import normalised_views
        >>> draw = normalised_views("dsa").draw(4, seed=0, step=7)
        >>> len(draw), draw.numbers(2).shape, draw.choice(6) in range(6)
        (4, torch.Size([4, 2]), True)
    """

    word: int
    bits: Tensor

    def __len__(self) -> int:
        return len(self.bits)

    def choice(self, count: int) -> int:
        """One of 0, 1, ... `count` - 1 for the whole batch."""
        return self.word % count

    def numbers(self, count: int) -> Tensor:
        """`count` independent numbers for each image, uniform in [0, 1), float32 [B, count]."""
        return uniform(words(0, torch.arange(count, device=self.bits.device), self.bits[:, None]))

    def integers(self, limits: tuple[int, ...]) -> Tensor:
        """A whole number in [0, limit) for each limit and image, int64 [limits, B].

        It scales with the limit: images of another size, as seen by another network, are moved in proportion.
        """
        bits = words(1, torch.arange(len(limits), device=self.bits.device)[:, None], self.bits)
        parts = (uniform(bits) * _PARTS).to(torch.int64)  # exact
        return torch.stack(
            [(part * limit).div(_PARTS, rounding_mode="floor") for part, limit in zip(parts, limits, strict=True)]
        )

    def part(self, number: int) -> "Draw":
        """An independent draw for one of several views that are applied one after the other."""
        return Draw(derive_seed(self.word, number), words(2, number, self.bits))

    def rows(self, which: Tensor | slice) -> "Draw":
        """The draw of some of the images, for the views of a part of a batch."""
        return Draw(self.word, self.bits[which])

    def to(self, device: torch.device) -> "Draw":
        """The draw on `device`, copied without waiting for it."""
        return self if self.bits.device == device else Draw(self.word, to_device(self.bits, device))


class NormalisedViews(ABC):
    """Interface: draws how images are changed after normalisation, and changes them.

    Zero is the mean colour; pixels from outside an image are zero. Values are not limited to any range.

    Attributes:
        key: name and options, equal exactly where the views are equal; None where that is not guaranteed.
        own: whether the user's code applies them, which the key alone does not identify.
        changes: whether anything is changed at all.

    Example:
        >>> from limbeck.data.normalised_views import normalised_views
        >>> views = normalised_views({"dsa": {"shift": 0.25}})
        >>> inputs = torch.randn(4, 3, 8, 8, requires_grad=True)
        >>> shown = views.apply(inputs, views.draw(4, seed=0, step=7))
        >>> shown.shape, shown.requires_grad
        (torch.Size([4, 3, 8, 8]), True)
    """

    key: str | None = None
    own = False
    changes = True

    def draw(
        self,
        batch: int,
        *,
        seed: int,
        step: int,
        shared: bool = False,
        first: int = 0,
        device: torch.device | str = "cpu",
    ) -> Draw:
        """The randomness of the views of a batch: a pure function of seed, step and each image's position in it.

        Args:
            batch: B, its images.
            seed: any 63-bit integer.
            step: of training, or whatever else numbers the batches.
            shared: whether all images are changed alike, also across batches of the same seed and step, as real and
                synthetic images are in methods that compare the two.
            first: position of the first image, where the batch is one process's share of a larger one.
            device: where the images are.
        """
        positions = torch.arange(first, first + batch, device=device)
        if shared:
            positions = torch.zeros_like(positions)
        apart = derive_seed(seed, "normalised views")
        return Draw(derive_seed(apart, step), words(apart, step, positions))

    def apply(self, images: Tensor, draw: Draw) -> Tensor:
        """The views `draw` of images, of the same shape and type; gradients reach the images.

        Args:
            images: floating [B, C, H, W], normalised.
            draw: of B images.

        Raises:
            UserError: images that are not floating, or a draw of another number of them.
        """
        if images.ndim != 4 or not images.is_floating_point():
            got = f"{images.dtype} {list(images.shape)}"
            raise UserError(f"`images` must be floating [B, C, H, W], after normalisation, got {got}.")
        if len(draw) != len(images):
            raise UserError(f"`draw` must be of {len(images)} images, as many as there are, got {len(draw)}.")
        if not self.changes:
            return images
        # Pixel coordinates need more than half precision.
        work = images if images.dtype in (torch.float32, torch.float64) else images.float()
        changed = self.change(work, draw.to(images.device)).to(images.dtype)
        # Keep the memory order of the images: networks compute in the order of their inputs.
        last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
        return changed.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    @abstractmethod
    def change(self, images: Tensor, draw: Draw) -> Tensor:
        """Computes the views of images float32 or float64 [B, C, H, W]; see `apply`."""
