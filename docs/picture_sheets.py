"""Sheets of thumbnails as small PNG files, for `make_pictures.py` and `make_method_pictures.py`."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).parent / "images"
MOST_BYTES = 60_000
GAP = 4
_LETTERS = 15

Pictures = Sequence[Image.Image]


def picture(pixels: np.ndarray) -> Image.Image:
    """A picture of uint8 pixels `[C, H, W]`."""
    return Image.fromarray(pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0])


def save_grid(rows: Sequence[Pictures], name: str, *, scale: int, words: Sequence[str] = ()) -> None:
    """Pixels are enlarged and not smoothed; 256 colours keep the file small.

    Args:
        rows: pictures of one height; a row may have fewer than others.
        name: of the file.
        scale: how often a pixel is repeated.
        words: label before each row, if any.
    """
    font = ImageFont.load_default(_LETTERS)
    margin = int(max((font.getlength(word) for word in words), default=-2 * GAP)) + 2 * GAP
    side = rows[0][0].height * scale
    widths = [sum(image.width * scale + GAP for image in row) - GAP for row in rows]
    sheet = Image.new("RGB", (margin + max(widths), (side + GAP) * len(rows) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, pictures in enumerate(rows):
        top, left = place * (side + GAP), margin
        if words:
            draw.text((0, top + side // 2), words[place], "black", font, anchor="lm")
        for image in pictures:
            tile = image.convert("RGB").resize((image.width * scale, side), Image.Resampling.NEAREST)
            sheet.paste(tile, (left, top))
            left += tile.width + GAP
    buffer = io.BytesIO()
    indexed = sheet.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)  # keeps rare colours
    indexed.save(buffer, "PNG", optimize=True)
    write(name, buffer.getvalue())


def write(name: str, content: bytes) -> None:
    assert len(content) <= MOST_BYTES, f"{name} takes {len(content):,} bytes"
    (IMAGES / name).write_bytes(content)
    print(f"drew {name}, {len(content):,} bytes")
