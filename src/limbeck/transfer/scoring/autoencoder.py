"""Codes of a convolutional autoencoder that is trained once, on the set itself."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from limbeck.caching import cache_key
from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.files import disk_errors
from limbeck.interruption import Interrupted, listening_for_stop
from limbeck.randomness import generator, own_randomness
from limbeck.training.checkpoint import Checkpoint
from limbeck.transfer.scoring.representations import padded_to

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.transfer.scoring.context import Represent, ScoringContext

BATCH, RATE = 64, 1e-3
GRID = 8
"""Image pixels per code element, along each side."""
_SAVE_SECONDS = 30.0


class Autoencoder(nn.Module):
    """Three halvings from images `[B, C, H, W]` in [0, 1] to codes `[B, 8, H/8, W/8]` >= 0, and back.

    The code of a 32x32 image is 8x4x4. Source: Kinnas et al., "Selecting images with entropy for frugal knowledge
    distillation", IEEE Access 2025. There, images are normalised first, and the decoder's sigmoid cannot
    reproduce values below 0; here they are in [0, 1].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*_halving(channels, 16), *_halving(16, 8), *_halving(8, 8))
        self.decoder = nn.Sequential(
            _doubling(8, 8), nn.ReLU(), _doubling(8, 16), nn.ReLU(), _doubling(16, channels), nn.Sigmoid()
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))


def _halving(inside: int, outside: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)


def _doubling(inside: int, outside: int) -> nn.Module:
    return nn.ConvTranspose2d(inside, outside, 3, stride=2, padding=1, output_padding=1)


def prepared(pixels: Tensor) -> Tensor:
    """uint8 `[B, C, H, W]` as float in [0, 1], padded to a multiple of 8 pixels per side by repeating the edge."""
    return padded_to(pixels.float() / 255, GRID)


def trained_encoder(images: "ImageSet", context: "ScoringContext", *, epochs: int) -> "Represent":
    """A function from pixels to flat codes, `[B, 8 ceil(H/8) ceil(W/8)]`, by the autoencoder of this set.

    It is trained now or loaded: it is kept in a folder named after the images' content, the seed and the epochs, so
    that the same set finds it again and an interrupted training continues.

    Args:
        images: training images, shown in random order.
        context: folder, seed, progress.
        epochs: >= 1; 50 in the publication.

    Raises:
        Interrupted: stopped by Ctrl-C or SIGTERM; another call continues.
    """
    images = images.subset(images.ids.sort().values)  # so that the codes do not depend on the order of the set
    key = cache_key("autoencoder", images.fingerprint, context.seed, epochs)
    folder = context.folder / f"autoencoder-{key}"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        network = _train(images, folder / "checkpoint.safetensors", context, epochs)
    steps = epochs * -(-len(images) // BATCH)
    context.meter.add(Cost(steps=steps, images_read=epochs * len(images)))  # its full cost, even if it was loaded
    return partial(_encode, network.eval())


@torch.inference_mode()
def _encode(network: Autoencoder, pixels: Tensor) -> Tensor:
    return network.encoder(prepared(pixels)).flatten(1).clone()


def _train(images: "ImageSet", path: Path, context: "ScoringContext", epochs: int) -> Autoencoder:
    """Trains with Adam on the mean squared error, from the checkpoint at `path` if there is one."""
    with own_randomness(context.seed, "select", "autoencoder"):
        network = Autoencoder(images.shape[0])
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    per_epoch = -(-len(images) // BATCH)
    total, step, seconds = epochs * per_epoch, 0, 0.0
    if path.exists():
        saved = Checkpoint.load(path)
        network.load_state_dict(saved.take("network"))
        saved.restore_optimizer("optimizer", optimizer)
        step, seconds = saved.step, saved.notes.get("seconds", 0.0)
        context.meter.earlier += seconds
    if step == total:
        return network
    context.progress.begin("training the autoencoder", total, step)
    began = last = time.monotonic()
    try:
        with listening_for_stop() as stop:
            for batch in _batches(images, context.seed, step, total, per_epoch):
                inputs = prepared(batch)
                loss = F.mse_loss(network(inputs), inputs)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
                if stop or step == total or time.monotonic() - last > _SAVE_SECONDS:
                    last = time.monotonic()
                    _save(path, step, seconds + last - began, loss, network, optimizer)
                    context.progress.update(step)
                if stop:
                    raise Interrupted(f"stopped at step {step} of {total} of the autoencoder")
    finally:
        context.progress.end()
    return network


def _batches(images: "ImageSet", seed: int, step: int, total: int, per_epoch: int) -> Iterator[Tensor]:
    """Batches from `step` on; every epoch has its own permutation, so no state needs to be saved."""
    while step < total:
        epoch, place = divmod(step, per_epoch)
        order = torch.randperm(len(images), generator=generator(seed, "select", "autoencoder", epoch))
        for positions in order.split(BATCH)[place:]:
            yield images.gather(positions)
            step += 1


def _save(
    path: Path, step: int, seconds: float, loss: Tensor, network: Autoencoder, optimizer: torch.optim.Optimizer
) -> None:
    if not loss.isfinite():
        raise UserError(f"the autoencoder's loss is not finite at step {step}; choose another seed.")
    saved = Checkpoint(step, notes={"seconds": seconds})
    saved.put_module("network", network)
    saved.put_optimizer("optimizer", optimizer)
    saved.save(path)
