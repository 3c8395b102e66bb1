"""Checks that the parts of a run fit together, made before the first step."""

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.classes import classes_of, few
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import TransferSource
from limbeck.data.views import Identity, augmentation
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import is_finite, unready
from limbeck.models.shared_memory import is_expanded, shared_with
from limbeck.objectives.sums import WeightedSum
from limbeck.training.settings import TrainingSettings


def check_networks(student: Classifier, teacher: Classifier | None) -> None:
    """Raises a UserError for networks that cannot be trained or evaluated, whatever the images."""
    unfit = _tensors(student, teacher) or _learning(student, teacher)
    if unfit:
        raise UserError("; ".join(unfit) + ".")


def check_source(
    source: TransferSource, objective: WeightedSum, settings: TrainingSettings, *, whole: bool = True
) -> None:
    """Raises a UserError where images that change every round contradict other settings, such as `passes`."""
    length = source.steps_per_round
    if length is None:
        return
    wrong = []
    if length < 1:
        wrong.append(f"`steps_per_round` of a transfer source must be None or at least 1, got {length}")
    if settings.steps is None:
        wrong.append(
            f"the images change every {length} steps, so that `training.epochs` says nothing, got {settings.epochs}; "
            "set `training.steps` instead"
        )
    if not whole:
        wrong.append("`passes` are over images that do not change; leave them out")
    if objective.remembering_ids:
        wrong.append(
            f"the objective {', '.join(objective.remembering_ids)} remembers every image by its id, and the images "
            f"change every {length} steps; choose `memory: queue` where it has one, or another objective"
        )
    if wrong:
        raise UserError("; ".join(wrong) + ".")


def check_parts(
    student: Classifier,
    transfer_set: TransferSet,
    objective: WeightedSum,
    settings: TrainingSettings,
    teacher: Classifier | None,
    validation: ImageSet | None,
) -> None:
    """Raises a UserError that lists everything that does not fit."""
    check_networks(student, teacher)
    images = transfer_set.images
    wrong = [
        *(_classes(student, transfer_set, teacher) or _names(student, teacher, images, validation)),
        *_needs(objective, transfer_set, teacher),
        *unmixable(objective, settings, teacher=teacher is not None or transfer_set.soft_labels is None),
        *_rounding(images, settings),
        *_weights("teacher", teacher),
        *_weights("student", student),
    ]
    if len(images) == 0:
        wrong.append("the transfer set is empty; choose a larger budget")
    wrong += [] if validation is None else _validation(student, images, validation, settings, teacher)
    if wrong:
        raise UserError("; ".join(wrong) + ".")


def unmixable(objective: WeightedSum, settings: TrainingSettings, *, teacher: bool) -> list[str]:
    """Why a run cannot mix images, if its views do; see `WeightedSum.unmixable`."""
    if not augmentation(settings.views).others:
        return []
    reasons = objective.unmixable(teacher=teacher)
    return [f"`training.views` mix images, and {reason}; drop that term, or the mixing view" for reason in reasons]


def _rounding(images: ImageSet, settings: TrainingSettings) -> list[str]:
    return rounding_views(settings, f"the images ({images.name}) are") if images.has_floats else []


def rounding_views(settings: TrainingSettings, who: str) -> list[str]:
    """Errors where views of 8-bit images would round and clamp floats.

    Args:
        settings: with the views.
        who: what has the floats, in words, such as "the images are".
    """
    if isinstance(augmentation(settings.views), Identity):
        return []
    return [
        f"`training.views` are of 8-bit images, got {settings.views!r}, and {who} floats, which they would round; set "
        "`training.views: none`, and augment by `training.normalised_views`"
    ]


def check_length(source: TransferSource, begun: int | None) -> None:
    """Raises a UserError where a run resumes with another number of steps per round than it began with (`begun`)."""
    length = source.steps_per_round
    if length != begun:
        raise UserError(
            f"`steps_per_round` of the transfer source must be {begun}, as when the run was begun, got {length}; give "
            "the same one, or begin the run in another folder."
        )


