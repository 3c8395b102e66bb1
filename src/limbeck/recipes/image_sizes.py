"""The size that images of several sizes, or of another aspect, are brought to: what networks take, or were trained
with."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.catalogue import find, in_catalogue
from limbeck.data.encoded.build import both_sides
from limbeck.data.image_set import ImageSet
from limbeck.data.place import FROM_PYTHON
from limbeck.errors import UserError
from limbeck.models.catalogue import TIMM_PREFIX, entry
from limbeck.models.classifier import Classifier
from limbeck.models.published import NAMED
from limbeck.models.weights.record import CONFIG_FILE, taught_size_of
from limbeck.recipes.settings import NetworkSettings


@dataclass(frozen=True)
class KnownSize:
    """The size that a network takes or was trained with.

    Attributes:
        size: (H, W) in pixels.
        source: how it is known, in words.
        by_itself: whether the network resizes images to it by itself.
        adapts: whether the network will be built for the size of the images where all have the same.
    """

    size: tuple[int, int]
    source: str
    by_itself: bool = False
    adapts: bool = False

    def __str__(self) -> str:
        return f"{self.size[0]}x{self.size[1]}"

    def fits(self, images: ImageSet, name: str | Path) -> bool:
        """Whether images, loaded by `name`, are as a network of this size wants them.

        They are if it adapts to them, or if they are of this aspect, so that it does not stretch them, and in a size of
        their own: not in one that the catalogue chose for images of several.

        Example:
            >>> KnownSize((4, 4), "`size`").fits(images, "digits"), KnownSize((4, 5), "`size`").fits(images, "digits")
            (True, False)
        """
        height, width = size = images.shape[1:]
        if self.adapts or size == self.size:
            return True
        info = find(str(name)) if in_catalogue(name) else None
        chosen = info is not None and info.varies and info.size == size
        return height * self.size[1] == width * self.size[0] and not chosen


def size_for_settings(settings: NetworkSettings, who: str) -> KnownSize | None:
    """The image size of a network of a recipe, without building or downloading it; None if it takes any or is unknown.

    Args:
        settings: of `student` or `teacher`.
        who: "student" or "teacher".
    """
    if settings.input_size is not None:
        return KnownSize(both_sides(settings.input_size), f"`{who}.input_size`")
    name = settings.weights or settings.model
    if name is None or name.startswith(FROM_PYTHON):
        return None
    if settings.weights is not None and (saved := size_of_saved(name)) is not None:
        return KnownSize(saved.size, f"the {who}, {saved.source}")
    model = settings.model or name
    adapts = settings.weights is None and not model.casefold().startswith(TIMM_PREFIX)
    size = _size_of_model(model)
    return None if size is None else KnownSize(size, f"the {who}, a {model}", adapts=adapts)


def size_for_network(network: Classifier, name: str | Path | None = None) -> KnownSize | None:
    """The image size a network takes, or else the one that the weights or run `name` it is from were trained with.

    Example:
        >>> size_for_network(student).size
        (8, 8)
    """
    if network.input_size is not None:
        height, width = network.input_size
        return KnownSize((height, width), f"what {network.name} takes", by_itself=True)
    return None if name is None else size_of_saved(name)


def size_of_saved(name: str | Path) -> KnownSize | None:
    """The size of images that named weights, a saved network or the student of a run take or were trained with."""
    text = str(name).casefold() if isinstance(name, str) else ""
    if text in NAMED:
        return KnownSize(both_sides(NAMED[text].size), f"what {name} was trained with")
    if text.startswith(TIMM_PREFIX):
        size = _size_of_model(str(name))
        return None if size is None else KnownSize(size, f"what {name} was trained with")
    folder = Path(name).expanduser()
    for place in (folder, folder / "student"):
        if (size := _stated_size(place)) is not None:
            return KnownSize(size, f"what the network in {str(name)!r} takes", by_itself=True)
    if (size := taught_size_of(folder)) is not None:
        return KnownSize(size, f"what the student in {str(name)!r} was taught with")
    for place in (folder, folder.parent):
        shape = _read(place / "evaluation.json").get("image_shape")
        if isinstance(shape, list) and len(shape) == 3:
            return KnownSize((shape[1], shape[2]), f"what the student in {str(name)!r} was taught with")
    return None


def trained_size(teacher: Any) -> int | None:
    """Pixels a side of the images that a teacher was trained with, if its name is one of published weights.

    Example:
        >>> trained_size("cifar10-resnet20")
        32
    """
    weights = NAMED.get(teacher.casefold()) if isinstance(teacher, str) else None
    return None if weights is None else weights.size


def shape_for(teacher: Classifier, size: int | tuple[int, int] | None, what: str = "borrow") -> tuple[int, int, int]:
    """(C, H, W) of images for a teacher, of the given size or else of the teacher's input size.

    Args:
        teacher: with its input size, if it has one.
        size: pixels a side, or (height, width); None for the teacher's input size.
        what: the verb for the error message, such as "borrow".

    Raises:
        UserError: an invalid size, or neither a size nor an input size.
    """
    sides = teacher.input_size if size is None else both_sides(size)
    if sides is None:
        raise UserError(
            f"`size` must be given, the pixels a side of the images to {what}, or `test` images: {teacher.name} takes "
            "any; give that of the images that the student will see."
        )
    channels = teacher.channels if teacher.channels in (1, 3) else 1  # gray images are repeated for any other
    return (channels, *sides)


def _size_of_model(name: str) -> tuple[int, int] | None:
    if name.casefold().startswith(TIMM_PREFIX):
        from limbeck.models.timm_models import published_size  # see `create_timm`

        return published_size(name[len(TIMM_PREFIX) :])
    with suppress(UserError):  # an unknown name is reported elsewhere
        size = entry(name).input_size
        return None if size is None else (size, size)
    return None


def _stated_size(folder: Path) -> tuple[int, int] | None:
    """The input size in the description of a saved network, limbeck's or timm's."""
    config = _read(folder / CONFIG_FILE)
    stated = config.get("input_size") or list((config.get("pretrained_cfg") or {}).get("input_size") or ())[-2:]
    return (stated[0], stated[1]) if isinstance(stated, list) and len(stated) == 2 else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
