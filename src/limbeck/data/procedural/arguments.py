"""Arguments that procedural images need and other images must not have. Quick to import: no torch."""

from pathlib import Path

from limbeck.data.catalogue import DATASETS, find
from limbeck.errors import UserError


def is_procedural(name: str | Path) -> bool:
    """Whether a name is that of procedural images, also with a variant after it.

    Raises:
        UserError: there is no such variant.

    Example:
        >>> is_procedural("noise:pink"), is_procedural("cifar10")
        (True, False)
    """
    info = DATASETS.built_in.get(name.partition(":")[0]) if isinstance(name, str) else None
    return info is not None and info.procedural and find(str(name)).procedural


def check_number(name: str | Path, images: int | None, seed: int | None) -> None:
    """Raises a UserError where the number of procedural images is missing, or other images have it or a seed."""
    if not is_procedural(name):
        for argument, value in (("images", images), ("seed", seed)):
            if value is not None:
                raise UserError(
                    f"`{argument}` is for procedural images, as 'dead-leaves', and {str(name)!r} are none; leave it "
                    f"out, got {value!r}."
                )
        return
    if images is None:
        raise UserError(
            f"`images` must say how many of {str(name)!r} to make, which has no end: `lb.load({str(name)!r}, "
            f"images=50_000)`, `{{name: {name}, images: 50000}}` in a recipe, `--images 50000` in a shell."
        )
    if isinstance(images, bool) or not isinstance(images, int) or images < 1:
        raise UserError(f"`images` must be a whole number, at least 1, got {images!r}.")
