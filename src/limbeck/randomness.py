"""Randomness as a pure function of what it is for: no global seed, no hidden state.

`words` turns (seed, stream, counter) into 64 random bits by the splitmix64 finaliser, in integer arithmetic alone,
so that every device, batch order and number of processes gives the same bits. Source: Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from numbers import Integral

import torch
from torch import Tensor

from limbeck.errors import UserError

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
_SECOND = -7723592293110705685  # 0x94D049BB133111EB


def check_seed(seed: object) -> None:
    """Raises a UserError for anything but a whole number."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise UserError(f"`seed` must be a whole number, got {seed!r}.")


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, so that, say, weights and data order of one run do not share a stream."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator seeded for one purpose."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


def words(seed: int, stream: Tensor | int, counter: Tensor) -> Tensor:
    """64 random bits for every element of `counter`, as int64 of the same shape.

    Args:
        seed: any 63-bit integer.
        stream: what distinguishes uses of one counter, for instance the view number; an integer or int64 that
            broadcasts against `counter`.
        counter: int64, for instance ids.
    """
    # A stream that is a number stays one: to make it a tensor on a GPU would wait for the GPU.
    apart = stream * _GOLDEN if isinstance(stream, Tensor) else _wrapped(int(stream) * _GOLDEN)
    return _mix(_mix(counter + seed) + apart)


def _wrapped(number: int) -> int:
    """Modulo 2^64 as a signed 64-bit integer, as tensors of int64 compute."""
    return (number + 2**63) % 2**64 - 2**63


def _mix(x: Tensor) -> Tensor:
    x = x + _GOLDEN
    x = (x ^ _logical_shift(x, 30)) * _FIRST
    x = (x ^ _logical_shift(x, 27)) * _SECOND
    return x ^ _logical_shift(x, 31)


def _logical_shift(x: Tensor, bits: int) -> Tensor:
    """`>>` of int64 copies the sign bit; this shifts zeros in."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def below(bits: Tensor, limit: int) -> Tensor:
    """Integers in [0, limit) from random `bits`; the bias is under limit / 2**63."""
    return (bits & 0x7FFF_FFFF_FFFF_FFFF) % limit


def uniform(bits: Tensor) -> Tensor:
    """float32 in [0, 1) from the upper 24 of 64 random bits."""
    return _logical_shift(bits, 40).to(torch.float32) * 2.0**-24


@contextmanager
def own_randomness(seed: int, *purpose: str | int) -> Iterator[None]:
    """Inside, torch's CPU generator is seeded for one purpose; outside it is as it was."""
    # A device context costs every operation some microseconds, so it is only set where the default is not the CPU.
    on_cpu = nullcontext() if torch.empty(0).device.type == "cpu" else torch.device("cpu")
    with torch.random.fork_rng(devices=[]), on_cpu:
        # Not `torch.manual_seed`, which would seed the GPUs too.
        torch.default_generator.manual_seed(derive_seed(seed, *purpose))
        yield
