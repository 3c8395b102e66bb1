import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limbeck.data.encoded.decode import Target, Unreadable, WrongShape, decode, header, to_uint8

GRAY, RGB = Target(1, 2, 3), Target(3, 2, 3)
RAMP = np.array([[0, 10, 20], [30, 40, 255]], dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_gray_repeats_over_channels():
    data = encoded(Image.fromarray(RAMP))
    assert np.array_equal(decode(data, GRAY), RAMP[None])
    assert np.array_equal(decode(data, RGB), np.stack([RAMP] * 3))


def test_rgb_is_channels_first_and_luma_weighs_green_most():
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, :, :] = np.eye(3) * 255
    data = encoded(Image.fromarray(pixels))
    assert np.array_equal(decode(data, RGB), pixels.transpose(2, 0, 1))
    assert decode(data, GRAY)[0, 0].tolist() == [76, 150, 29]


def test_transparency_is_composited_on_white():
    pixels = np.zeros((2, 3, 4), dtype=np.uint8)
    pixels[0, 0] = (200, 0, 0, 255)
    pixels[0, 1] = (200, 0, 0, 0)
    pixels[0, 2] = (0, 0, 0, 128)
    assert decode(encoded(Image.fromarray(pixels)), RGB)[:, 0].T.tolist() == [[200, 0, 0], [255, 255, 255], [127] * 3]
    alpha = np.array([[0, 128, 255]] * 2, dtype=np.uint8)
    gray_alpha = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(alpha)])
    assert decode(encoded(gray_alpha), GRAY)[0].tolist() == [[255, 132, 20], [255, 147, 255]]


