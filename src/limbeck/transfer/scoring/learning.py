"""Networks that are trained on the images to be scored, kept and found again."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from limbeck.caching import cache_key
from limbeck.cost import Cost
from limbeck.files import disk_errors
from limbeck.models.zoo import create
from limbeck.objectives.sums import weighted_sum
from limbeck.training.distributed import is_main_process
from limbeck.training.loop import TrainingResult, fit
from limbeck.training.observers import Observer
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.transfer.scoring.context import ScoringContext


def learn(
    images: "ImageSet",
    context: "ScoringContext",
    purpose: str,
    *,
    model: str,
    epochs: int,
    seed: int,
    observers: Sequence[Observer] = (),
    **about: Any,
) -> TrainingResult:
    """Trains a new network on the images and their labels.

    The run is kept in a folder named after content, seed and settings, so that it is found again, and continued if it
    was stopped.

    Args:
        images: labelled; in an order that does not depend on how the set stores them.
        context: folder, progress and meter.
        purpose: of the run, in one word.
        model: a name of the zoo.
        epochs: >= 1.
        seed: of weights, order and views.
        observers: of the run.
        about: whatever else the run depends on.
    """
    channels, height, width = images.shape
    recipe = {"model": model, "epochs": epochs, "seed": seed, "images": images.fingerprint, **about}
    recipe["classes"] = images.num_classes  # not in the fingerprint, as some classes may have no image
    began = time.perf_counter()
    folder = context.folder / f"{purpose}-{cache_key(*sorted(recipe.items()))}"
    # Waits for another process that trains on the same images; of several ranks of one run, the main one waits for all.
    waiting = FileLock(folder.with_name(f".{folder.name}.lock")) if is_main_process() else nullcontext()
    with disk_errors(context.folder):
        context.folder.mkdir(parents=True, exist_ok=True)
    with waiting, RunFolder.open(folder, recipe, resume=True, writes=is_main_process()) as run_folder:
        student = create(
            model, num_classes=images.num_classes, seed=seed, channels=channels, input_size=(height, width)
        )
        result = fit(
            student,
            images,
            weighted_sum("cross_entropy"),
            settings=TrainingSettings(epochs=epochs, validations=0),
            run_folder=run_folder,
            seed=seed,
            observers=observers,
            progress=context.progress,
        )
        run_folder.set_state("finished")
    # Its full cost, even if it was found.
    context.meter.add(Cost(images_read=epochs * len(images), steps=result.steps))
    context.meter.earlier += max(0.0, result.seconds - (time.perf_counter() - began))
    return result
