"""Images as data URIs, group by group."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.report import formats
from limbeck.transfer.evidence import Evidence, Pictures

_LOSSLESS_SIDE, _THUMBNAIL_SIDE = 64, 112
_MOST = 48  # images of a group


@dataclass(frozen=True)
class Picture:
    """One image of a gallery with what the caption says."""

    uri: str
    id: int
    label: str | None
    score: str


def picture_groups(evidence: Evidence) -> list[tuple[str, list[Picture]]]:
    """(title, pictures) for each group that has any, at most 48 of each."""
    groups = ((group.title, _pictures(group, evidence.classes)) for group in evidence.pictures)
    return [(title, pictures) for title, pictures in groups if pictures]


def data_uri(image: NDArray[np.uint8], *, lossless: bool = False) -> str:
    """An image uint8 [C, H, W] of 1, 3 or 4 channels as a data URI: PNG up to 64 pixels, above that a thumbnail."""
    channels_last = np.moveaxis(image, 0, -1)
    picture = Image.fromarray(np.ascontiguousarray(channels_last[..., 0] if len(image) == 1 else channels_last))
    kind, options = "png", {"optimize": True}
    if max(picture.size) > _LOSSLESS_SIDE and not lossless:
        picture = picture.convert("RGB")
        picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
        kind, options = "jpeg", {"quality": 85}
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _pictures(group: Pictures, classes: Sequence[str]) -> list[Picture]:
    scores = group.scores
    return [
        Picture(
            data_uri(image.numpy()),
            int(group.ids[place]),
            group.captions[place] if group.captions else _class_of(group, place, classes),
            "" if scores is None else formats.short(float(scores[place])),
        )
        for place, image in enumerate(group.images[:_MOST])
    ]


def _class_of(group: Pictures, place: int, classes: Sequence[str]) -> str | None:
    if group.labels is None or group.labels[place] < 0:
        return None
    return formats.name_of(int(group.labels[place]), classes)