def palette(transparency: int | None) -> bytes:
    image = Image.fromarray(np.array([[0, 1, 2]] * 2, dtype=np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return encoded(image) if transparency is None else encoded(image, transparency=transparency)


def test_palette_gives_its_colours():
    assert decode(palette(None), RGB)[:, 0].T.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert decode(palette(1), RGB)[:, 0].T.tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


def test_gray_with_a_transparent_value():
    assert decode(encoded(Image.fromarray(RAMP), transparency=10), GRAY)[0, 0].tolist() == [0, 255, 20]


def test_one_bit_is_black_and_white():
    bits = Image.fromarray(np.array([[True, False, True]] * 2))
    assert bits.mode == "1"
    assert decode(encoded(bits), GRAY)[0, 0].tolist() == [255, 0, 255]


def test_sixteen_bit_gray_is_scaled_not_clipped():
    wide = np.array([[0, 256, 257], [32768, 65534, 65535]], dtype=np.uint16)
    for kind in ("png", "tiff"):
        data = encoded(Image.fromarray(wide), kind)
        assert decode(data, GRAY)[0].tolist() == [[0, 1, 1], [128, 255, 255]]
    assert np.array_equal(decode(RAMP.astype(np.uint16) * 257, GRAY)[0], RAMP)


def test_cmyk_becomes_rgb():
    cmyk = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    red = decode(encoded(cmyk, "tiff"), RGB)[:, 0, 0]
    assert red[0] > 200
    assert red[1:].max() < 60


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees clockwise
    for kind in ("png", "tiff"):
        data = encoded(Image.fromarray(RAMP), kind, exif=exif)
        assert header(data) == ((3, 2), True)
        assert np.array_equal(decode(data, Target(1, 3, 2))[0], np.rot90(RAMP, -1))


def test_other_sizes_cover_and_crop_the_centre():
    wide = np.zeros((2, 6), dtype=np.uint8)
    wide[:, 2:4] = 200
    assert decode(encoded(Image.fromarray(wide)), Target(1, 2, 2, resize=True))[0].tolist() == [[200] * 2] * 2
    with pytest.raises(WrongShape, match=r"is 2x6, the others are 2x2; give `size=`"):
        decode(encoded(Image.fromarray(wide)), Target(1, 2, 2))


def test_colour_among_gray_is_told():
    colour = encoded(Image.new("RGB", (3, 2)))
    with pytest.raises(WrongShape, match="is in colour, those looked at first were gray"):
        decode(colour, Target(1, 2, 3, to_gray=False))


def test_header_of_files_and_arrays(tmp_path: Path):
    (tmp_path / "one.png").write_bytes(encoded(Image.fromarray(RAMP)))
    assert header(tmp_path / "one.png") == ((2, 3), True)
    assert header(np.zeros((3, 4, 5), dtype=np.uint8)) == ((4, 5), False)
    assert header(palette(None)) == ((2, 3), False)


def noise(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), kind)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "tiff", "bmp"])
def test_truncated_images_are_unreadable(kind: str):
    data = noise(kind)
    with pytest.raises(Unreadable):
        decode(data[: len(data) // 2], Target(3, 40, 40))


def test_webp_is_opened_by_its_own_format_alone(monkeypatch: pytest.MonkeyPatch):
    data, real, requested = noise("webp"), Image.open, []

    def opened(file: object, formats: object = None) -> Image.Image:
        requested.append(formats)
        return real(file, formats=formats)

    monkeypatch.setattr(Image, "open", opened)
    assert decode(data, Target(3, 40, 40)).shape == (3, 40, 40)
    decode(noise("png"), Target(3, 40, 40))
    assert requested == [("WEBP",), None]


def test_damaged_png_is_unreadable():
    data = bytearray(noise("png"))
    data[60:64] = struct.pack(">I", 0xDEADBEEF)
    with pytest.raises(Unreadable):
        decode(bytes(data), Target(3, 40, 40))


@pytest.mark.parametrize("data", [b"", b"no image", Path("/nowhere/at/all.png")])
def test_what_is_no_image_is_unreadable(data: bytes | Path):
    with pytest.raises(Unreadable, match=r"cannot identify|No such file"):
        decode(data, GRAY)


def test_arrays_of_every_kind():
    assert np.array_equal(decode(RAMP, GRAY), RAMP[None])
    colour = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    assert np.array_equal(decode(colour, RGB), colour.transpose(2, 0, 1))
    assert np.array_equal(to_uint8(np.array([0.0, 0.5, 1.0])), [0, 128, 255])
    assert np.array_equal(to_uint8(np.array([False, True])), [0, 255])
    assert np.array_equal(to_uint8(np.array([0, 65535]), sixteen_bit=True), [0, 255])
    channels_first = np.random.default_rng(0).integers(0, 256, (3, 7, 8), dtype=np.uint8)
    assert np.array_equal(decode(channels_first, Target(3, 7, 8)), channels_first)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.array([[0.0, np.nan]]), "must be finite, got NaN or infinity"),
        (np.array([[0.0, 255.0]]), r"must lie in \[0, 1\], got 0..255; divide by 255"),
        (np.array([[0, 300]]), r"8-bit pixels must lie in 0..255, got 0..300"),
        (np.array([[-1, 3]]), r"must lie in 0..255, got -1..3"),
        (np.array([["a"]]), "pixels must be numbers"),
        (np.zeros((2, 2, 2, 2), dtype=np.uint8), r"must be \[H, W\], .* got \[2, 2, 2, 2\]"),
    ],
)
def test_wrong_arrays_are_unreadable(pixels: np.ndarray, message: str):
    with pytest.raises(Unreadable, match=message):
        decode(pixels, Target(1, 1, 2))


