"""Counter-based randomness."""

import numpy as np
import torch

from limbeck.randomness import below, derive_seed, generator, uniform, words


def test_words_are_splitmix64() -> None:
    # Reference: splitmix64 of Vigna, https://prng.di.unimi.it/splitmix64.c, in Python's unbounded integers.
    def mix(x: int) -> int:
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    seed, stream, counter = 123, 7, 99
    expected = mix((mix(counter + seed) + stream * 0x9E3779B97F4A7C15) % 2**64)
    result = int(words(seed, stream, torch.tensor([counter]))) % 2**64
    assert result == expected


def test_streams_are_numbers_or_tensors_alike() -> None:
    ids = torch.arange(-3, 5) * 2**40
    for stream in (0, 1, 7, 2**62, -5, np.int64(3)):
        assert torch.equal(words(2**63 - 1, stream, ids), words(2**63 - 1, torch.tensor(stream), ids))


def test_below_and_uniform_stay_in_range() -> None:
    bits = words(0, 0, torch.arange(100_000))
    assert set(below(bits, 5).tolist()) == set(range(5))
    shares = uniform(bits)
    assert 0 <= float(shares.min()) < 0.001
    assert 0.999 < float(shares.max()) < 1
    assert abs(float(shares.mean()) - 0.5) < 0.005


def test_purposes_have_seeds_of_their_own() -> None:
    assert derive_seed(0, "order") != derive_seed(0, "views")
    assert derive_seed(0, "order", 1) == derive_seed(0, "order", 1)
    assert torch.equal(torch.rand(3, generator=generator(1, "a")), torch.rand(3, generator=generator(1, "a")))
