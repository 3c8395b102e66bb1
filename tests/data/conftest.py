"""Tiny data sets that the tests create, and a cache folder of their own."""

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from limbeck.data import ImageSet


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMBECK_DATA", raising=False)


@pytest.fixture
def data_root() -> Path:
    """The folder of real data."""
    root = os.environ.get("LIMBECK_DATA")
    if not root:
        pytest.skip("LIMBECK_DATA names no folder of real data")
    return Path(root)


@pytest.fixture
def cached_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches decoded pixels, however quickly they were decoded."""
    monkeypatch.setattr("limbeck.data.encoded.build.CACHE_FROM_SECONDS", -1.0)


@pytest.fixture
def pixels() -> np.ndarray:
    """uint8 [12, 6, 5, 3]."""
    return np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


@pytest.fixture
def small_set() -> ImageSet:
    """12 images in 3 unequal classes, ids far from their positions."""
    images = torch.arange(12 * 3 * 4 * 4).remainder(251).to(torch.uint8).view(12, 3, 4, 4)
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    return ImageSet(images, labels, ids=torch.arange(12).flip(0) * 10, classes=["ant", "bee", "cat"], name="small")


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png")
    return buffer.getvalue()


Writer = Callable[..., Path]


@pytest.fixture
def write_parquet(tmp_path: Path) -> Writer:
    """Writes images as a Hub repository holds them."""

    def write(
        path: str,
        images: Sequence[Any],
        labels: Sequence[Any] | None,
        *,
        names: Sequence[str] | None = None,
        image: str = "image",
        label: str = "label",
        typed: bool = True,
    ) -> Path:
        cells = [
            {"bytes": png(content) if isinstance(content, np.ndarray) else content, "path": None} for content in images
        ]
        columns: dict[str, Any] = {image: pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))}
        features: dict[str, Any] = {image: {"_type": "Image"}}
        if labels is not None:
            columns[label] = labels
        if names is not None:
            features[label] = {"_type": "ClassLabel", "names": list(names)}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})} if typed else {}
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), file)
        return file

    return write


@pytest.fixture
def write_folder(tmp_path: Path) -> Writer:
    """Writes class folders of PNG files: {"train/cat/one.png": array or bytes}."""

    def write(files: dict[str, np.ndarray | bytes], folder: str = "own") -> Path:
        base = tmp_path / folder
        for name, content in files.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else png(content))
        return base

    return write
