"""ZCA whitening: images with uncorrelated pixels that stay as close to the originals as that allows.

With the mean m and the covariance C = U diag(s) U^T of images as vectors x of D = C * H * W numbers,
z = T (x - m), T = U diag((s + epsilon)^(-1/2)) U^T.

Source: Bell and Sejnowski, "The 'independent components' of natural scenes are edge filters", Vision Research, 1997.
Results equal those of https://github.com/kornia/kornia (`ZCAWhitening`, unbiased), with which sets of condensed images
are published, at epsilon 0.1.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from limbeck.caching import cache_folder, cache_key
from limbeck.data.tensor_files import read_tensors, write_tensors
from limbeck.errors import UserError
from limbeck.files import atomic_path

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet

LARGEST = 16384
"""Most values of an image: its matrix then takes a gibibyte."""

_VERSION = 1
_ROWS = 2000
_WORTH_KEEPING = 1e10  # multiply-adds from which on a fit is cached: about a second


class Whitening(nn.Module):
    """Images [B, C, H, W] in units of [0, 1] -> whitened images of the same shape, in float32 even under autocast.

    Args:
        mean: [C, H, W] in units of [0, 1] images.
        matrix: T, [D, D] with D = C * H * W, symmetric.

    Attributes:
        shape: (C, H, W).

    Raises:
        UserError: shapes that do not fit, or numbers that are not finite.

    Example:
        >>> whitening = Whitening.fit(images)
        >>> whitened = whitening(images.floats())
        >>> whitened.shape, torch.allclose(whitening.inverted(whitened), images.floats(), atol=1e-4)
        (torch.Size([200, 1, 8, 8]), True)
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        size = mean.numel()
        if mean.ndim != 3 or matrix.shape != (size, size):
            raise UserError(
                "whitening must have a mean [C, H, W] and a matrix [D, D] with D = C * H * W, got "
                f"{list(mean.shape)} and {list(matrix.shape)}."
            )
        if not (mean.isfinite().all() and matrix.isfinite().all()):
            raise UserError("mean and matrix of a whitening must be finite; fit it again.")
        channels, height, width = mean.shape
        self.shape = (channels, height, width)
        # Not persistent: a state dict stays that of the bare network, and weights folders have a file for this.
        self.register_buffer("mean", mean.detach().float().flatten().clone(), persistent=False)
        self.register_buffer("matrix", matrix.detach().float().clone(), persistent=False)
        self._inverse_cache: Tensor | None = None

    @classmethod
    def fit(cls, images: "ImageSet | Tensor", epsilon: float = 0.1) -> "Whitening":
        """The whitening of images.

        The same images give the same bits on one machine, however many threads it has. What takes more than a second
        (50,000 images of 3x32x32 take 18 on one core) is kept in the cache.

        Args:
            images: a set, or [N, C, H, W] uint8 or floating in [0, 1].
            epsilon: added to the variances that are divided by, > 0; in units of [0, 1] images squared.

        Raises:
            UserError: fewer than two images, images of more than `LARGEST` numbers, or epsilon not > 0.
        """
        count, shape = len(images), tuple(images.shape if not isinstance(images, Tensor) else images.shape[1:])
        check_whitening(count, shape, epsilon)
        size = torch.Size(shape).numel()
        if isinstance(images, Tensor) or count * size**2 < _WORTH_KEEPING:
            return cls(*_fitted(images, shape, epsilon))
        return _kept(images, epsilon, lambda: cls(*_fitted(images, shape, epsilon)))

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "Whitening":
        """Restores what `tensors` returned.

        Raises:
            UserError: `tensors` is something else.
        """
        if not isinstance(tensors, Mapping) or set(tensors) != {"mean", "matrix"}:
            raise UserError(f"a whitening is a mapping of `mean` and `matrix`, got {_described(tensors)}.")
        return cls(tensors["mean"], tensors["matrix"])

    def tensors(self) -> dict[str, Tensor]:
        """`mean` [C, H, W] and `matrix` [D, D] on the CPU, as transfer sets and weights folders carry them."""
        return {"mean": self.mean.cpu().view(self.shape), "matrix": self.matrix.cpu()}

    def forward(self, images: Tensor) -> Tensor:
        centred = images.to(self.matrix.dtype).flatten(1) - self.mean  # [B, D]
        return self._times(centred, self.matrix).view_as(images)

    def inverted(self, inputs: Tensor) -> Tensor:
        """The images whose whitening gives `inputs` [B, C, H, W], in units of [0, 1], beyond which they may lie."""
        images = self._times(inputs.to(self.matrix.dtype).flatten(1), self.inverse) + self.mean
        return images.view_as(inputs)

    @property
    def inverse(self) -> Tensor:
        """Inverse of the matrix, [D, D]; computed on first use."""
        inverse = self._inverse_cache
        if inverse is None or (inverse.device, inverse.dtype) != (self.matrix.device, self.matrix.dtype):
            self._inverse_cache = inverse = torch.linalg.inv(self.matrix.double().cpu()).to(self.matrix)
        return inverse

    @property
    def fingerprint(self) -> str:
        """32 hex digits, equal exactly where mean and matrix are."""
        digest = hashlib.blake2b(repr(self.shape).encode(), digest_size=16)
        for tensor in self.tensors().values():
            digest.update(tensor.float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @staticmethod
    def _times(rows: Tensor, matrix: Tensor) -> Tensor:
        """The product in full precision even under autocast: bf16 would leave two digits of whitened values."""
        with torch.autocast(rows.device.type, enabled=False):
            return rows @ matrix

    def extra_repr(self) -> str:
        return f"shape={self.shape}"


def check_whitening(count: int, shape: tuple[int, ...], epsilon: float) -> None:
    """Raises a UserError for what `Whitening.fit` cannot do: `count` images of `shape` [C, H, W] with an `epsilon`."""
    size = torch.Size(shape).numel()
    if not (isfinite(epsilon) and epsilon > 0):
        raise UserError(f"`epsilon` of whitening must be > 0, got {epsilon}.")
    if count < 2 or len(shape) != 3:
        raise UserError(f"whitening needs two images [C, H, W] or more, got {count} of {list(shape)}.")
    if size > LARGEST:
        raise UserError(
            f"whitening images of {list(shape)} would take a matrix of {4 * size**2 / 2**30:.0f} GiB; the limit is "
            f"{LARGEST} numbers an image, as 3x73x73. Take smaller images, or `mean` and `std`."
        )


def _fitted(images: "ImageSet | Tensor", shape: tuple[int, ...], epsilon: float) -> tuple[Tensor, Tensor]:
    """Mean [C, H, W] and matrix [D, D], float64."""
    mean, covariance = _moments(images, torch.Size(shape).numel())
    with _one_thread():  # the order of summation would depend on their number
        variances, directions = torch.linalg.eigh(covariance)
        matrix = (directions * (variances.clamp_min(0) + epsilon).rsqrt()) @ directions.T
    return mean.view(shape), (matrix + matrix.T) / 2


def _moments(images: "ImageSet | Tensor", size: int) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] in units of [0, 1] images, float64.

    For gray levels the sums are whole numbers below 2^53: exact, in whatever order they are added.
    """
    sums, products = torch.zeros(size).double(), torch.zeros(size, size).double()
    floating = images.is_floating_point() if isinstance(images, Tensor) else images.has_floats
    unit = 1.0 if floating else 255.0
    for rows in _batches(images):  # [b, D]
        sums += rows.sum(0)
        products.addmm_(rows.T, rows)
    count = len(images)
    mean = sums / count
    covariance = (products - torch.outer(mean, sums)) / ((count - 1) * unit**2)
    return mean / unit, covariance


def _batches(images: "ImageSet | Tensor") -> Iterator[Tensor]:
    """Batches float64 [b, D]: gray levels, or floats where the images have them."""
    for positions in torch.arange(len(images)).split(_ROWS):
        if isinstance(images, Tensor):
            part = images[positions]
        else:
            part = images.floats(positions) if images.has_floats else images.gather(positions)
        yield part.flatten(1).double()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _kept(images: "ImageSet", epsilon: float, make: Callable[[], Whitening]) -> Whitening:
    """The whitening from the cache, or made and cached."""
    path = cache_folder() / "whitening" / f"{cache_key('whitening', _VERSION, images.fingerprint, epsilon)}.safetensors"
    if path.exists():
        try:
            return Whitening.of_tensors(read_tensors(path))
        except UserError:  # damaged, so it is made again
            pass
    whitening = make()
    try:
        with atomic_path(path) as temporary:
            metadata = {"images": images.name, "count": str(len(images)), "epsilon": str(epsilon)}
            write_tensors(temporary, whitening.tensors(), metadata)
    except UserError as error:
        warnings.warn(f"whitening is not cached: {error} (LIMBECK_CACHE names the folder)", stacklevel=4)
    return whitening


def _described(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, Mapping) else repr(value)
