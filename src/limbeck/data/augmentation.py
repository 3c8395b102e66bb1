"""The interface of views: pure functions of pixels, id and draw, and of other images where a view mixes several."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.randomness import below, words

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet


class Augmentation(ABC):
    """Interface: draws which view of each image to show, and renders it.

    Attributes:
        distinct: number of different views an image has, or None if there is no limit.
        key: name and options, equal exactly where the views are equal; None where that is not guaranteed: then
            nothing about the views is cached.
        by_id: whether the same draw gives different views to images of different ids.
        own: whether the user's code renders the views, which the key alone does not identify.
        others: how many other images of the set are mixed into one view.
        moves: whether a view only moves the image's pixels and adds black ones: then `render` takes floating images,
            too, and gradients pass through it.
    """

    distinct: int | None
    key: str | None = None
    by_id = False
    own = False
    others = 0
    moves = False

    @abstractmethod
    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        """The view `draw` (int64 [B]) of each image (uint8 [B, C, H, W]), as uint8 of the same shape."""

    def smooth(self, images: Tensor, draw: Tensor) -> Tensor:
        """What `render` rounds: views of floating images in [0, 255] as floats, so that gradients reach the images.

        Raises:
            UserError: the view is defined for 8-bit images alone.
        """
        if not self.moves:
            raise without_gradient(f"view {type(self).__name__!r}")
        return self.render(images, draw)

    def draw(self, ids: Tensor, *, seed: int, view: Tensor | int) -> Tensor:
        """Which view each id gets, int64 [B]: an index below `distinct`, or 64 random bits where that is None.

        Args:
            ids: int64 [B], the images' stable ids.
            seed: any 63-bit integer.
            view: view number, i.e. how often the image was shown before; an integer, or int64 [B].
        """
        bits = words(seed, view, ids)
        return bits if self.distinct is None else below(bits, self.distinct)

    def show(self, images: Tensor, ids: Tensor, draw: Tensor) -> Tensor:
        """The view `draw` of each image; `ids` (int64 [B]) are the images' ids."""
        return self.render(images, draw)

    def partners(self, ids: Tensor, draw: Tensor, everyone: Tensor) -> Tensor:
        """Ids of the images that are mixed into the view `draw` of each image, int64 [others, B].

        Args:
            ids: int64 [B].
            draw: int64 [B].
            everyone: int64 [N], the ids of the whole set in ascending order, `ids` among them.
        """
        return ids.new_empty(0, len(ids))

    def mix(self, images: Tensor, ids: Tensor, draw: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The view `draw` of each image with others mixed in, and the share of each image in the mixture.

        Args:
            images: uint8 [B, C, H, W].
            ids: int64 [B].
            draw: int64 [B].
            others: the images that `partners` names, uint8 [B, C, H, W] each.

        Returns:
            uint8 [B, C, H, W], and float32 [B, 1 + others]: the image itself first; rows sum to 1.
        """
        return self.show(images, ids, draw), torch.ones(len(ids), 1, device=images.device)

    def __call__(
        self, images: Tensor, ids: Tensor, *, seed: int, view: Tensor | int, among: "ImageSet | None" = None
    ) -> Tensor:
        """The view of each image for (seed, view, id), uint8 [B, C, H, W].

        Args:
            images: uint8 [B, C, H, W].
            ids: int64 [B].
            seed: any 63-bit integer.
            view: see `draw`.
            among: the whole set, which contains `ids`; needed by views that mix in other images.

        Raises:
            UserError: the view mixes in other images, and `among` is not given.
        """
        draw = self.draw(ids, seed=seed, view=view)
        if not self.others:
            return self.show(images, ids, draw)
        if among is None:
            raise UserError("`among` must be the image set whose images are mixed into these views, got none.")
        partners = self.partners(ids.cpu(), draw.cpu(), among.ids.sort().values)
        others = [among.gather(among.positions(partner)).to(images.device) for partner in partners]
        return self.mix(images, ids, draw, others)[0]


def without_gradient(what: str) -> UserError:
    """The error for a view that has no gradient, with advice on what to use instead."""
    return UserError(
        f"{what} has no gradient, which images that are optimised need; choose one of limbeck's own, or write a class "
        "of views with a method `smooth(images, draw)` of floating images in [0, 255]."
    )


def key_of(made: object, **options: object) -> str:
    """A key of class and options: a subclass that renders differently has another key."""
    return f"{type(made).__module__}.{type(made).__qualname__}({options})"
