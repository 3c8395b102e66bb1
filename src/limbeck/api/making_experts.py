"""`experts`: networks taught on all the images, whose snapshots `condense` reads."""

from pathlib import Path
from typing import Any

from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.progress import Progress
from limbeck.recipes.experts import NamedImages, experts_of, settings_for_experts
from limbeck.transfer.condense.experts import ExpertStore


def experts(
    images: ImagesLike,
    *,
    out: str | Path,
    method: str = "datm",
    snapshots: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    **settings: Any,
) -> ExpertStore:
    """Experts for `condense`: networks taught on all the images, and snapshots of their parameters on the way.

    What `out` holds is found and gone on with, also where more experts, snapshots, judges or epochs are to be made.

    Args:
        images: labelled, or a data set's name.
        out: folder of the experts, for `experts={"folder": ...}` of `limbeck.condense`.
        method: that will read them, see `limbeck ls methods`; it names published values of all that `settings` may say.
        snapshots: how many of each expert are kept, from the one before the first step on; by default those that the
            method reads.
        workers: processes that teach side by side, of this machine or the Ray cluster that RAY_ADDRESS names.
        progress: reports progress.
        settings: what recipes have under `transfer: {maker: condense, ...}`, as `experts={"count": 10}` and
            `network={"model": "convnet_d3", "options": {"width": 32}}`.

    Raises:
        UserError: settings that do not fit together or the images; no labels; a folder of other experts; a full disk; a
            loss or snapshot that is not finite; two equal snapshots.

    Example:
        >>> few = {"count": 2, "epochs": 3, "learning_rate": 0.1, "batch_size": 100, "views": None}
        >>> network = {"options": {"width": 4}}
        >>> store = lb.experts(images, out="runs/experts", method="mtt", experts=few, network=network, snapshots=3)
        >>> store.count, store.kept, len(store.judges)
        (2, (0, 1, 2), 1)
    """
    source = NamedImages(images, "train") if isinstance(images, str | Path) else as_image_set(images, "train", "images")
    options = {"snapshots": snapshots, "workers": workers, "progress": progress}
    expert_settings = settings_for_experts({"method": method, **settings}, snapshots=snapshots)
    return experts_of(expert_settings, source, Path(out), **options)
