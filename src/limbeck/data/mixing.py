"""Views that mix an image with others of its set, as pure functions of pixels and draws: mixup and CutMix.

A teacher that is asked about mixtures shows its function between and beyond the images, which makes images of other
classes useful. Source: Beyer, Zhai, Royer, Markeeva, Anil and Kolesnikov, "Knowledge distillation: a
good teacher is patient and consistent", CVPR 2022.

Weights are multiples of 1/65,536 and pixels are computed in integers, rounded half up, so that every device gives the
same bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from limbeck.copies import to_device
from limbeck.data.augmentation import Augmentation, key_of
from limbeck.errors import UserError
from limbeck.randomness import below, uniform, words
from limbeck.signatures import is_int_or_float

_BITS = 16
WHOLE = 2**_BITS
"""The weight of an image that nothing is mixed into."""
_QUANTILES = 4096
_PARTNER, _OTHER_VIEW, _MIXING = 2, 3, 4  # streams of a draw's bits; 1 is for the image's own view, as in `Chain`


def mixup(images: Tensor, others: Tensor, weight: Tensor) -> Tensor:
    """weight x image + (1 - weight) x other, pixel by pixel, rounded half up.

    Args:
        images, others: uint8 [B, C, H, W].
        weight: int32 or int64 [B], of `images` in 65,536ths, 0 to 65,536.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.

    Example:
        >>> black, white = torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
        >>> mixup(black, white, torch.tensor([WHOLE // 4])).item()
        191
    """
    mixed = images.to(torch.int32)
    mixed -= others
    mixed *= weight.to(torch.int32).view(-1, 1, 1, 1)
    mixed += WHOLE // 2
    mixed >>= _BITS  # rounds down, of negative numbers, too
    mixed += others
    return mixed.to(torch.uint8)


def cutmix(images: Tensor, others: Tensor, boxes: Tensor) -> Tensor:
    """The images with a box of each replaced by that of the other.

    Args:
        images, others: uint8 [B, C, H, W].
        boxes: int64 [4, B]: top, bottom, left and right; bottom and right are exclusive.

    Source: Yun, Han, Oh, Chun, Choe and Yoo, "CutMix: regularization strategy to train strong classifiers with
    localizable features", ICCV 2019.

    Example:
        >>> black, white = torch.zeros(1, 1, 2, 3, dtype=torch.uint8), torch.full((1, 1, 2, 3), 255, dtype=torch.uint8)
        >>> cutmix(black, white, torch.tensor([[0], [1], [1], [3]]))[0, 0]
        tensor([[  0, 255, 255],
                [  0,   0,   0]], dtype=torch.uint8)
    """
    height, width = images.shape[2:]
    top, bottom, left, right = boxes.view(4, -1, 1)
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # [B, H], [B, W]
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], others, images)


class Mixing(ABC):
    """Interface: mixes images with others, in pairs.

    Attributes:
        key: see `Augmentation`.
        own: see `Augmentation`.
    """

    key: str | None = None
    own = False

    @abstractmethod
    def mix(self, images: Tensor, others: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        """The mixtures for `draw` (64 random bits as int64 [B]) of images and others, uint8 [B, C, H, W] each.

        Returns:
            uint8 [B, C, H, W], and the share of `images` in them, float32 [B] in [0, 1].
        """


class Mixup(Mixing):
    """`mixup` with weights from Beta(alpha, alpha), represented by 4,096 quantiles.

    Args:
        alpha: from 0.001 to 1000; 1 for weights uniform in [0, 1], as in function matching.
        share: how many of the images are mixed at all, in (0, 1].
    """

    def __init__(self, *, alpha: float = 1.0, share: float = 1.0) -> None:
        check_alpha("alpha", alpha)
        check_share("share", share)
        self.alpha, self.share = alpha, share
        self.key = key_of(self, alpha=float(alpha), share=float(share))

    def mix(self, images: Tensor, others: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        return _mixed_up(images, others, weights(self.alpha, self.share, draw))


class CutMix(Mixing):
    """`cutmix` with boxes anywhere, of areas from Beta(alpha, alpha) and the aspect ratio of the images.

    The centre is uniform over the pixels and the box is clipped at the borders, as in the authors' code; the share of
    each image is its share of the pixels.

    Args:
        alpha: from 0.001 to 1000; 1 for areas that are uniform before boxes are clipped at the borders.
        share: how many of the images are mixed at all, in (0, 1].
    """

    def __init__(self, *, alpha: float = 1.0, share: float = 1.0) -> None:
        check_alpha("alpha", alpha)
        check_share("share", share)
        self.alpha, self.share = alpha, share
        self.key = key_of(self, alpha=float(alpha), share=float(share))

    def mix(self, images: Tensor, others: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        return _cut_in(images, others, weights(self.alpha, self.share, draw), draw)


class MixupOrCutMix(Mixing):
    """Either mixup or CutMix for each image, as in most recent recipes.

    Args:
        alpha: of mixup, from 0.001 to 1000.
        cutmix_alpha: of CutMix, from 0.001 to 1000.
        cutmix_share: how many of the mixtures are CutMix, in [0, 1].
        share: how many of the images are mixed at all, in (0, 1].
    """

    def __init__(
        self, *, alpha: float = 1.0, cutmix_alpha: float = 1.0, cutmix_share: float = 0.5, share: float = 1.0
    ) -> None:
        check_alpha("alpha", alpha)
        check_alpha("cutmix_alpha", cutmix_alpha)
        check_share("share", share)
        if not is_int_or_float(cutmix_share) or not 0 <= cutmix_share <= 1:
            raise UserError(f"`cutmix_share` must be in [0, 1], got {cutmix_share!r}.")
        self.alpha, self.cutmix_alpha, self.cutmix_share, self.share = alpha, cutmix_alpha, cutmix_share, share
        options = {"alpha": alpha, "cutmix_alpha": cutmix_alpha, "cutmix_share": cutmix_share, "share": share}
        self.key = key_of(self, **{name: float(value) for name, value in options.items()})

    def mix(self, images: Tensor, others: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        cut = uniform(words(3, 0, draw)) < self.cutmix_share  # bool [B]
        images, first = _mixed_up(images, others, weights(self.alpha, self.share, draw).masked_fill(cut, WHOLE))
        kept = weights(self.cutmix_alpha, self.share, draw).masked_fill(~cut, WHOLE)
        images, second = _cut_in(images, others, kept, draw)
        return images, first * second  # one of the two is 1


class Mixed(Augmentation):
    """Parts applied one after the other, some of which mix in another image of the set.

    Each mixing part takes a partner, uniform among the other images of the set in the order of their ids, and shows it
    in a view of its own by the augmentations before it (mixing parts left out). Partner and view follow from the draw
    and the ids alone: neither the batch nor the order of the set matters.

    Args:
        parts: at least one of them a `Mixing`.
    """

    distinct = None

    def __init__(self, parts: Sequence[Augmentation | Mixing]) -> None:
        self.parts = tuple(parts)
        self.others = sum(isinstance(part, Mixing) for part in self.parts)
        keys = [part.key for part in self.parts]
        self.key = None if None in keys else key_of(self, parts=keys)
        self.own = any(part.own for part in self.parts)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        raise AssertionError("a mixture is of several images")

    def partners(self, ids: Tensor, draw: Tensor, everyone: Tensor) -> Tensor:
        own, count = torch.searchsorted(everyone, ids), len(everyone)
        bits = torch.stack([words(number, _PARTNER, draw) for number in range(self.others)])  # [others, B]
        places = below(bits, max(count - 1, 1))
        return everyone[(places + (places >= own)) % count]  # skips the image itself, unless it is the only one

    def mix(self, images: Tensor, ids: Tensor, draw: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        shares = [torch.ones(len(draw), device=images.device)]  # [B] each
        before: list[tuple[int, Augmentation]] = []
        for position, part in enumerate(self.parts):
            if isinstance(part, Augmentation):
                images = _rendered(part, position, images, draw)
                before.append((position, part))
                continue
            number = len(shares) - 1
            other, other_draw = others[number], words(number, _OTHER_VIEW, draw)
            for place, earlier in before:
                other = _rendered(earlier, place, other, other_draw)
            images, share = part.mix(images, other, words(position, _MIXING, draw))
            shares = [*(previous * share for previous in shares), 1 - share]
        return images, torch.stack(shares, dim=1)


def mixed_labels(labels: Sequence[Tensor], shares: Tensor, classes: int) -> Tensor:
    """The targets of mixtures, float32 [B, K]: one-hot labels weighted by the images' shares.

    Args:
        labels: int64 [B] for each of the n images of a mixture.
        shares: float32 [B, n], see `Augmentation.mix`.
        classes: K.

    Example:
        >>> mixed_labels([torch.tensor([0]), torch.tensor([2])], torch.tensor([[0.75, 0.25]]), 3)
        tensor([[0.7500, 0.0000, 0.2500]])
    """
    names = torch.arange(classes, device=shares.device)
    one_hot = torch.stack(list(labels), dim=1)[:, :, None] == names  # bool [B, n, K]
    return (one_hot * shares[:, :, None]).sum(dim=1)


def weights(alpha: float, share: float, draw: Tensor) -> Tensor:
    """Weights of images in mixtures, in 65,536ths: Beta(alpha, alpha), or `WHOLE` for images that are not mixed.

    Args:
        alpha: > 0.
        share: of the images that are mixed, in (0, 1].
        draw: 64 random bits, int64 [B].

    Returns:
        int32 [B].
    """
    drawn = _quantiles(float(alpha), draw.device).index_select(0, below(words(1, 0, draw), _QUANTILES))
    return drawn if share == 1 else drawn.masked_fill(uniform(words(2, 0, draw)) >= share, WHOLE)


@cache
def _quantiles(alpha: float, device: torch.device) -> Tensor:
    """Quantiles of Beta(alpha, alpha) in 65,536ths, int32 [4096], symmetric; a table, as GPUs lack the inverse."""
    from scipy.special import betaincinv  # takes half a second to import

    lower = betaincinv(alpha, alpha, (np.arange(_QUANTILES // 2) + 0.5) / _QUANTILES)
    half = np.round(lower * WHOLE).astype(np.int32)
    with torch.inference_mode(False):  # so that the cached tensor can be used outside of inference mode
        return to_device(torch.from_numpy(np.concatenate([half, WHOLE - half[::-1]])), device)


def _mixed_up(images: Tensor, others: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return mixup(images, others, weight), weight * (1 / WHOLE)


def _cut_in(images: Tensor, others: Tensor, kept: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """CutMix with boxes that leave `kept` of the images, int32 [B] in 65,536ths, before clipping at the borders."""
    height, width = images.shape[2:]
    side = (1 - kept * (1 / WHOLE)).sqrt()  # of the box, as a share of the image's; [B]
    edges = []
    for stream, pixels in ((4, height), (5, width)):
        half = (side * pixels).long() // 2
        centre = below(words(stream, 0, draw), pixels)
        edges += [(centre - half).clamp_min(0), (centre + half).clamp_max(pixels)]
    top, bottom, left, right = edges
    stays = height * width - (bottom - top) * (right - left)
    return cutmix(images, others, torch.stack(edges)), stays / (height * width)


def _rendered(part: Augmentation, position: int, images: Tensor, draw: Tensor) -> Tensor:
    """The view of a part, drawn as in a `Chain` without a finite number of views."""
    view = words(position, 1, draw)
    return part.render(images, view if part.distinct is None else below(view, part.distinct))


def check_alpha(name: str, value: float) -> None:
    """Raises a UserError for an invalid parameter of the Beta distribution."""
    if not is_int_or_float(value) or not 1e-3 <= value <= 1e3:
        raise UserError(f"`{name}` must be > 0, between 0.001 and 1000, got {value!r}; 1 is uniform.")


def check_share(name: str, value: float) -> None:
    """Raises a UserError for an invalid share of images to mix."""
    if not is_int_or_float(value) or not 0 < value <= 1:
        raise UserError(f"`{name}` must be in (0, 1], got {value!r}; leave the view out to mix none.")
