"""How many images are condensed, and checks of the images, labels and teacher that this needs."""

from typing import TYPE_CHECKING

from limbeck.data.classes import class_places, classes_of
from limbeck.errors import UserError
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.words import image_count

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet
    from limbeck.models import Classifier


def images_per_class(settings: CondenseSettings, pool: "ImageSet") -> int:
    """How many images are condensed for each class that has images.

    Raises:
        UserError: no labels, or only one class; a count that is no multiple of the number of classes; or more images
            than some class has, where condensed images begin as real ones.

    Example:
        >>> images_per_class(CondenseSettings(budget=20), images)
        2
    """
    sizes = class_sizes(settings, pool)
    budget, classes = parse_budget(settings.budget), len(sizes)
    count = int(budget.amount)
    if budget.kind == "count":
        if count % classes:
            below, above = count // classes * classes, -(-count // classes) * classes
            either = f"{below} or {above}" if below else str(above)
            raise UserError(
                f"`budget` must be a multiple of the {classes} classes of {pool.name!r}, each of which gets as many "
                f"images, got {budget.label}; give {either}, or images per class as '1/class'."
            )
        count //= classes
    smallest = min(sizes, key=lambda name: sizes[name])
    limit = sizes[smallest] // settings.per_image
    if settings.by != "crops" and settings.initialise in ("real", "correct") and count > limit:
        parts = f" of {settings.per_image}" if settings.per_image > 1 else ""
        instead = f"at most {limit}/class" if limit else "`per_image: 1`"
        available = f"{image_count(sizes[smallest])} {'is' if sizes[smallest] == 1 else 'are'}"
        raise UserError(
            f"`budget` {count}/class is more than class {smallest!r} of {pool.name!r} has, whose {available} what as "
            f"many{parts} begin as; give {instead}, or `initialise: noise`."
        )
    return count


def class_sizes(settings: CondenseSettings, pool: "ImageSet") -> dict[str, int]:
    """Number of images of every class that has any, by name.

    Raises:
        UserError: no labels, or fewer than two classes, which leaves a network nothing to tell apart.

    Example:
        >>> len(class_sizes(CondenseSettings(budget=20), images))
        10
    """
    if pool.labels is None:
        raise UserError(
            f"{settings.title} needs labels, and {pool.name!r} has none; give labelled images, or `borrow` or "
            "`generate` a transfer set."
        )
    sizes = {name: n for name, n in zip(pool.classes, pool.class_counts().tolist(), strict=True) if n}
    if len(sizes) < 2:
        raise UserError(
            f"{settings.title} needs images of two classes at least, which are told apart, and {pool.name!r} has "
            f"{'those of one alone' if sizes else 'none'}; give more classes."
        )
    return sizes


def check_teacher(settings: CondenseSettings, pool: "ImageSet", teacher: "Classifier | None") -> None:
    """Checks that a teacher fits the images; None, as for one that is yet to be trained, passes.

    Raises:
        UserError: its classes are not the images', or it does not take their channels.
    """
    if teacher is None or not settings.needs_teacher:
        return
    if pool.shape[0] not in (1, teacher.channels) and teacher.channels != 1:
        raise UserError(
            f"the teacher {teacher.name} takes images of {teacher.channels} channel(s), and those of {pool.name!r} "
            f"have {pool.shape[0]}; load them with `channels` set, or take another teacher."
        )
    if not settings.labelled_by_teacher:
        return
    does, instead = ("rate crops of", "") if settings.by == "crops" else ("give labels of", ", or `labels: hard`")
    if teacher.num_classes != pool.num_classes:
        raise UserError(
            f"the teacher {teacher.name} tells {teacher.num_classes} classes apart, and {pool.name!r} has "
            f"{pool.num_classes}, which it is to {does}; take a teacher of these classes{instead}."
        )
    class_places(
        classes_of(teacher, f"the teacher {teacher.name}"), classes_of(pool)
    )  # raises unless each class is found by name
