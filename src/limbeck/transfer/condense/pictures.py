"""Pictures for the report: the synthetic images, each class over the iterations, and where a network sees the class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.transfer.condense.frames import Frame, at_most
from limbeck.transfer.evidence import Pictures

MOST_FRAMES = 6
"""Iterations of a class side by side on a page."""
MOST_CLASSES = 20
"""Classes that are shown over the iterations."""
_COLD, _WARM = (0.10, 0.15, 0.55), (1.0, 0.85, 0.1)
_OVER = 0.6  # opacity of the map over the image


def frame_pictures(frames: Sequence[Frame], classes: Sequence[str]) -> list[Pictures]:
    """The last images; one image per class over the iterations; the first and the last activation maps.

    Args:
        frames: in order.
        classes: names by label.
    """
    if not frames:
        return []
    last = frames[-1]
    mapped = [frame for frame in frames if frame.maps is not None]
    ends = [mapped[0], mapped[-1]] if len(mapped) > 1 else mapped
    return [
        _whole(f"After {last.iteration:,} iterations" if last.iteration else "As they are", last),
        *(_over_iterations(frames, classes) if len(frames) > 1 else []),
        *(_maps(frame) for frame in ends),
    ]


def overlay(images: Tensor, maps: Tensor) -> Tensor:
    """Gray images overlaid with their maps: blue where a map is 0, yellow where it is 1.

    Args:
        images: uint8 `[n, C, h, w]`.
        maps: float `[n, h, w]` in [0, 1].

    Returns:
        uint8 `[n, 3, h, w]`.

    Example:
        >>> overlay(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.ones(1, 2, 2))[0, :, 0, 0]
        tensor([153, 130,  15], dtype=torch.uint8)
    """
    gray = images.float().mean(1, keepdim=True) / 255  # [n, 1, h, w]
    heat = maps[:, None]
    ends = [torch.tensor(colour).view(1, 3, 1, 1) for colour in (_COLD, _WARM)]
    colours = ends[0] * (1 - heat) + ends[1] * heat  # [n, 3, h, w]
    return ((gray * (1 - _OVER) + colours * _OVER).clamp(0, 1) * 255).round().to(torch.uint8)


def _whole(title: str, frame: Frame) -> Pictures:
    return Pictures(title=title, images=frame.images, ids=frame.rows, labels=frame.labels)


def _over_iterations(frames: Sequence[Frame], classes: Sequence[str]) -> list[Pictures]:
    shown = at_most(frames, MOST_FRAMES)
    labels = shown[-1].labels
    firsts = [int((labels == label).nonzero()[0]) for label in labels.unique()]
    captions = [f"{frame.iteration:,}" for frame in shown]
    return [
        Pictures(
            title=f"{_name(int(labels[row]), classes)}, by iteration",
            images=torch.stack([frame.images[row] for frame in shown]),
            ids=torch.tensor([frame.iteration for frame in shown]),
            captions=captions,
        )
        for row in firsts[:MOST_CLASSES]
    ]


def _maps(frame: Frame) -> Pictures:
    assert frame.maps is not None
    when = f"after {frame.iteration:,} iterations" if frame.iteration else "at the beginning"
    title = f"Activation maps {when}: yellow where the class is seen"
    return Pictures(title=title, images=overlay(frame.images, frame.maps), ids=frame.rows, labels=frame.labels)


def _name(label: int, classes: Sequence[str]) -> str:
    return str(classes[label]) if label < len(classes) else f"Class {label}"
