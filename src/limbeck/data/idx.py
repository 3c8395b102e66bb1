"""Folders of IDX files, the format in which MNIST and its relatives are distributed, compressed or not."""

import gzip
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import ArrayImages
from limbeck.data.labels import LabelColumn, encode_labels
from limbeck.data.local import canonical_split
from limbeck.data.visible import is_hidden
from limbeck.errors import UserError

_FILE = re.compile(r"(train|t10k|test)-(images|labels)[.-]idx[13]-ubyte(\.gz)?")
_UINT8 = 0x08


def idx_files(folder: Path) -> Mapping[tuple[str, str], Path]:
    """(split, "images" or "labels") -> file, for the files in `folder` that are named like MNIST's."""
    files = {}
    for path in sorted(folder.glob("*-ubyte*"), reverse=True):  # an unpacked file takes precedence over its `.gz`
        if (match := _FILE.fullmatch(path.name)) and not is_hidden(path.name):
            files["train" if match[1] == "train" else "test", match[2]] = path
    return files


def read_idx(folder: Path, split: str, *, labelled: bool = True) -> EncodedSet:
    """Gray images of `train-images-idx3-ubyte` or `t10k-images-idx3-ubyte` (which is "test"), and their labels.

    Args:
        folder: holds the files, each as it is or as `.gz`.
        split: "train" or "test".
        labelled: whether labels are wanted.

    Raises:
        UserError: no such split, broken files, or unequal numbers of images and labels.

    Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits".
    """
    files = idx_files(folder)
    splits = [name for name in ("train", "test") if (name, "images") in files]
    wanted = canonical_split(split)
    if wanted not in splits:
        raise UserError(f"`split` of {str(folder)!r} must be {' or '.join(map(repr, splits))}, got {split!r}.")
    path = files[wanted, "images"]
    images = _read(path, dimensions=3)
    if not labelled or (wanted, "labels") not in files:
        return EncodedSet(ArrayImages(images, repr(str(path))), None, (), channels=1)
    own = _labels(files[wanted, "labels"])
    others = [files[name, "labels"] for name in splits if name != wanted and (name, "labels") in files]
    labels, classes = encode_labels([own], lambda: [_labels(path) for path in others], own.where)
    if labels is not None and len(labels) != len(images):
        raise UserError(f"{own.where} must be {len(images)}, one for each image, got {len(labels)}.")
    return EncodedSet(ArrayImages(images, repr(str(path))), labels, classes, channels=1)


def _labels(path: Path) -> LabelColumn:
    return LabelColumn(pa.chunked_array([pa.array(_read(path, dimensions=1))]), f"labels of {str(path)!r}")


def _read(path: Path, *, dimensions: int) -> np.ndarray:
    """A uint8 array; the file has two zero bytes, type, number of dimensions, their sizes (big-endian), values."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        _, kind, rank = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{str(path)!r} cannot be read as an IDX file: {error}.") from error
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * rank)
    if kind != _UINT8 or rank != dimensions or len(values) != int(np.prod(shape)) or 0 in shape:
        raise UserError(
            f"{str(path)!r} must be an IDX file of bytes of {dimensions} dimension{'s' if dimensions > 1 else ''}, got "
            f"type {kind:#x}, shape {list(shape)} and {len(values):,} bytes; copy it anew."
        )
    return values.reshape(shape)
