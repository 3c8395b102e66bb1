"""Images of the task that are at hand where a transfer set is made without them: looked at, and never chosen by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limbeck.data import ImageSet


def real_images(pool: "ImageSet | None", held_out: Sequence["ImageSet"], classes: Sequence[str]) -> "ImageSet | None":
    """Images of the task that are at hand: those to learn from, or those to be judged on; None where there are none.

    Args:
        pool: images to learn from, or None.
        held_out: what the student is judged on, of which some may be of anything: those count that are labelled with
            the classes.
        classes: of the task.
    """
    labelled = [
        images for images in reversed(held_out) if images.labels is not None and tuple(images.classes) == tuple(classes)
    ]
    return pool if pool is not None else next(iter(labelled), None)
