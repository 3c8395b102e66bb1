"""Tries the parts of a run on a few images before anything is made or trained."""

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.foreign import errors_of
from limbeck.models.catalogue import TIMM_PREFIX, entry
from limbeck.models.classifier import Classifier
from limbeck.models.forward import evaluating
from limbeck.models.shared_memory import private_copy
from limbeck.objectives.sums import weighted_sum
from limbeck.randomness import own_randomness
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.schema import Recipe
from limbeck.training.batches import Batch
from limbeck.training.setup import setup_for
from limbeck.training.step import DistillationStep
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.parts import REPRESENTATIONS, SCORES
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.score import score_images

_KNOWN = 1000
"""Most images that an objective is built for, so that memory banks over millions of images take no time."""
_SCORED = 20
"""Images that a criterion is tried on: more than are left by a slip like `[:5]`."""


def is_own(network: Classifier) -> bool:
    """Whether its code is not limbeck's own, nor timm's."""
    if network.config is None:
        return True
    name = network.config["name"]
    return not name.startswith(TIMM_PREFIX) and entry(name).made_by is not None


def try_student(student: Classifier, inputs: Inputs) -> None:
    """Shows two images to a copy of a student whose code is not limbeck's own.

    Raises:
        UserError: it fails, or gives no logits.
    """
    images = inputs.train or inputs.test
    if images is None or not len(images) or not is_own(student):
        return
    if any(parameter.is_floating_point() and parameter.dtype != torch.float32 for parameter in student.parameters()):
        return  # refused elsewhere with a message of its own
    copied = private_copy(student, "student")
    with evaluating(copied), torch.no_grad(), own_randomness(0, "trial"), errors_of(f"the student {student.name}"):
        copied(_first(images).tensor())


def try_run(recipe: Recipe, inputs: Inputs, student: Classifier, teacher: Classifier | None) -> None:
    """Takes the step of a run on two images, without an optimiser.

    Args:
        recipe: of the run.
        inputs: with training images.
        student: may be changed.
        teacher: or None.

    Raises:
        UserError: a network or the objective fails, lacks what the other needs, or gives values that cannot be trained
            on.
    """
    train = inputs.train
    assert train is not None, "tried where there are training images"
    if len(train) < 2:
        return  # batch norm needs at least two images
    sample = train.subset(train.ids[:: -(-len(train) // _KNOWN)])
    pair = _first(sample)  # from the sample, so that their ids are in any memory bank
    soft_labels = inputs.soft_labels if teacher is None else None
    objective = weighted_sum(recipe.resolved_objective(labelled=inputs.labelled, soft_labels=soft_labels is not None))
    if teacher is None and soft_labels is None and objective.outputs_needed("teacher"):
        return  # the labels are still to be made
    objective.build(setup_for(student, teacher, objective, sample, recipe.training.batch_size), seed=recipe.seed)
    batch = Batch(_views(recipe, pair, train), pair.labels, pair.ids, _teacher_logits(soft_labels, train, pair))
    want = objective.outputs_needed("teacher", preparing=False)
    with own_randomness(recipe.seed, "trial"):
        teacher_outputs = None
        if teacher is not None and want:
            with evaluating(teacher), torch.no_grad(), errors_of(f"the teacher {teacher.name}"):
                teacher_outputs = teacher(batch.images, want=want).map(Tensor.float)
        step = DistillationStep(student, objective, device=torch.device("cpu"), dtype=torch.float32).train()
        with errors_of(f"the student {student.name}"):
            loss, terms = step(batch, teacher_outputs)
    if is_own(student) and step.student_outputs is not None and not step.student_outputs.logits.isfinite().all():
        raise UserError(f"the student {student.name} gives logits that are not finite, of images that are.")
    wrong = [name for name, term in terms.items() if name in objective.own and not term.isfinite()]
    if wrong:
        raise UserError(f"the objective {', '.join(wrong)} gives a loss that is not finite, on two images.")
    if not loss.requires_grad:
        raise UserError(f"no parameter that learns shapes the loss ({', '.join(terms)}); is it detached?")


def try_criterion(recipe: Recipe, inputs: Inputs, teacher: Classifier | None) -> None:
    """Scores a few images by a criterion of the user's own, unless that trains a network.

    Raises:
        UserError: it fails, or gives no finite number for each image.
    """
    spec = getattr(recipe.transfer, "criterion", None)
    if spec is None or inputs.train is None:
        return
    criterion = find_criterion(spec)
    score, seen = SCORES[criterion.score], REPRESENTATIONS[criterion.representation]
    if not (score.own or seen.own) or score.trains or seen.trains or (criterion.needs_teacher and teacher is None):
        return
    # Fixed settings, as finding the fastest ones would measure them and write a cache.
    arguments = {"device": "cpu", "precision": "fp32", "channels_last": False}
    context = ScoringContext(teacher=teacher, seed=recipe.seed, **arguments)
    score_images(_first(inputs.train, _SCORED), criterion, seed=recipe.seed, context=context)


def _first(images: ImageSet, count: int = 2) -> ImageSet:
    return images.subset(images.ids[:count])


def _views(recipe: Recipe, pair: ImageSet, train: ImageSet) -> Tensor:
    """The first views of the images, uint8 [2, C, H, W]; for a set with floats, the images themselves."""
    if train.has_floats:
        return pair.tensor()
    views = augmentation(recipe.training.views, per_image=recipe.training.views_per_image)

    def show() -> Tensor:
        with errors_of("`training.views`"):
            return views(pair.tensor(), pair.ids, seed=recipe.seed, view=0, among=train if views.others else None)

    shown = show()
    if not isinstance(shown, Tensor) or shown.dtype != torch.uint8 or shown.shape != pair.tensor().shape:
        got = f"{shown.dtype} {list(shown.shape)}" if isinstance(shown, Tensor) else type(shown).__name__
        raise UserError(f"`training.views` must give images uint8 {list(pair.tensor().shape)}, got {got}.")
    if not torch.equal(shown, show()):
        raise UserError(
            "`training.views` must give the same view twice, or a resumed run would see others; all that is random "
            "is to come from `draw`, and from no generator of torch, NumPy or Python."
        )
    return shown


def _teacher_logits(soft_labels: SoftTargets | None, train: ImageSet, pair: ImageSet) -> Tensor | None:
    return None if soft_labels is None else soft_labels.rows(train.positions(pair.ids)).teacher_logits()
