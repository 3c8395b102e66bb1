"""Validation and test images that are held out of the images to learn from, as counts or shares of a recipe."""

from dataclasses import dataclass

from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import TEST, VALIDATION
from limbeck.errors import UserError
from limbeck.recipes.settings import VALIDATION_SHARE, DatasetSettings, DataSettings
from limbeck.recipes.sources import is_transfer_set


@dataclass(frozen=True)
class HeldOutParts:
    """Images to learn from, and those held out of them; None where none are."""

    train: ImageSet
    validation: ImageSet | None = None
    test: ImageSet | None = None


def hold_out(images: ImageSet, data: DataSettings, *, test: bool = True) -> HeldOutParts:
    """Holds out of `images` what `data` states as counts or shares: first test images, then validation images.

    Args:
        images: all images to learn from.
        data: of a recipe; data sets that it names have no part in this.
        test: whether test images may be held out, as there are no others.

    Raises:
        UserError: a count or share that leaves either part empty.
    """
    rest, test_images, validation = images, None, None
    if test and isinstance(data.test, int | float) and data.test:
        rest, test_images = _split(rest, TEST, data.test, data)
    share = data.validation
    if share is None:
        whole = images.labels is None or (data.train is not None and is_transfer_set(data.train))
        share = 0 if whole else VALIDATION_SHARE
    if not isinstance(share, DatasetSettings) and share:
        rest, validation = _split(rest, VALIDATION, share, data)
    return HeldOutParts(rest, validation, test_images)


def _split(images: ImageSet, part: str, share: int | float, data: DataSettings) -> tuple[ImageSet, ImageSet]:
    try:
        return images.split(share, seed=data.split_seed)
    except UserError:
        none, default = "", ""
        if part == VALIDATION:
            none, default = ", or 0 for none", " by default" if data.validation is None else ""
        raise UserError(
            f"`data.{part}` must be a count in 1..{len(images) - 1} or a share of the {len(images)} images to learn "
            f"from that leaves both parts at least one{none}, got {share}{default}."
        ) from None
