"""Views rendered by a torchvision transform, one image at a time, each with random numbers from its own draw."""

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from limbeck.data.augmentation import Augmentation, without_gradient
from limbeck.errors import UserError
from limbeck.foreign import errors_of
from limbeck.randomness import own_randomness
from limbeck.signatures import Options, parameters


def is_transform(part: object) -> bool:
    """Whether `part` is a transform of torchvision or a class of transforms; torchvision is not imported for that.

    Example:
        >>> from torchvision.transforms import v2
        >>> is_transform(v2.RandAugment), is_transform(v2.ColorJitter(hue=0.1)), is_transform(str)
        (True, True, False)
    """
    kind = part if isinstance(part, type) else type(part)
    return any(base.__module__.startswith("torchvision.transforms") for base in kind.__mro__)


def options_of(part: Any) -> Options:
    """Options of a class of transforms with their defaults, `inspect.Parameter.empty` where one must be given."""
    if not isinstance(part, type):
        return {}
    return {
        option.name: option.default
        for option in parameters(part)
        if option.kind not in (option.VAR_POSITIONAL, option.VAR_KEYWORD)
    }


class TransformView(Augmentation):
    """Views of a transform that draws from the random generators of torch or Python, as torchvision's do.

    Args:
        part: a class of transforms, or an instance.
        what: what to call it in messages.
        options: of the class.

    Raises:
        UserError: the class cannot be instantiated with these options.
    """

    distinct = None

    def __init__(self, part: Callable[..., Any], what: str, options: Mapping[str, Any]) -> None:
        self.what = what
        self.key = None if isinstance(part, type) else repr(part)
        self.transform = _made(part, what, options) if isinstance(part, type) else part

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        # On the CPU: some transforms draw on the device of the image, whose generator is not seeded here.
        on_cpu = images.cpu()
        with own_randomness(0, "torchvision"), _own_python_randomness():
            shown = [self._view(image, bits) for image, bits in zip(on_cpu, draw.tolist(), strict=True)]
        return torch.stack(shown).to(images.device) if shown else images

    def _view(self, image: Tensor, bits: int) -> Tensor:
        torch.default_generator.manual_seed(bits)
        random.seed(bits)
        with errors_of(self.what):
            view = self.transform(image)
        if not isinstance(view, Tensor) or view.dtype != torch.uint8 or view.shape != image.shape:
            got = f"{view.dtype} {list(view.shape)}" if isinstance(view, Tensor) else type(view).__name__
            raise UserError(
                f"{self.what} must return an image uint8 {list(image.shape)}, got {got}; leave out what resizes, "
                "normalises or makes tensors, which limbeck does itself."
            )
        return view

    def smooth(self, images: Tensor, draw: Tensor) -> Tensor:
        raise without_gradient(self.what)


@contextmanager
def _own_python_randomness() -> Iterator[None]:
    """Inside, Python's generator (which older transforms use) may be seeded; its state is restored afterwards."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


def _made(part: Callable[..., Any], what: str, options: Mapping[str, Any]) -> Any:
    missing = [
        name for name, default in options_of(part).items() if default is inspect.Parameter.empty and name not in options
    ]
    if missing:
        raise UserError(f"{what} needs its options {', '.join(f'`{name}`' for name in missing)}.")
    try:
        return part(**options)
    except Exception as error:  # whatever torchvision thinks of a value
        raise UserError(f"{what} cannot be made: {type(error).__name__}: {str(error).rstrip('.')}.") from error
