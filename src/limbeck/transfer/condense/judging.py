"""How good condensed images are on validation images, which may choose among the iterations."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.evaluation.evaluation import evaluate
from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.randomness import derive_seed
from limbeck.training.loop import fit
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings

SHARE = 0.1
"""Of the training images, held out of everything to choose by."""


def accuracy_of(
    made: TransferSet,
    validation: ImageSet,
    networks: Callable[[int], Classifier],
    *,
    seed: int,
) -> float:
    """The share of validation images that a fresh network gets right, taught on a set as the set says.

    Args:
        made: with its `use`.
        validation: labelled.
        networks: seed -> a fresh network.
        seed: of the network, of order and views.
    """
    assert made.use is not None
    student = networks(derive_seed(seed, "judged"))
    with TemporaryDirectory() as folder, RunFolder.open(Path(folder, "run"), {}, resume=False) as run_folder:
        settings = TrainingSettings(**{**made.use["training"], "validations": 0, "checkpoint_seconds": 1e9})
        objective = weighted_sum(made.use["objective"])
        result = fit(student, replace(made, use=None), objective, settings=settings, run_folder=run_folder, seed=seed)
    return evaluate(result.student, validation).top1
