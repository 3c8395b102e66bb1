"""Tables with columns of every type: images are read, or refused with advice."""

import os
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.conftest import png

from limbeck.data import ImageSet, load
from limbeck.errors import UserError

HELD_OR_ENCODED = pytest.mark.parametrize("in_memory", [True, False])


def same(images: ImageSet, pixels: np.ndarray) -> bool:
    return np.array_equal(images.tensor().numpy(), pixels.transpose(0, 3, 1, 2))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(images: Any, file: str = "set.parquet", **columns: Any) -> Path:
        pq.write_table(pa.table({"image": images, **columns}), tmp_path / file)
        return tmp_path / file

    return write


def structs(cells: list[bytes], **kinds: pa.DataType) -> pa.Array:
    fields = [pa.field(name, kind) for name, kind in (kinds or {"bytes": pa.binary(), "path": pa.string()}).items()]
    return pa.array([{"bytes": cell} for cell in cells], pa.struct(fields))


IMAGES: dict[str, Callable[[list[bytes]], pa.Array]] = {
    "binary": pa.array,
    "large binary": lambda cells: pa.array(cells, pa.large_binary()),
    "binary view": lambda cells: pa.array(cells, pa.binary_view()),
    "dictionary": lambda cells: pa.array(cells).dictionary_encode(),
    "struct": structs,
    "struct of bytes alone": lambda cells: structs(cells, bytes=pa.large_binary()),
    "struct of views": lambda cells: structs(cells, path=pa.string_view(), bytes=pa.binary_view(), extra=pa.int8()),
    "list of one struct": lambda cells: pa.array([[{"bytes": cell, "path": None}] for cell in cells]),
    "list of one binary": lambda cells: pa.array([[cell] for cell in cells], pa.large_list(pa.binary())),
}


@HELD_OR_ENCODED
@pytest.mark.parametrize("kind", IMAGES)
def test_encoded_images_of_every_type(write, pixels: np.ndarray, kind: str, in_memory: bool):
    file = write(IMAGES[kind]([png(image) for image in pixels[:3]]))
    assert same(load(file, in_memory=in_memory), pixels[:3])


@HELD_OR_ENCODED
@pytest.mark.parametrize(
    "kinds", [("binary", "large binary", "dictionary"), ("struct", "struct of bytes alone"), ("binary view", "binary")]
)
def test_shards_of_several_types_are_joined(
    write, pixels: np.ndarray, tmp_path: Path, kinds: tuple[str, ...], in_memory: bool
):
    for number, kind in enumerate(kinds):
        cells = [png(image) for image in pixels[2 * number :][:2]]
        write(IMAGES[kind](cells), f"train-{number:05d}-of-{len(kinds):05d}.parquet")
    assert same(load(tmp_path, in_memory=in_memory), pixels[: 2 * len(kinds)])


@HELD_OR_ENCODED
def test_shards_without_rows_and_in_another_order_of_columns(
    write, pixels: np.ndarray, tmp_path: Path, in_memory: bool
):
    cells = [png(image) for image in pixels[:4]]
    pq.write_table(pa.table({"label": pa.array([1, 0], pa.int32()), "image": cells[2:]}), tmp_path / "c.parquet")
    write(cells[:2], "b.parquet", label=pa.array([0, 1], pa.int64()))
    for name, columns in (("a", {}), ("d", {"image": pa.nulls(0), "other": pa.array([], pa.float64())})):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    images = load(tmp_path, in_memory=in_memory)
    assert same(images, pixels[:4])
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 1, 0]


