"""Augmentations as pure functions: the same (seed, view number, id) gives the same pixels anywhere.

An augmentation first draws, from (seed, view number, id) alone, *which* view each image gets, and then renders it. The
draw is one integer per image: an index below `distinct` where there are finitely many views, 64 random bits otherwise.
Rendering depends on pixels, id and draw only, for a whole batch at once, on the device of the images: where views are
finite, the same index is always the same view.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.data.augmentation import Augmentation, key_of
from limbeck.data.mixing import Mixed, Mixing
from limbeck.data.shuffled_patches import ShuffledPatches
from limbeck.data.view_catalogue import VIEWS, build_view, check_views
from limbeck.errors import UserError
from limbeck.randomness import below, uniform, words
from limbeck.signatures import check_option

__all__ = [
    "Augmentation",
    "Chain",
    "ColourJitter",
    "Few",
    "Identity",
    "PadCrop",
    "ResizedCrop",
    "ShuffledPatches",
    "augmentation",
]


class Identity(Augmentation):
    """Every view is the image itself."""

    distinct = 1
    key = "none"
    moves = True

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        return images


class PadCrop(Augmentation):
    """Zero-pad each side, crop back to the image's size, and flip left-right half of the time.

    With a padding of 4 and flips there are 9 x 9 x 2 = 162 views, the augmentation of nearly all CIFAR results.

    Args:
        padding: pixels added on each side, >= 0.
        flip: whether mirrored views are drawn too; wrong for digits and text.
    """

    moves = True

    def __init__(self, *, padding: int = 4, flip: bool = True) -> None:
        check_option("padding", padding, 4, "views")
        check_option("flip", flip, True, "views")
        if padding < 0:
            raise UserError(f"`padding` must be >= 0, got {padding}.")
        self.padding = padding
        self.offsets = 2 * padding + 1
        self.flip = flip
        self.distinct = self.offsets**2 * (2 if flip else 1)
        self.key = key_of(self, padding=padding, flip=flip)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        batch, channels, height, width = images.shape
        p = self.padding
        # Pixels as rows [B * H' * W', C]: one gather moves whole pixels and leaves the batch channels-last.
        pixels = F.pad(images.permute(0, 2, 3, 1), (0, 0, p, p, p, p)).reshape(-1, channels)
        mirrored, offset = draw // self.offsets**2, draw % self.offsets**2
        top, left = offset // self.offsets, offset % self.offsets
        y = torch.arange(height, device=images.device) + top[:, None]
        x = torch.arange(width, device=images.device).expand(batch, width)
        x = torch.where(mirrored[:, None] == 1, width - 1 - x, x) + left[:, None]
        padded_height, padded_width = height + 2 * p, width + 2 * p
        first = torch.arange(batch, device=images.device)[:, None] * (padded_height * padded_width)
        rows = (first + y * padded_width)[:, :, None] + x[:, None, :]
        return pixels.index_select(0, rows.view(-1)).view(batch, height, width, channels).permute(0, 3, 1, 2)


class ResizedCrop(Augmentation):
    """Crop a random box, enlarge it bilinearly to the image's size, and flip left-right half of the time.

    A box is never larger than the image, so that no antialiasing is needed. Across devices the pixels agree to within
    one grey level, from rounding bilinear weights. Source: Szegedy et al., "Going deeper with convolutions", 2015.

    Args:
        area: smallest and largest share of the image's area, 0 < low <= high <= 1.
        ratio: smallest and largest width / height of the box, > 0; boxes are limited to the image's sides.
        flip: whether mirrored views are drawn too.
    """

    distinct = None

    def __init__(
        self,
        *,
        area: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: bool = True,
    ) -> None:
        check_option("flip", flip, True, "views")
        _check_pair("area", area, 1)
        _check_pair("ratio", ratio)
        self.area, self.ratio, self.flip = area, ratio, flip
        self.key = key_of(self, area=tuple(area), ratio=tuple(ratio), flip=flip)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        return _in_levels(self.smooth(images.float(), draw))

    def smooth(self, images: Tensor, draw: Tensor) -> Tensor:
        batch, channels, height, width = images.shape
        share, aspect, along_x, along_y, mirror = (uniform(words(k, 0, draw)) for k in range(1, 6))
        area = self.area[0] + share * (self.area[1] - self.area[0])
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        stretch = torch.exp(0.5 * (low + aspect * (high - low)))
        # Box sizes and centres as shares of the image, in grid_sample's coordinates from -1 to 1.
        box_w = (area.sqrt() * stretch).clamp(max=1)
        box_h = (area.sqrt() / stretch).clamp(max=1)
        centre_x, centre_y = (2 * along_x - 1) * (1 - box_w), (2 * along_y - 1) * (1 - box_h)
        if self.flip:
            box_w = torch.where(mirror < 0.5, -box_w, box_w)
        zero = torch.zeros_like(box_w)
        theta = torch.stack([box_w, zero, centre_x, zero, box_h, centre_y], dim=1).view(batch, 2, 3)
        grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


class ColourJitter(Augmentation):
    """Random brightness, contrast, saturation and hue, in this order, with separate factors for each image.

    Grey images only change in brightness and contrast. Hue rotates the colour plane of YIQ, which is cheaper on batches
    than HSV and the same to first order.

    Args:
        brightness, contrast, saturation: strength s >= 0; factors are uniform in [max(0, 1 - s), 1 + s].
        hue: largest rotation, as a share of the colour circle, 0 to 0.5.
    """

    distinct = None

    def __init__(
        self, *, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1
    ) -> None:
        for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
            check_option(name, value, 0.4, "views")
            if value < 0:
                raise UserError(f"`{name}` must be >= 0, got {value}.")
        check_option("hue", hue, 0.1, "views")
        if not 0 <= hue <= 0.5:
            raise UserError(f"`hue` must be between 0 and 0.5, got {hue}.")
        self.strengths = (brightness, contrast, saturation)
        self.hue = hue
        self.key = key_of(self, strengths=self.strengths, hue=hue)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        return _in_levels(self.smooth(images.float(), draw))

    def smooth(self, images: Tensor, draw: Tensor) -> Tensor:
        x = images
        brightness, contrast, saturation = (self._factor(s, k, draw) for k, s in enumerate(self.strengths, start=1))
        x = (x * brightness).clamp_(0, 255)
        x = torch.lerp(_grey(x).mean(dim=(2, 3), keepdim=True), x, contrast).clamp_(0, 255)
        if images.shape[1] == 3:
            x = torch.lerp(_grey(x), x, saturation).clamp_(0, 255)
            turn = (2 * uniform(words(4, 0, draw)) - 1) * self.hue * 2 * math.pi
            x = torch.einsum("bij,bjhw->bihw", _hue_rotation(turn), x).clamp_(0, 255)
        return x

    @staticmethod
    def _factor(strength: float, stream: int, draw: Tensor) -> Tensor:
        low, high = max(0.0, 1 - strength), 1 + strength
        return (low + uniform(words(stream, 0, draw)) * (high - low)).view(-1, 1, 1, 1)


class Chain(Augmentation):
    """Augmentations one after the other; the number of views is finite if it is for all of them."""

    def __init__(self, parts: Sequence[Augmentation]) -> None:
        self.parts = tuple(parts)
        counts = [part.distinct for part in self.parts]
        self.distinct = None if None in counts else math.prod(count for count in counts if count is not None)
        keys = [part.key for part in self.parts]
        self.key = None if None in keys else key_of(self, parts=keys)
        self.own = any(part.own for part in self.parts)
        self.moves = all(part.moves for part in self.parts)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        for part, part_draw in self._draws(draw):
            images = part.render(images, part_draw)
        return images

    def smooth(self, images: Tensor, draw: Tensor) -> Tensor:
        for part, part_draw in self._draws(draw):
            images = part.smooth(images, part_draw)
        return images

    def _draws(self, draw: Tensor) -> Iterator[tuple[Augmentation, Tensor]]:
        """Each part with its draw."""
        for position, part in enumerate(self.parts):
            if self.distinct is not None and part.distinct is not None:
                draw, part_draw = draw // part.distinct, draw % part.distinct  # digits of a mixed-radix number
            else:
                part_draw = words(position, 1, draw)
                part_draw = part_draw if part.distinct is None else below(part_draw, part.distinct)
            yield part, part_draw


class Few(Augmentation):
    """A fixed number of views for each image, drawn once from those of another augmentation.

    It makes the number of views finite, so that a teacher's outputs for all of them can be cached. Source: Shen and
    Xing, "A fast knowledge distillation framework for visual recognition", ECCV 2022, store a teacher's outputs for
    crops that were drawn beforehand.

    Args:
        base: what the views are drawn from.
        count: views of an image, >= 1; two of them may be equal.
    """

    by_id = True
    _SEED = 0

    def __init__(self, base: Augmentation, count: int) -> None:
        if count < 1:
            raise UserError(f"`views_per_image` must be at least 1, got {count}.")
        self.base = base
        self.distinct = count
        self.key = None if base.key is None else key_of(self, count=count, base=base.key)
        self.own = base.own
        self.others = base.others

    def show(self, images: Tensor, ids: Tensor, draw: Tensor) -> Tensor:
        return self.base(images, ids, seed=self._SEED, view=draw)

    def partners(self, ids: Tensor, draw: Tensor, everyone: Tensor) -> Tensor:
        return self.base.partners(ids, self._of_base(ids, draw), everyone)

    def mix(self, images: Tensor, ids: Tensor, draw: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return self.base.mix(images, ids, self._of_base(ids, draw), others)

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        raise AssertionError("which views an image has depends on its id")

    def _of_base(self, ids: Tensor, draw: Tensor) -> Tensor:
        return self.base.draw(ids, seed=self._SEED, view=draw)


Spec = str | Callable[..., Any] | Mapping[Any, Any] | Sequence[Any] | Augmentation | Mixing


def augmentation(spec: Spec, *, per_image: int | None = None) -> Augmentation:
    """Builds an augmentation from a recipe's `views`.

    Args:
        spec: a name (`"pad-crop-flip"`), a name with options (`{"pad-crop-flip": {"padding": 2}}`), a list of these,
            applied in order, or an augmentation, returned as it is. Where parts mix in other images of the set, the
            augmentations before them apply to those as well (see `Mixed`).
        per_image: number of views of each image, see `Few`; None for all.

    Raises:
        UserError: for unknown names and options.

    Example:
        >>> augmentation("pad-crop-flip").distinct
        162
    """
    views = _augmentation(spec)
    restricted = per_image is not None and (views.distinct is None or per_image < views.distinct)
    return Few(views, per_image) if restricted and per_image is not None else views


def _augmentation(spec: Spec) -> Augmentation:
    if isinstance(spec, Augmentation):
        return spec
    if isinstance(spec, Mixing):
        return Mixed([spec])
    if callable(spec):
        spec = VIEWS.name_of(spec)
    if isinstance(spec, str):
        spec = {spec: {}}
    parts: list[Augmentation | Mixing]
    if isinstance(spec, Mapping):
        checked: Any = check_views(spec)
        parts = [build_view(name, options or {}) for name, options in checked.items()]
    elif not isinstance(spec, Sequence):
        raise UserError(f"`views` must be a name, a mapping from name to options, or a list of these, got {spec!r}.")
    else:
        built = [_augmentation(part) for part in spec]
        parts = [part for view in built for part in (view.parts if isinstance(view, Mixed) else (view,))]
    if not parts:
        raise UserError("`views` must name at least one augmentation, got none; use 'none' for plain images.")
    alone = [part for part in parts if isinstance(part, Augmentation)]
    if len(alone) < len(parts):
        return Mixed(parts)
    return alone[0] if len(alone) == 1 else Chain(alone)


def _check_pair(name: str, value: Any, most: float = math.inf) -> None:
    """Raises a UserError unless `value` is two finite numbers, 0 < low <= high <= `most`."""
    pair = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    numbers = [
        number
        for number in pair
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    ]
    if len(pair) != 2 or len(numbers) != 2 or not 0 < pair[0] <= pair[1] <= most:
        above = "" if most == math.inf else f" <= {most:g}"
        raise UserError(f"`{name}` must be (low, high) with 0 < low <= high{above}, got {pair or value!r}.")


def _in_levels(images: Tensor) -> Tensor:
    """Floating images in [0, 255] as uint8; they are overwritten."""
    return images.round_().clamp_(0, 255).to(torch.uint8)


def _grey(x: Tensor) -> Tensor:
    """ITU-R BT.601 luma [B, 1, H, W]; grey images as they are."""
    if x.shape[1] != 3:
        return x
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def _hue_rotation(turn: Tensor) -> Tensor:
    """RGB matrices [B, 3, 3] that turn the colour plane of YIQ by `turn` radians [B]."""
    to_yiq, to_rgb = _yiq(turn.device)
    rotation = torch.zeros(len(turn), 3, 3, device=turn.device)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = turn.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -turn.sin(), turn.sin()
    return to_rgb @ rotation @ to_yiq


@cache
def _yiq(device: torch.device) -> tuple[Tensor, Tensor]:
    """From RGB to YIQ and back, [3, 3] each: inverted once on the CPU, as the host would wait for a GPU each time."""
    with torch.inference_mode(False):  # so that the cached tensors can be used outside of inference mode
        to_yiq = torch.tensor(
            [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]], device="cpu"
        )
        return to_yiq.to(device), torch.linalg.inv(to_yiq).to(device)