def check_made(cost: object, state: object) -> None:
    """Raises a UserError where a source gives anything but a `Cost` and a state of tensors."""
    if not isinstance(cost, Cost):
        raise UserError(f"`refresh` of a transfer source must return its `Cost`, got {type(cost).__name__}.")
    entries = state.items() if isinstance(state, Mapping) else [("all of it", state)]
    wrong = [f"{name} ({type(value).__name__})" for name, value in entries if not isinstance(value, Tensor)]
    if wrong:
        raise UserError(
            f"`state_dict` of a transfer source must be tensors by name, got {', '.join(wrong[:3])}; "
            "`torch.as_tensor` makes one of a number."
        )


def check_round(transfer_set: TransferSet, first: TransferSet, number: int) -> None:
    """Raises a UserError where a round's images differ in kind from those that the loop was built for."""
    now, before = _kind(transfer_set), _kind(first)
    wrong = [f"{what} must be {before[what]}, got {now[what]}" for what in before if now[what] != before[what]]
    if wrong:
        raise UserError(
            f"the images of all rounds must be of one kind, but those of round {number} are not: {'; '.join(wrong)}."
        )


def _kind(transfer_set: TransferSet) -> dict[str, object]:
    images = transfer_set.images
    return {
        "their shape [C, H, W]": list(images.shape),
        "their number of classes": images.num_classes,
        "their classes": images.classes,
        "their labels": "none" if images.labels is None else "there",
        "their soft labels": "none" if transfer_set.soft_labels is None else "there",
        "their floats": "there" if images.has_floats else "none",
    }


def _tensors(student: Classifier, teacher: Classifier | None) -> list[str]:
    return [*unready(student, "student"), *([] if teacher is None else unready(teacher, "teacher"))]


def _learning(student: Classifier, teacher: Classifier | None) -> list[str]:
    """Errors where the student cannot learn, or would change something that must not learn."""
    wrong = []
    parameters = dict(student.named_parameters())
    inner = [name for name, parameter in parameters.items() if not parameter.is_leaf]
    if inner:
        wrong.append(
            f"the student's {', '.join(inner[:3])} must be leaves of autograd, got results of others, as a copy of "
            "a scripted module has; give the module that was scripted"
        )
    types = {parameter.dtype for parameter in parameters.values() if parameter.is_floating_point()}
    if len(types) == 1 and torch.float32 not in types:  # a student with several types handles them itself
        wrong.append(
            f"the student's parameters must be float32, got {next(iter(types))}; call `.float()` on it, and "
            "`training.precision` says what it computes in"
        )
    learning = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    if not parameters:
        wrong.append(f"the student {student.name} must have parameters to learn, got none")
    elif not learning:
        wrong.append(
            f"the student {student.name} must have a parameter that learns, got {len(parameters)} that are all frozen; "
            "set `requires_grad_(True)` on those that are to learn"
        )
    expanded = [name for name, parameter in learning.items() if is_expanded(parameter)]
    if expanded:
        wrong.append(
            f"the student's {', '.join(expanded[:3])} must have memory for each element to learn, got expanded "
            "tensors; clone them, or learn the smaller one and expand it in `forward`"
        )
    both = [] if teacher is None else shared_with(student, teacher)
    if both:
        wrong.append(
            f"the student must share nothing with the teacher, which it would change while it learns, got "
            f"{', '.join(both[:3])} in both; build it from a `copy.deepcopy` of the teacher's modules"
        )
    return wrong


def _classes(student: Classifier, transfer_set: TransferSet, teacher: Classifier | None) -> list[str]:
    wrong = []
    images, soft_labels = transfer_set.images, transfer_set.soft_labels
    count = student.num_classes
    if teacher is not None and teacher.num_classes != count:
        wrong.append(
            f"teacher and student must have the same classes, got {teacher.num_classes} of {teacher.name} and "
            f"{count} of {student.name}; set `student.num_classes: {teacher.num_classes}`"
        )
    if images.labels is not None and images.num_classes != count:
        wrong.append(
            f"the student {student.name} tells {count} classes apart, but the images ({images.name}) have "
            f"{images.num_classes}; set `student.num_classes: {images.num_classes}`"
        )
    if soft_labels is not None:
        if list(soft_labels.shape) != [len(images), count]:
            wrong.append(f"`soft_labels` must be [{len(images)}, {count}], got {list(soft_labels.shape)}")
        if teacher is not None:
            wrong.append(f"`soft_labels` stand in for a teacher, and {teacher.name} is one; give one of the two")
    return wrong


