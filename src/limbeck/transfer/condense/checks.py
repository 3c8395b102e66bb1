"""Checks, before experts are taught, of what would otherwise fail after: the choice of first images, and masks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.condense.counting import images_per_class
from limbeck.transfer.condense.mask.masks import Masks, mask_network
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start_images import INITIAL, chosen_on_disk
from limbeck.transfer.maker import MakerContext


def check_initial(settings: CondenseSettings, pool: ImageSet, context: MakerContext) -> None:
    """Raises a UserError where `initialise` names a maker or a set on disk that images cannot begin as.

    Args:
        settings: of `condense`.
        pool: images to choose from.
        context: of `condense`.
    """
    initial = settings.initial
    with naming("initialise"):
        if settings.initial_folder is not None and settings.by != "crops":
            counts = (pool.class_counts() > 0) * images_per_class(settings, pool)
            chosen_on_disk(settings, pool, counts * settings.per_image)
        if initial is None or (initial.needs_teacher and context.teacher is None):
            return  # a teacher that is yet to be trained; a missing one is refused elsewhere
        find_maker(initial.maker).count(initial, replace(context, folder=context.folder / INITIAL, pool=pool))


def check_mask(settings: CondenseSettings, networks: FreshNetworks, pool: ImageSet, context: MakerContext) -> None:
    """Raises a UserError where what a mask needs cannot be found, or images are too small.

    Args:
        settings: of `condense`.
        networks: fresh networks of the experts' kind.
        pool: images whose classes the network must know.
        context: holds the teacher, if there is one yet.
    """
    mask = settings.mask
    if mask is None or not settings.iterations:
        return
    check_torchcam()
    if mask.network == "teacher" and context.teacher is None:
        return
    expert = networks(0).eval() if mask.network == "expert" else None
    with naming("mask.network"):
        network = mask_network(mask, teacher=context.teacher, expert=expert)
    with naming("mask"):
        masks = Masks(mask, network, pool.classes, seed=context.seed)
        masks.check_size(pool.shape)


def check_torchcam() -> None:
    """Raises a UserError where torchcam, which masks need, is missing: it is imported only while images are learned."""
    if find_spec("torchcam") is None:
        raise UserError(
            "`mask` needs torchcam, which is not installed; `pip install 'limbeck[cams]'`, or leave `mask` out."
        )


@contextmanager
def naming(setting: str) -> Iterator[None]:
    """Errors raised in the block name the setting, unless they begin with it already."""
    try:
        yield
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(f"`{setting}") else f"`{setting}`: {text}") from error
