"""Judges condensed images by validation images, which may choose among the iterations."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from limbeck.data.image_set import ImageSet
from limbeck.data.normalised_views import normalised_views
from limbeck.data.transfer_set import TransferSet
from limbeck.evaluation.evaluation import evaluate
from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.randomness import derive_seed
from limbeck.training.loop import fit
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.condense.estimate import measured
from limbeck.transfer.condense.experts.pace import measured_passes
from limbeck.transfer.condense.settings import Use

_BATCH = 256
"""Validation images in the batch on which judging is timed."""
SHARE = 0.1
"""Share of the training images that is held out of everything else to judge by."""


def accuracy_of(
    made: TransferSet,
    validation: ImageSet,
    networks: Callable[[int], Classifier],
    *,
    seed: int,
) -> float:
    """Accuracy on validation images of a fresh network that is taught on a set as the set says, 0 to 1.

    Args:
        made: a set with a `use`.
        validation: labelled.
        networks: seed -> fresh network.
        seed: of the network, of order and views.
    """
    assert made.use is not None
    student = networks(derive_seed(seed, "judged"))
    with TemporaryDirectory() as folder, RunFolder.open(Path(folder, "run"), {}, resume=False) as run_folder:
        settings = TrainingSettings(**{**made.use["training"], "validations": 0, "checkpoint_seconds": 1e9})
        objective = weighted_sum(made.use["objective"])
        result = fit(student, replace(made, use=None), objective, settings=settings, run_folder=run_folder, seed=seed)
    return evaluate(result.student, validation).top1


def measured_judging(
    use: Use, network: Classifier, count: int, validation: ImageSet, device: torch.device
) -> tuple[float, int]:
    """Seconds of judging once and bytes of a training step, estimated from one step and one validation batch.

    Args:
        use: how networks are taught on the images.
        network: of their kind.
        count: number of images, as they are used.
        validation: images to judge by.
        device: where to compute.
    """
    batch = min(use.batch_size or count, count)
    size = network.input_size or validation.shape[1:]
    images = torch.zeros(batch, network.channels, *size, dtype=torch.uint8)
    labels = torch.arange(batch) % network.num_classes
    step, memory = measured_passes(network, images, labels, normalised_views(use.views), device)
    judge = deepcopy(network).to(device).eval()
    shown = validation.gather(torch.arange(min(len(validation), _BATCH))).to(device)

    @torch.no_grad()
    def look() -> None:
        judge.network(judge.prepare(shown))

    judging = measured(look, device)[0] * len(validation) / len(shown)
    return step * ceil(use.epochs * count / batch) + judging, memory
