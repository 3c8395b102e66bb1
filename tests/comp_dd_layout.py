"""A stand-in for ImageNet's files at the hub, with pictures for the classes of Comp-DD."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from limbeck.data.catalogue import DATASETS
from limbeck.data.comp_dd import CATEGORIES, LEVELS, comp_dd_name
from limbeck.data.imagenet_names import imagenet_names

FOLDER = Path("ILSVRC", "imagenet-1k", "data")
"""Below the root of local data."""


def numbers_of(category: str, level: str) -> tuple[int, ...]:
    """ImageNet's class numbers of one of the sixteen sets."""
    keep = DATASETS[comp_dd_name(category, level)].keep
    assert keep is not None
    return keep


def every_class() -> dict[int, str]:
    """Class number -> level, for all classes of the sixteen sets."""
    levels: dict[int, str] = {}
    for category in CATEGORIES:
        for level in LEVELS:
            levels |= dict.fromkeys(numbers_of(category, level), level)
    return levels


def write_comp_dd(
    root: Path, classes: Mapping[int, str] | None = None, *, train: int = 2, validation: int = 1, side: int = 24
) -> None:
    """Writes `train` and `validation` images a class, of different sizes and shuffled, and a few of other classes.

    A class has a colour of its own, which fills most of an "easy" image and a spot of a "hard" one amid the colours of
    other classes.

    Args:
        root: where `lb.comp_dd(..., root=...)` is to look.
        classes: number -> level; None for all of Comp-DD.
        train, validation: images of each class.
        side: approximate height and width in pixels.
    """
    classes = every_class() if classes is None else classes
    source = np.random.default_rng(0)
    for split, count in (("train", train), ("validation", validation)):
        labels = source.permutation([number for number in classes for _ in range(count)] + [999] * 3)
        cells = [_picture(int(label), classes.get(int(label), "easy"), side, source) for label in labels]
        _write(root / FOLDER / f"{split}-00000-of-00001.parquet", cells, labels.tolist())


def unpack(root: Path, into: Path) -> None:
    """Unpacks what `write_comp_dd` wrote in the layout of ImageNet's archives: `train/n01440764/7.JPEG`, `val/...`."""
    ids = list(imagenet_names())
    for split, folder in (("train", "train"), ("validation", "val")):
        rows = pq.read_table(root / FOLDER / f"{split}-00000-of-00001.parquet").to_pylist()
        for number, row in enumerate(rows):
            path = into / FOLDER.parent / folder / ids[row["label"]] / f"{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(row["image"]["bytes"])


def _picture(label: int, level: str, side: int, source: np.random.Generator) -> bytes:
    height, width = side + int(source.integers(8)), side + int(source.integers(8))
    tiles = source.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    pixels = tiles.repeat(4, 0).repeat(4, 1)[:height, :width]
    share = 0.8 if level == "easy" else 0.3
    tall, wide = int(height * share), int(width * share)
    top, left = int(source.integers(height - tall + 1)), int(source.integers(width - wide + 1))
    pixels[top : top + tall, left : left + wide] = np.random.default_rng(label).integers(0, 256, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _write(path: Path, cells: Iterable[bytes], labels: list[int]) -> None:
    images = [{"bytes": cell, "path": None} for cell in cells]
    names = list(imagenet_names().values())
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, kind), "label": labels})
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path)
