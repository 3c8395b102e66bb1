"""torch's global generators, which dropout and the like draw from: seeded for a run, saved with it, and restored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from limbeck.randomness import derive_seed


@contextmanager
def own_generators(device: torch.device, seed: int, *purpose: str | int) -> Iterator[None]:
    """Inside, the global generators are seeded for one purpose; their state is restored afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


def random_state() -> dict[str, Tensor]:
    """The state of this process's generators, uint8."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def renew_dropout(seed: int, process: int, step: int) -> None:
    """Reseeds the generators of every process but the first, each with a seed of its own.

    A checkpoint holds only the first process's state. Since all others are reseeded at each step that may be saved,
    they draw the same numbers after a resume as without one.
    """
    if process:
        torch.manual_seed(derive_seed(seed, "dropout", process, step))