# Metadata: where it cannot be read, the pixels still are


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF data of entries (tag, type, count, value), valid or not."""
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    fields, values, offset = b"", b"", len(head) + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        inline = len(value) <= 4
        fields += struct.pack("<HHI", tag, kind, count)
        fields += value.ljust(4, b"\0") if inline else struct.pack("<I", offset + len(values))
        values += b"" if inline else value
    return b"Exif\0\0" + head + fields + bytes(4) + values


TURNED = (0x0112, 3, 1, struct.pack("<H", 6))
METADATA = {
    "resolution as text": exif(TURNED, (0x011A, 2, 7, b"72 dpi\0"), (0x0128, 3, 1, b"\2")),
    "resolution as a short": exif(TURNED, (0x011A, 3, 1, b"\x48"), (0x011B, 2, 3, b"72\0")),
    "resolution over nothing": exif(TURNED, (0x011A, 5, 1, struct.pack("<II", 72, 0))),
    "text as bytes": exif(TURNED, (0x010F, 7, 3, b"\xff\xfe\xfd")),
    "sub-folder that is its own": exif(TURNED, (0x8769, 4, 1, struct.pack("<I", 8))),
    "sub-folder as text": exif(TURNED, (0x8825, 2, 4, b"abc\0")),
    "orientation as text": exif((0x0112, 2, 2, b"6\0")),
    "orientation as a rational": exif((0x0112, 5, 1, struct.pack("<II", 6, 1))),
    "cut off": exif(TURNED, (0x011A, 5, 1, struct.pack("<II", 72, 1)))[:-9],
    "cut off within an entry": exif(TURNED, (0x011A, 3, 1, b"\x48"))[:-9],
}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("name", METADATA)
def test_images_with_odd_metadata_are_turned_and_kept(name: str, kind: str):
    image = Image.fromarray(np.kron(RAMP, np.ones((8, 8), dtype=np.uint8)))
    options = {"lossless": True} if kind == "webp" else {}
    straight = decode(encoded(image, kind, **options), Target(1, 16, 24))[0]
    data = encoded(image, kind, exif=METADATA[name], **options)
    assert header(data)[0] == (24, 16)
    assert np.array_equal(decode(data, Target(1, 24, 16))[0], np.rot90(straight, -1))


@pytest.mark.parametrize(
    "metadata", [b"Exif\0\0", b"Exif\0\0garbage", exif((0x0112, 3, 1, b"\x09")), exif((0x0112, 2, 4, b"top\0"))]
)
def test_without_a_known_orientation_images_stay_as_they_are(metadata: bytes):
    data = encoded(Image.fromarray(RAMP), "png", exif=metadata)
    assert header(data)[0] == (2, 3)
    assert np.array_equal(decode(data, GRAY), RAMP[None])


AVIF = ["avif"] if ".avif" in Image.registered_extensions() else []  # not every version of Pillow has it


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """`data` cut off, or with some bytes changed, inserted or removed."""
    out, place = bytearray(data), int(rng.integers(len(data)))
    match rng.integers(3):
        case 0:
            del out[place:]
        case 1:
            for position in rng.integers(len(data), size=rng.integers(1, 6)):
                out[position] = rng.integers(256)
        case _:
            out[place : place + rng.integers(8)] = rng.bytes(int(rng.integers(8)))
    return bytes(out)


@pytest.mark.filterwarnings("ignore")  # decoders warn of damaged files
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "tiff", "bmp", "jpeg2000", "ppm", *AVIF])
def test_whatever_is_damaged_is_read_or_unreadable(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)  # damage can declare huge sizes, which would be slow
    rng = np.random.default_rng(0)
    image = Image.fromarray(np.kron(RAMP, np.ones((8, 8), dtype=np.uint8))).convert("RGB")
    data = encoded(image, kind, **({} if kind in ("ppm", "bmp", "gif") else {"exif": exif(TURNED)}))
    unreadable = 0
    for _ in range(60):
        broken = damaged(data, rng)
        try:
            header(broken)
            assert decode(broken, Target(3, 8, 8, resize=True)).shape == (3, 8, 8)
        except Unreadable:
            unreadable += 1
    assert 5 < unreadable < 60


@pytest.mark.parametrize(
    "error",
    [SyntaxError("broken PNG file"), struct.error(), OverflowError("too large"), KeyError(7), RuntimeError("no")],
)
def test_whatever_a_decoder_fails_with_is_an_unreadable_image(error: Exception, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise error

    data = encoded(Image.fromarray(RAMP))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    with pytest.raises(Unreadable, match=str(error) or type(error).__name__):
        decode(data, GRAY)


def test_want_of_memory_is_not_the_images_fault(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    data = encoded(Image.fromarray(RAMP))
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_prepare", fail)
    with pytest.raises(MemoryError):
        decode(data, GRAY)


def test_images_beyond_all_bounds_are_unreadable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    with pytest.raises(Unreadable, match="decompression bomb"):
        decode(encoded(Image.fromarray(RAMP)), GRAY)
