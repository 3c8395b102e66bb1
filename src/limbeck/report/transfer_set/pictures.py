"""Images as data URIs: what an arm chose and what it left, at both ends of its score."""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open

from limbeck.errors import UserError
from limbeck.report import formats

GROUPS = {
    "chosen_highest": "Chosen, highest {score}",
    "chosen_lowest": "Chosen, lowest {score}",
    "rejected_highest": "Left out, highest {score}",
    "rejected_lowest": "Left out, lowest {score}",
}
_LOSSLESS_SIDE, _THUMBNAIL_SIDE = 64, 112


@dataclass(frozen=True)
class Picture:
    """One image of a gallery with what the caption says."""

    uri: str
    id: int
    label: str | None
    score: str


def gallery(path: Path) -> list[tuple[str, list[Picture]]]:
    """(title, pictures) for each group of a gallery file that has any."""
    arrays, header = _read(path)
    classes = json.loads(header.get("classes", "[]"))
    score = header.get("score", "score")
    groups = ((title.format(score=score), _pictures(arrays, group, classes)) for group, title in GROUPS.items())
    return [(title, pictures) for title, pictures in groups if pictures]


def class_names(path: Path) -> list[str]:
    """Names of the classes that a gallery file knows, by number."""
    return json.loads(_read(path)[1].get("classes", "[]"))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays and header, empty where there is no file."""
    if not path.is_file():
        return {}, {}
    try:
        with safe_open(path, framework="np") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}). Delete it and report again to go without.") from error


def data_uri(image: NDArray[np.uint8], *, lossless: bool = False) -> str:
    """An image uint8 [C, H, W] of 1, 3 or 4 channels as a data URI: PNG up to 64 pixels, above that a thumbnail."""
    channels_last = np.moveaxis(image, 0, -1)
    picture = Image.fromarray(channels_last[..., 0] if image.shape[0] == 1 else channels_last)
    kind, options = "png", {"optimize": True}
    if max(picture.size) > _LOSSLESS_SIDE and not lossless:
        picture = picture.convert("RGB")
        picture.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
        kind, options = "jpeg", {"quality": 85}
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _pictures(arrays: dict[str, Any], group: str, classes: list[str]) -> list[Picture]:
    images = arrays.get(f"{group}.images")
    if images is None:
        return []
    ids, labels, scores = (arrays.get(f"{group}.{part}") for part in ("ids", "labels", "scores"))
    return [
        Picture(
            data_uri(image),
            int(ids[i]) if ids is not None else i,
            None if labels is None else formats.name_of(int(labels[i]), classes),
            formats.ABSENT if scores is None else formats.short(float(scores[i])),
        )
        for i, image in enumerate(images)
    ]