def test_shards_that_do_not_fit_are_refused(write, pixels: np.ndarray):
    cells = [png(image) for image in pixels[:2]]
    folder = write(cells, "train-a.parquet", label=[0, 1]).parent
    write(cells, "train-b.parquet", kind=[0, 1])
    with pytest.raises(
        UserError,
        match=r"'.*train-b.parquet' has columns \['image', 'kind'\], '.*train-a.parquet' has \['image', 'label'\]; "
        "files of one split must have the same",
    ):
        load(folder)
    write(["a.png", "b.png"], "train-b.parquet", label=[0, 1])
    with pytest.raises(UserError, match=r"are of several types, binary and string; write all files with one"):
        load(folder)
    write(pa.array(pixels[:2, :, :, 0].tolist(), pa.list_(pa.list_(pa.uint8()))), "train-a.parquet", label=[0, 1])
    write(pa.array(pixels[:2, :, :, 0].tolist(), pa.list_(pa.list_(pa.uint16()))), "train-b.parquet", label=[0, 1])
    with pytest.raises(UserError, match=r"are of several types, list<.*uint16>> and list<.*uint8>>"):
        load(folder)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pa.array([1, 2]), "nested lists of numbers, got int64; name another column with `image_column`"),
        (pa.array([Decimal("0.5")] * 2), r"got decimal128\(1, 1\)"),
        (pa.array([datetime(2020, 1, 1)] * 2), r"got timestamp\[us\]"),
        (pa.array([[("a", 1)]] * 2, pa.map_(pa.string(), pa.int64())), "got map<string, int64"),
        (pa.array([{"data": b"", "shape": [1, 2]}] * 2), "structs with `bytes` or `path`, .* got struct<data: binary"),
        (pa.array([[{"x": 1}]] * 2), "got list<.*struct<x: int64>>"),
        (pa.array([[Decimal("0.5")]] * 2), "got list<.*decimal128"),
    ],
)
def test_columns_without_images_are_refused(write, images: pa.Array, message: str):
    with pytest.raises(UserError, match=rf"the images of '.*set.parquet' must be bytes or paths .*{message}"):
        load(write(images))


@HELD_OR_ENCODED
def test_lists_of_several_images_are_refused(write, pixels: np.ndarray, in_memory: bool):
    cells = [{"bytes": png(image), "path": None} for image in pixels[:3]]
    file = write(pa.array([cells[:1], cells[1:]]))
    with pytest.raises(
        UserError, match=r"row 1 of '.*set.parquet' must hold one image, got a list of 2; write one row"
    ):
        load(file, in_memory=in_memory, skip_unreadable=True)


@HELD_OR_ENCODED
@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (pa.array([b"", None]), "cannot identify an image of no bytes"),
        (pa.nulls(2), "cannot identify an image of no bytes"),
        (pa.array([[], None], pa.list_(pa.binary())), "cannot identify an image of no bytes"),
        (pa.array([None, {"bytes": None, "path": None}]), "cannot identify an image of no bytes"),
        (pa.array([b"no image", b"neither"]), r"cannot identify its format\. Mend"),
        (pa.array(["missing.png", "also/missing.png"]), "No such file or directory: '.*missing.png'"),
        (pa.array([{"path": "missing.png"}, {"path": "a\0b"}]), "No such file or directory: '.*missing.png'"),
        (pa.array(["a\0b", ""]), "null"),
        (pa.array([[[1, 2], [3]], [[1, 2], None]]), "lists must be of numbers, of one length at each depth"),
        (pa.array([[[1, None], [3, 4]], [[1, [2]][:1], [1, 2]]]), "without missing values"),
        (pa.array([[1, 2], [3, 4]]), r"must be \[H, W\], .* got \[2\]"),
        (pa.array([[[]], [[]]], pa.list_(pa.list_(pa.uint8()))), r"must have at least one pixel, got \[1, 0\]"),
    ],
)
def test_cells_without_an_image_are_named_or_skipped(
    write, pixels: np.ndarray, cells: pa.Array, message: str, in_memory: bool
):
    file = write(cells)
    with pytest.raises(UserError, match=rf"row 0 of '.*set.parquet' cannot be read as an image: .*{message}"):
        load(file, in_memory=in_memory)
    with pytest.raises(UserError, match=r"no image is readable; the first is row 0 of"):
        load(file, in_memory=in_memory, skip_unreadable=True)


