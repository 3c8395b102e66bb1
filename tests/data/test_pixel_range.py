"""Values of more than 8 bits: which one is white, the warning for sets far below it, and `scale`."""

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from limbeck.caching import cache_folder
from limbeck.data import ImageSet, load
from limbeck.data.encoded.decode import to_uint8
from limbeck.errors import UserError

TWELVE_BITS = np.arange(0, 4096, 13, dtype=np.uint16)[:300].reshape(3, 10, 10)
"""Three images with values in 0..3887."""
EXPECTED = np.rint(TWELVE_BITS / 4095 * 255).astype(np.uint8)


def tiff(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "tiff")
    return buffer.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    """A 16-bit PNG of [H, W] or [H, W, C]; Pillow does not write these with several channels."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[pixels[0, 0].size]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def of_files(encode: Callable[[np.ndarray], bytes], suffix: str) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, images: np.ndarray) -> Path:
        (folder / "set").mkdir(exist_ok=True)
        for number, image in enumerate(images):
            (folder / "set" / f"{number:02d}.{suffix}").write_bytes(encode(image))
        return folder / "set"

    return write


def of_lists(kind: pa.DataType) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, images: np.ndarray) -> Path:
        cells = pa.array(images.tolist(), pa.list_(pa.list_(kind)))
        pq.write_table(pa.table({"image": cells}), folder / "set.parquet")
        return folder / "set.parquet"

    return write


def of_arrays(kind: str) -> Callable[[Path, np.ndarray], Path]:
    def write(folder: Path, images: np.ndarray) -> Path:
        np.savez(folder / "set.npz", images=images.astype(kind))
        return folder / "set.npz"

    return write


SIXTEEN_BITS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "png": of_files(png16, "png"),
    "tiff": of_files(tiff, "tif"),
    "32-bit tiff": of_files(lambda image: tiff(image.astype(np.int32)), "tif"),
    "lists": of_lists(pa.uint16()),
    "npz uint16": of_arrays("uint16"),
    "npz int64": of_arrays("int64"),
    "npz big-endian": of_arrays(">i4"),
}
WIDE = SIXTEEN_BITS | {
    "float tiff": of_files(lambda image: tiff(image.astype(np.float32)), "tif"),
    "lists of int32": of_lists(pa.int32()),
    "lists of floats": of_lists(pa.float32()),
    "npz float16": of_arrays("float16"),
    "npz float64": of_arrays("float64"),
}
HELD_OR_ENCODED = pytest.mark.parametrize("in_memory", [True, False])


def gray(images: ImageSet) -> np.ndarray:
    return images.tensor()[:, 0].numpy()


@HELD_OR_ENCODED
@pytest.mark.parametrize("kind", SIXTEEN_BITS)
def test_values_that_do_not_fill_their_type_are_said_once(tmp_path: Path, kind: str, in_memory: bool):
    path = SIXTEEN_BITS[kind](tmp_path, TWELVE_BITS)
    with pytest.warns(
        UserWarning,
        match=rf"the images of '{path.name}/train' are dark: the largest value is 3887, and 65535 is white. If that "
        r"should be nearly white, say which value is, as `scale=4095` \(`--scale 4095`\); if .* so dark, `scale=65535`",
    ) as caught:
        images = load(path, in_memory=in_memory)
    assert [warning.filename for warning in caught] == [__file__]
    assert np.array_equal(gray(images), np.rint(TWELVE_BITS / 257))
    meant = load(path, in_memory=in_memory, scale=65535)
    assert np.array_equal(gray(meant), gray(images))


@HELD_OR_ENCODED
@pytest.mark.parametrize("kind", WIDE)
def test_scale_says_what_is_white(tmp_path: Path, kind: str, in_memory: bool):
    path = WIDE[kind](tmp_path, TWELVE_BITS)
    expected = EXPECTED if kind != "npz float16" else np.rint(TWELVE_BITS.astype(np.float16).astype(float) / 4095 * 255)
    assert np.array_equal(gray(load(path, in_memory=in_memory, scale=4095)), expected)


@HELD_OR_ENCODED
@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.filterwarnings("ignore:.* are dark")
def test_values_beyond_scale_are_refused(tmp_path: Path, kind: str, in_memory: bool):
    path = WIDE[kind](tmp_path, TWELVE_BITS)
    with pytest.raises(UserError, match=r"pixels must lie in 0..1500.5 \(`scale`\), got \d+..\d+"):
        load(path, in_memory=in_memory, scale=1500.5)
    if not kind.startswith("npz"):
        loaded = load(path, in_memory=in_memory, scale=1500.5, skip_unreadable=True)
        assert (len(loaded), loaded.skipped) == (1, 2)


@pytest.mark.parametrize("kind", [kind for kind in WIDE if kind not in SIXTEEN_BITS])
def test_values_beyond_their_type_are_refused_with_the_advice(tmp_path: Path, kind: str):
    with pytest.raises(UserError, match=r"pixels must lie in .*, got .*say which value is white, as `scale="):
        load(WIDE[kind](tmp_path, TWELVE_BITS))
    if not kind.startswith("npz"):
        for in_memory in (True, False):
            with pytest.raises(UserError, match=r"holds no readable image: all 3 were skipped. Without `skip_unr"):
                load(WIDE[kind](tmp_path, TWELVE_BITS + 4096), in_memory=in_memory, skip_unreadable=True)


@pytest.mark.parametrize("kind", ["npz float32", "lists of floats", "float tiff"])
def test_dark_floats_are_said(tmp_path: Path, kind: str):
    write = of_arrays("float32") if kind == "npz float32" else WIDE[kind]
    path = write(tmp_path, TWELVE_BITS / np.float32(65535))
    with pytest.warns(
        UserWarning, match=r"the largest value is 0.0593\d*, and 1 is white. .* `scale=0.0593\d*`"
    ) as caught:
        load(path)
    advice = re.search(r"`scale=(\S+)`", str(caught[0].message))
    assert advice is not None
    assert gray(load(path, scale=float(advice[1]))).max() == 255


@HELD_OR_ENCODED
@pytest.mark.parametrize(
    "images",
    [
        np.array([[[0, 40000]]], dtype=np.uint16),
        np.array([[[0, 0]], [[0, 65535]]], dtype=np.uint16),
        np.zeros((2, 2, 2), dtype=np.uint16),
    ],
)
def test_full_or_black_images_pass_without_a_word(tmp_path: Path, images: np.ndarray, in_memory: bool):
    for name in ("png", "tiff", "lists", "npz uint16"):
        (tmp_path / name).mkdir()
        assert np.array_equal(
            gray(load(SIXTEEN_BITS[name](tmp_path / name, images), in_memory=in_memory)), np.rint(images / 257)
        )


def test_eight_bits_of_any_type_pass_without_a_word(tmp_path: Path):
    for kind in ("uint8", "uint16", "int64"):
        path = of_arrays(kind)(tmp_path, np.arange(8).reshape(2, 2, 2))
        assert gray(load(path)).max() == 7
        assert gray(load(path, scale=7)).max() == 255
    (tmp_path / "lists").mkdir()
    path = of_lists(pa.uint8())(tmp_path / "lists", np.arange(8).reshape(2, 2, 2))
    assert (gray(load(path)).max(), gray(load(path, scale=14)).max()) == (7, 128)


def test_all_splits_of_a_file_are_of_one_width(tmp_path: Path):
    np.savez(tmp_path / "set.npz", x_train=np.full((1, 2, 2), 65535), x_test=np.full((1, 2, 2), 200))
    with pytest.warns(UserWarning, match="the images of 'set.npz/test' are dark: the largest value is 200"):
        assert gray(load(tmp_path / "set.npz", "test")).max() == 1


@HELD_OR_ENCODED
def test_files_of_eight_bits_have_no_scale(tmp_path: Path, in_memory: bool):
    path = of_files(tiff, "tif")(tmp_path, EXPECTED)
    for skip in (False, True):
        with pytest.raises(
            UserError, match=r"all images of 'set/train' are files of 8 bits, whose white is 255. Leave it"
        ):
            load(path, in_memory=in_memory, scale=4095, skip_unreadable=skip)
    (path / "00.tif").write_bytes(tiff(TWELVE_BITS[0]))
    assert np.array_equal(gray(load(path, in_memory=in_memory, scale=4095)), EXPECTED)


@HELD_OR_ENCODED
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_several_channels_of_sixteen_bits(tmp_path: Path, channels: int, in_memory: bool):
    wide = np.random.default_rng(0).integers(0, 65536, (2, 5, 4, channels), dtype=np.uint16)
    if channels in (2, 4):
        wide[..., -1] = 65535  # opaque
    path = of_files(png16, "png")(tmp_path, wide)
    images = load(path, in_memory=in_memory)
    assert np.array_equal(images.tensor()[:, 0].numpy(), wide[..., 0] >> 8)
    with pytest.raises(
        UserError, match=r"'.*0.png' has several channels of 16 bits, of which only the upper 8 are read"
    ):
        load(path, in_memory=in_memory, scale=4095)
    wide[..., : channels - (channels in (2, 4))] >>= 4
    of_files(png16, "png")(tmp_path, wide)
    with pytest.warns(
        UserWarning, match=r"dark: the largest value is 3\d+, and 65535 is white. They have several channels"
    ):
        load(path, in_memory=in_memory)


@pytest.mark.usefixtures("cached_at_once")
def test_scale_is_part_of_the_cache_and_what_was_said_is_said_again(tmp_path: Path):
    path = SIXTEEN_BITS["png"](tmp_path, TWELVE_BITS)
    for _ in range(2):
        with pytest.warns(UserWarning, match="the largest value is 3887"):
            load(path)
        assert np.array_equal(gray(load(path, scale=4095)), EXPECTED)
        assert gray(load(path, scale=8191)).max() < 128
        assert np.array_equal(gray(load(path, scale=4095.0)), EXPECTED)
    assert len(list((cache_folder() / "decoded").iterdir())) == 3


def test_of_large_sets_some_are_looked_at(tmp_path: Path):
    path = of_lists(pa.uint16())(tmp_path, np.tile(TWELVE_BITS, (30, 1, 1)))
    with pytest.warns(UserWarning, match=r"dark: the largest value looked at is 3887, and"):
        images = load(path, in_memory=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.tensor()


def test_threads_see_all_values(tmp_path: Path):
    wide = np.random.default_rng(0).integers(0, 4096, (40, 90, 90), dtype=np.uint16)
    path = of_files(tiff, "tif")(tmp_path, wide)
    with pytest.warns(UserWarning, match=f"the largest value is {wide.max()}, "):
        load(path)
    assert np.array_equal(gray(load(path, scale=4095))[0], np.rint(wide[0] / 4095 * 255))


@pytest.mark.parametrize("scale", [np.uint16(4095), np.int64(4095), np.float32(4095), np.float64(4095)])
def test_scale_may_be_a_number_of_numpy(tmp_path: Path, scale: Any):
    path = of_arrays("uint16")(tmp_path, TWELVE_BITS)
    assert np.array_equal(gray(load(path, scale=scale)), EXPECTED)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 10**400, True, "4095"])
def test_scale_is_a_number_above_zero(scale: Any):
    with pytest.raises(
        UserError, match=r"`scale` must be the stored value that becomes white, a finite number > 0, got"
    ):
        load("digits", scale=scale)


def test_scale_below_the_values_of_digits_is_refused():
    with pytest.raises(
        UserError, match=r"image 0 of scikit-learn's digits .* must lie in 0..16 \(`scale`\), got 0..239"
    ):
        load("digits", scale=16)


def test_sixteen_bits_are_rounded_exactly():
    values = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_uint8(values, sixteen_bit=True), (values.astype(int) + 128) // 257)
    assert np.array_equal(to_uint8(values, scale=65535), (values.astype(int) + 128) // 257)
    assert np.array_equal(to_uint8(np.arange(256, dtype=np.uint8), scale=255), np.arange(256))
