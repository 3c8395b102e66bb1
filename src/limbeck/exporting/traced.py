"""A classifier as one program from images to logits: no dictionary, no Python, any number of images."""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

import limbeck
from limbeck.errors import UserError, first_line
from limbeck.models.classifier import Classifier

_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(limbeck.__file__).parent), "<")
_FIXED_BATCH = re.compile(r"specialized it to be a constant|Constraints violated|specialized due to guard", re.I)


class Exportable(nn.Module):
    """Logits `[B, K]` alone, for images `[B, C, H, W]`; or for inputs that were normalised outside.

    Args:
        classifier: in evaluation mode, on the CPU.
        inside: whether it normalises.
    """

    def __init__(self, classifier: Classifier, *, inside: bool) -> None:
        super().__init__()
        self.classifier = classifier
        self.inside = inside

    def forward(self, images: Tensor) -> Tensor:
        # Not the classifier itself, whose checks of the logits would fix the number of images.
        return self.classifier.network(self.classifier.prepare(images) if self.inside else images)


def traced(module: Exportable, example: Tensor) -> ExportedProgram:
    """The program of `torch.export`, for any number of images.

    Args:
        module: what to trace.
        example: two images or more.

    Raises:
        UserError: it cannot be traced, with the reason.
    """
    arguments: dict[str, Any] = {"dynamic_shapes": ({0: Dim("batch")},)}
    try:
        with _quiet():
            return torch.export.export(module, (example,), strict=False, **arguments)
    except GuardOnDataDependentSymNode as error:
        first: Exception = error
    except Exception as error:  # code from outside limbeck may raise anything
        first = error
        with suppress(Exception), _quiet():  # reading the code, not running it, sees what `len(images)` hides
            return torch.export.export(module, (example,), strict=True, **arguments)
    raise UserError(f"{module.classifier.name} cannot be exported: {_reason(first)}.") from first


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch prints of a program that it cannot trace: graphs, and notes for its authors."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    """Why tracing failed, in one sentence."""
    where = where_it_failed(error)
    if isinstance(error, GuardOnDataDependentSymNode):
        return (
            f"what it does next hangs on the values that it computes{where}, and a file does the same for every image; "
            "write it with `torch.where`, or as a fixed number of steps"
        )
    if _FIXED_BATCH.search(str(error)):
        return (
            "its code fixes the number of images in a batch, as `view(32, -1)` does; take that of its input, as "
            "`view(images.shape[0], -1)`"
        )
    message = first_line(error)
    return f"`torch.export` ends in {type(error).__name__}{where}{f': {message}' if message else ''}"


def where_it_failed(error: Exception) -> str:
    """The last line of the network's own code that ran."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_LIBRARIES)]
    if not frames or not frames[-1].line:
        return ""
    last = frames[-1]
    return f" (`{last.line}`, {Path(last.filename).name}:{last.lineno})"