def _names(student: Classifier, teacher: Classifier | None, *images: ImageSet | None) -> list[str]:
    """Errors where two sides have different class names, or the same names in another order."""
    sides = [classes_of(student, f"the student {student.name}")]
    sides += [classes_of(teacher, f"the teacher {teacher.name}")] if teacher is not None else []
    sides += [
        classes_of(image_set, f"the images ({image_set.name})")
        for image_set in images
        if image_set is not None and image_set.labels is not None
    ]
    named = [side for side in sides if side.numbers is None]
    return [
        f"{other.has} the classes {few(other.names)}, {named[0].owner} {few(named[0].names)}; number them alike"
        for other in named[1:]
        if other.names != named[0].names
    ]


def _validation(
    student: Classifier,
    images: ImageSet,
    validation: ImageSet,
    settings: TrainingSettings,
    teacher: Classifier | None,
) -> list[str]:
    if validation.labels is None:
        return _unlabelled_validation(images, validation, teacher)
    if not settings.validations or validation.num_classes == student.num_classes:
        return []
    return [
        f"the student tells {student.num_classes} classes apart, but the validation images have "
        f"{validation.num_classes}"
    ]


def _unlabelled_validation(images: ImageSet, validation: ImageSet, teacher: Classifier | None) -> list[str]:
    wrong = []
    if teacher is None:
        wrong.append(
            "validation images must be labelled where there is no teacher to agree with, got none of "
            f"{validation.name!r}; set `data.validation: 0` to train without them"
        )
    if validation.shape != images.shape:
        wrong.append(
            f"validation images without labels must be of the shape [C, H, W] of those taught on, {list(images.shape)}"
            f", got {list(validation.shape)} of {validation.name!r}; set its `size` or `channels`"
        )
    return wrong


def _needs(objective: WeightedSum, transfer_set: TransferSet, teacher: Classifier | None) -> list[str]:
    wrong = []
    images, soft_labels = transfer_set.images, transfer_set.soft_labels
    from_teacher = objective.outputs_needed("teacher")
    if from_teacher and teacher is None and (soft_labels is None or from_teacher != {"logits"}):
        names = [name for name, term in objective.objectives().items() if term.outputs_needed("teacher")]
        wrong.append(f"the objective {', '.join(names)} needs a teacher, and there is none; name one under `teacher`")
    if "labels" in objective.needs and images.labels is None:
        names = [name for name, term in objective.objectives().items() if "labels" in term.needs]
        wrong.append(f"the objective {', '.join(names)} needs labels, and {images.name} has none; drop that term")
    return wrong


def check_learns(loss: Tensor, step: int, terms: list[str]) -> None:
    """Raises a UserError where no learning parameter affects the loss, as where all that its terms read is frozen."""
    if not loss.requires_grad:
        raise UserError(
            f"no parameter that learns shapes the loss at step {step + 1} ({', '.join(terms)}); is it detached, or are "
            "the parameters that these terms read frozen (`requires_grad_(True)` lets them learn)?"
        )


def check_weights(student: Classifier, step: int, kept: str) -> None:
    """Raises a UserError where the weights are not finite, before they replace a good checkpoint."""
    bad = _not_finite(student)
    if bad:
        raise UserError(
            f"the student's weights are not finite after step {step}: {', '.join(bad[:3])}. {kept} "
            "Try a lower `training.learning_rate` or `training.clip_norm: 5`."
        )


def check_processes(settings: TrainingSettings, processes: int) -> None:
    """Raises a UserError where a batch cannot be shared equally."""
    if settings.batch_size % processes:
        raise UserError(
            f"`training.batch_size` must divide by the {processes} processes, got {settings.batch_size}; "
            f"{settings.batch_size // processes * processes or processes} would."
        )


def _weights(who: str, classifier: Classifier | None) -> list[str]:
    bad = [] if classifier is None else _not_finite(classifier)
    return [f"the {who}'s weights hold NaN or infinity in {', '.join(bad[:3])}; load other weights"] if bad else []


def _not_finite(classifier: Classifier) -> list[str]:
    return [name for name, value in classifier.state_dict().items() if not is_finite(value)]
