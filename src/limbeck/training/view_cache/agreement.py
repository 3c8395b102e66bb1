"""Whether a teacher's outputs equal those in the cache: exactly, except for two allowances.

One is half a step of the type that outputs are stored in. The other is arithmetic: other threads, instructions or
batches add up in another order, and every layer rounds its input. The rounding unit u of the type that a teacher
computes in is 2^-24 in float32, 2^-11 in TF32 and 2^-9 in bfloat16. Bounds that hold for every network grow with each
layer beyond all use, so the allowances are measured: ResNet-56, ResNet-18 and -50, WRN-40-2, MobileNetV2, ConvNeXt and
ViT, with one thread and two, blocks of 8 and 32, and kernels for SSE, AVX2 and AVX-512, differ by at most 128 u of the
largest value of an output in float32 and 13 u in bfloat16, and by 54 u and 3.5 u in the root mean square. Allowed are
1024 u and 32 u at most, and 256 u and 8 u in the root mean square over all that is compared; TF32, which was not
measured, is treated like bfloat16.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """Allowed changes of an output through arithmetic, as shares of its largest value.

    Attributes:
        largest: of any value.
        usual: root of the mean square over all values.
    """

    largest: float
    usual: float


_FLOAT32, _TF32, _BFLOAT16 = Noise(2**-14, 2**-16), Noise(2**-6, 2**-8), Noise(2**-4, 2**-6)


def noise_of(device: torch.device, dtype: torch.dtype) -> Noise:
    """The noise of a teacher that computes in `dtype` on `device`."""
    precision = torch.get_float32_matmul_precision()
    if dtype != torch.float32 or precision == "medium":
        return _BFLOAT16
    # Convolutions on GPUs use TF32 unless told otherwise.
    return _TF32 if device.type != "cpu" or precision == "high" else _FLOAT32


def agree(now: Tensor, kept: Tensor, dtype: str, noise: Noise) -> bool:
    """Whether outputs agree.

    Args:
        now: float32 [B, n], as the teacher computes them now.
        kept: the same as read back; all values are finite.
        dtype: type in which it was stored, "float16" or "float32".
        noise: of the arithmetic.
    """
    step = torch.from_numpy(np.spacing(kept.abs().numpy().astype(dtype)).astype(np.float32))
    scale = kept.abs().amax(dim=1, keepdim=True).clamp_min(1e-30)
    beyond = ((now - kept).abs() - step / 2).clamp_min(0) / scale
    # Comparisons with NaN are false, so NaN is no agreement either.
    return bool(beyond.amax() <= noise.largest) and bool(beyond.square().mean().sqrt() <= noise.usual)