def test_missing_files_among_many(write, pixels: np.ndarray, tmp_path: Path):
    # Enough images, and large enough, to be decoded in threads.
    noise = np.random.default_rng(0).integers(0, 256, (70, 70, 3), dtype=np.uint8)
    (tmp_path / "there.png").write_bytes(png(noise))
    file = write(["missing.png", *["there.png"] * 40])
    with pytest.raises(UserError, match=r"row 0 of .* cannot be read as an image: .*No such file"):
        load(file, size=8, channels=3)
    assert load(file, size=8, channels=3, skip_unreadable=True).skipped == 1


NAMED: dict[str, Callable[[str, bytes], pa.Array]] = {
    "paths": lambda path, other: pa.array([path, path]),
    "structs of paths": lambda path, other: pa.array([{"bytes": None, "path": path}, {"bytes": None, "path": None}]),
    "structs, one with bytes": lambda path, other: pa.array([{"bytes": other, "path": "x"}, {"path": path}]),
    "structs, one of empty bytes": lambda path, other: pa.array([{"bytes": None, "path": path}, {"bytes": b""}]),
    "lists of a path": lambda path, other: pa.array([[path], [path]]),
    "structs of views": lambda path, other: pa.array(
        [{"bytes": None, "path": path}], pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())])
    ),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_picture_that_a_table_names_may_change(
    write, pixels: np.ndarray, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("limbeck.data.encoded.build.CACHE_FROM_SECONDS", -1.0)
    file = write(NAMED[kind]("one.png", png(pixels[2])))
    for number in (0, 1):
        (tmp_path / "one.png").write_bytes(png(pixels[number]))
        os.utime(tmp_path / "one.png", ns=(number, number))
        images = load(file, skip_unreadable=True).tensor().numpy()
        assert (images == pixels[number].transpose(2, 0, 1)).all(axis=(1, 2, 3)).any()
    (tmp_path / "one.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"row \d of .* cannot be read as an image"):
        load(file)


def test_tables_that_hold_their_images_are_not_read_to_name_files(
    write, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("the column was read"))
    file = write(pa.array([{"bytes": png(image), "path": "gone.png"} for image in pixels[:3]]))
    assert same(load(file), pixels[:3])


def test_empty_tables_are_named(write, tmp_path: Path):
    file = write(pa.array([], pa.binary()), label=pa.array([], pa.float64()))
    with pytest.raises(UserError, match=r"'set.parquet/train' holds no images"):
        load(file)
    pq.write_table(pa.table({}), tmp_path / "none.parquet")
    with pytest.raises(UserError, match=r"`image_column` must be named: no column of .* looks like images"):
        load(tmp_path / "none.parquet")


def test_columns_of_one_name_are_refused(tmp_path: Path, pixels: np.ndarray):
    cells = pa.array([png(pixels[0])])
    pq.write_table(pa.table([cells, cells], names=["image", "image"]), tmp_path / "set.parquet")
    with pytest.raises(UserError, match=r"`image_column` 'image' must be one column of .*, which has several"):
        load(tmp_path / "set.parquet")


@pytest.mark.parametrize("labels", [None, [0] * 12])
def test_fewer_rows_than_stated_are_named(
    write, pixels: np.ndarray, labels: list[int] | None, monkeypatch: pytest.MonkeyPatch
):
    file = write([png(image) for image in pixels], **({} if labels is None else {"label": labels}))
    read = pq.ParquetFile.read
    monkeypatch.setattr(pq.ParquetFile, "read", lambda parquet, columns: read(parquet, columns).slice(1))
    with pytest.raises(UserError, match=r"'.*set.parquet' must (be|hold) 12\b.* as .* states.*, got 11; it is damaged"):
        load(file)


def test_damaged_pages_are_named(write, pixels: np.ndarray):
    file = write([png(image) for image in pixels], label=list(range(12)))
    data = bytearray(file.read_bytes())
    data[4:60] = b"\xff" * 56
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"'.*set.parquet' cannot be read as Parquet: "):
        load(file)
