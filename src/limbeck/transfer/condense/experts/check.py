"""Checks that experts can be made, before any is."""

from collections.abc import Sequence
from pathlib import Path

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.files import free_bytes
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import check_ready
from limbeck.transfer.condense.expert_settings import Experts
from limbeck.transfer.condense.experts.formats import BYTES

_BESIDE = 2**15
"""Bytes of the small files in an expert's folder."""


def check_experts(
    settings: Experts, network: Classifier, images: ImageSet, snapshots: int | Sequence[int]
) -> tuple[int, ...]:
    """Numbers of the snapshots that every expert will have, rising.

    Raises:
        UserError: names all that does not fit together.
    """
    check_ready(network, "network")
    kept = sorted({*(range(snapshots) if isinstance(snapshots, int) else snapshots)})
    wrong = [*_network(network, images), *_snapshots(kept, settings)]
    if wrong:
        raise UserError("; ".join(wrong) + ".")
    last = [] if settings.judges else [settings.epochs]  # without judges, the experts' last snapshots judge
    return tuple(sorted({*kept, *last}))


def _network(network: Classifier, images: ImageSet) -> list[str]:
    wrong = []
    if images.num_classes != network.num_classes:
        wrong.append(
            f"the network {network.name} tells {network.num_classes} classes apart, but the images ({images.name}) "
            f"have {images.num_classes}; build it for these"
        )
    buffers = network.network.state_dict().keys() - dict(network.network.named_parameters()).keys()
    if buffers:
        wrong.append(
            f"the network {network.name} remembers more than its parameters, {', '.join(sorted(buffers)[:3])}, and "
            "experts are known by parameters alone; take one without batch norm, as `norm: instance` or `norm: group`"
        )
    if network.config is None:
        wrong.append(
            f"the network {network.name} was made outside limbeck, so that no name rebuilds it; register it "
            "(`lb.register`) and create it by name"
        )
    return wrong


def _snapshots(kept: Sequence[int], settings: Experts) -> list[str]:
    if not kept or kept[0] < 0 or kept[-1] < 1:
        return [f"`snapshots` must be at least 2, or numbers from 0 on with one above, got {list(kept)}"]
    if kept[-1] > settings.epochs:
        return [
            f"snapshots up to number {kept[-1]} are read, which come after as many epochs, and `experts.epochs` is "
            f"{settings.epochs}; raise that, or lower the range of start epochs (`start_to`, `grow_to`) or "
            "`expert_epochs`"
        ]
    return []


def parameters(network: Classifier) -> int:
    """Number of a network's parameters."""
    return sum(parameter.numel() for parameter in network.network.parameters())


def bytes_of(settings: Experts, size: int, snapshots: int) -> int:
    """Bytes on disk of an expert with `size` parameters, including its checkpoint.

    Example:
        >>> bytes_of(Experts(), 320_010, snapshots=6)  # CIFAR-10, one image per class
        6432968
    """
    first = 2 * size if settings.format == "differences" else 0  # the first snapshot is kept whole
    resuming = (2 + (settings.momentum > 0)) * 4 * size  # weights, the last snapshot, momenta
    return snapshots * BYTES[settings.format] * size + first + resuming + _BESIDE


def check_room(folder: Path, settings: Experts, network: Classifier, snapshots: int, experts: int) -> int:
    """Bytes on disk of so many experts; raises a UserError where they would not fit."""
    needed, free = experts * bytes_of(settings, parameters(network), snapshots), free_bytes(folder)
    if needed > free:
        raise UserError(
            f"{experts} experts with {snapshots} snapshots take {needed / 2**20:,.0f} MiB, and the disk of "
            f"{str(folder)!r} has {free / 2**20:,.0f} MiB free; make room, or choose another disk, fewer experts or "
            "snapshots, or `experts.format: float16`."
        )
    return needed
