"""`condense`: a handful of learned images that teach what all the images would."""

from pathlib import Path
from typing import Any

from limbeck.api.objects import network_of
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.place import path_text
from limbeck.data.transfer_set import TransferSet
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress
from limbeck.recipes.condensing import condense_images, settings_to_condense


def condense(
    images: ImagesLike,
    *,
    budget: int | str,
    method: str = "datm",
    teacher: Classifier | str | Path | None = None,
    seed: int = 0,
    workers: int = 1,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> TransferSet:
    """A handful of learned images with labels, on which training is like training on all the images.

    The set says itself how a student is taught on it (`use`: network, normalisation or whitening, learned rate,
    augmentation, epochs), so that `limbeck distill` on its folder needs no further argument.

    Args:
        images: labelled, or a data set's name.
        budget: "10/class", or a count that is a multiple of the classes.
        method: see `limbeck ls methods`; it names published values of all that `settings` may say.
        teacher: for methods that ask one: a classifier, or whatever `load_model` takes.
        seed: of all that is drawn, but for the experts, which have a seed of their own.
        workers: processes that teach experts side by side.
        out: a new folder to save the transfer set in, with evidence, cost and a report. What was stopped on the way
            goes on when it is called again.
        progress: reports progress.
        settings: what recipes have under `transfer: {maker: condense, ...}`, as `iterations=100`.

    Raises:
        UserError: settings that do not fit together, the images or the teacher; no labels; a budget that is no multiple
            of the classes or more than a class has; a loss above `matching.skip_above` at the very first iteration.

    Example:
        >>> experts = {"count": 1, "epochs": 2, "learning_rate": 0.1}
        >>> matching = {"start_to": 1, "synthetic_steps": 2}
        >>> small = {"network": {"options": {"width": 4}}, "experts": experts, "matching": matching, "iterations": 2}
        >>> made = lb.condense(images, budget="1/class", method="mtt", **small)
        >>> len(made), made.use["training"]["learning_rate"] > 0
        (10, True)
    """
    maker_settings = {"method": method, "budget": budget, **settings}
    return condense_images(
        settings_to_condense(maker_settings),
        as_image_set(images, "train", "images"),
        None if teacher is None else network_of(teacher, "teacher"),
        teacher_named=path_text(teacher) if isinstance(teacher, str | Path) else None,
        seed=seed,
        workers=workers,
        target=None if out is None else Path(out),
        progress=progress,
    )[0]
