"""Teacher outputs by name, "logits", "embedding", "last_map", "stages.0" ..., computed in blocks of one size."""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from limbeck.copies import to_device
from limbeck.models.classifier import Outputs
from limbeck.models.forward import FrozenTeacher


def named_outputs(outputs: Outputs, want: Collection[str]) -> dict[str, Tensor]:
    """Name -> [B, ...] of the wanted outputs."""
    named = {"logits": outputs.logits, "embedding": outputs.embedding, "last_map": outputs.last_map}
    flat = {name: value for name, value in named.items() if name in want and value is not None}
    stages = outputs.stages if "stages" in want else ()
    return flat | {f"stages.{number}": stage for number, stage in enumerate(stages)}


def joined_outputs(named: Mapping[str, Tensor], device: torch.device) -> Outputs:
    """The inverse of `named_outputs`, on `device`; logits are [B, 0] where there are none."""
    moved = {name: to_device(values, device) for name, values in named.items()}
    stages = tuple(values for name, values in moved.items() if name.startswith("stages."))
    count = len(next(iter(moved.values())))
    logits = moved.get("logits", torch.empty(count, 0))
    return Outputs(logits, moved.get("embedding"), stages, last_map=moved.get("last_map"))


def outputs_in_blocks(
    teacher: FrozenTeacher, images: Tensor, places: np.ndarray, want: Collection[str], block: int
) -> dict[str, Tensor]:
    """The teacher's outputs for some images of a batch, by name, float32 [n, ...] on its device.

    Kernels are chosen by batch size and round differently, so all blocks have one size; the last one is filled up by
    repeating images.

    Args:
        images: uint8 [B, C, H, W].
        places: int64 [n], which of them.
        block: images per pass.
    """
    padded = torch.from_numpy(np.resize(places, -(-len(places) // block) * block))
    if len(places) == len(images) == len(padded) and images.is_contiguous(memory_format=torch.channels_last):
        pixels = images  # all of them, in order
    else:
        # Through [B, H, W, C]: whole pixels move, and blocks are channels-last like the batch.
        pixels = images.permute(0, 2, 3, 1)[to_device(padded, images.device)].permute(0, 3, 1, 2)
    parts = [named_outputs(teacher(part, want=want), want) for part in pixels.split(block)]
    return {name: torch.cat([part[name] for part in parts])[: len(places)] for name in parts[0]}
