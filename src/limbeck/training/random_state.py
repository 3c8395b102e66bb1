"""torch's global generators, which dropout and its like draw from: seeded for a run, saved with it, and given back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from limbeck.randomness import derive_seed


@contextmanager
def own_generators(device: torch.device, seed: int, *purpose: str | int) -> Iterator[None]:
    """Inside, the global generators are seeded for one purpose; outside they are as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


def random_state() -> dict[str, Tensor]:
    """Of this process's generators, uint8."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def renew_dropout(seed: int, process: int, step: int) -> None:
    """Has every process but the first draw on from a stream of its own, which starts anew here.

    A checkpoint holds the first process's state alone. Where all others start anew at each step that may be saved, they
    draw after a resume what they would have drawn without.
    """
    if process:
        torch.manual_seed(derive_seed(seed, "dropout", process, step))
