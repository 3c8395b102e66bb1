"""The whole state of a run in one safetensors file, without pickle, replaced in one atomic step."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.models.shared_memory import own_memory


@contextmanager
def keeping_state(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Inside, an optimiser may reload its own state, as accelerate has it do, without changing any number of it.

    Reloading would convert the state to the type of the weights, including integers and doubles.
    """
    before = {parameter: dict(entries) for parameter, entries in optimizer.state.items()}
    yield
    for parameter, entries in before.items():
        optimizer.state[parameter].update(entries)


@dataclass
class Checkpoint:
    """State after `step` steps.

    Attributes:
        step: steps done.
        tensors: everything that is a tensor, under dotted names.
        notes: everything else, as JSON.
    """

    step: int
    tensors: dict[str, Tensor] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def put(self, prefix: str, tensors: dict[str, Tensor]) -> None:
        self.tensors.update({f"{prefix}.{name}": tensor for name, tensor in tensors.items()})

    def take(self, prefix: str) -> dict[str, Tensor]:
        start = f"{prefix}."
        return {name[len(start) :]: tensor for name, tensor in self.tensors.items() if name.startswith(start)}

    def put_module(self, prefix: str, module: nn.Module) -> None:
        self.put(prefix, module.state_dict())

    def put_optimizer(self, prefix: str, optimizer: torch.optim.Optimizer) -> None:
        """Momentum buffers and counters as tensors, parameter groups as notes."""
        state = optimizer.state_dict()
        for index, entries in state["state"].items():
            self.put(f"{prefix}.{index}", {key: value for key, value in entries.items() if isinstance(value, Tensor)})
        self.notes[prefix] = {
            "groups": state["param_groups"],
            "plain": {
                index: {key: value for key, value in entries.items() if not isinstance(value, Tensor)}
                for index, entries in state["state"].items()
            },
        }

    def restore_optimizer(self, prefix: str, optimizer: torch.optim.Optimizer) -> None:
        notes = self.notes[prefix]
        state: dict[int, dict[str, Any]] = {int(index): dict(plain) for index, plain in notes["plain"].items()}
        for name, tensor in self.take(prefix).items():
            index, key = name.split(".", 1)
            state[int(index)][key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": notes["groups"]})
        # Loading converts the state to the type of the weights; integers and half precision must be restored.
        order = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for index, entries in state.items():
            now = optimizer.state[order[index]]
            for key, value in entries.items():
                if isinstance(value, Tensor) and value.dtype != now[key].dtype and key != "step":
                    now[key] = value.to(now[key].device)
        # Fused optimisers read weights and momenta in one pass over memory: both must have the same memory order.
        for parameter, entries in optimizer.state.items():
            for key, value in entries.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape and key != "step":
                    entries[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def save(self, path: Path) -> None:
        """Replaces `path`; on a full disk the old checkpoint stays intact.

        Raises:
            UserError: no space left, or no permission.
        """
        # safetensors requires contiguous tensors, which channels-last weights are not, that share no memory.
        tensors = own_memory(self.tensors)
        notes = {"step": str(self.step), "notes": json.dumps(self.notes)}
        with atomic_path(path) as temporary:
            try:
                save_file(tensors, temporary, metadata=notes)
            except SafetensorError as error:
                # safetensors wraps the operating system's error and keeps only its text.
                if "No space left" in str(error) or "os error 28" in str(error):
                    raise OSError(28, "No space left on device") from error
                raise

    @classmethod
    def load(cls, path: Path, *, tensors: bool = True) -> "Checkpoint":
        """Reads a checkpoint.

        Args:
            path: the file.
            tensors: false to read only its step and notes.

        Raises:
            UserError: the file is damaged.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
                names = file.keys() if tensors else ()
                loaded = {name: file.get_tensor(name) for name in names}
            return cls(int(metadata["step"]), loaded, json.loads(metadata["notes"]))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the checkpoint {str(path)!r} cannot be read ({error}); remove it to start the run from its beginning."
            ) from error
