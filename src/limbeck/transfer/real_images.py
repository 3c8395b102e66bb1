"""Real images of the task, to compare a transfer set with; nothing is chosen by them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limbeck.data import ImageSet


def real_images(pool: "ImageSet | None", held_out: Sequence["ImageSet"], classes: Sequence[str]) -> "ImageSet | None":
    """The real images of the task: the training images, or else held-out ones; None if there are neither.

    Args:
        pool: training images, or None.
        held_out: what the student is judged on; only sets that are labelled with `classes` count.
        classes: of the task.
    """
    labelled = [
        images for images in reversed(held_out) if images.labels is not None and tuple(images.classes) == tuple(classes)
    ]
    return pool if pool is not None else next(iter(labelled), None)
