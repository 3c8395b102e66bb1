"""Photos as people have them: several sizes, modes and extensions, beside files that operating systems leave behind."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog")
SIZES = ((18, 12), (12, 18), (15, 15))
"""(W, H) of the images, in turn."""


def write_photos(folder: Path, per_class: int, *, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> Path:
    """Writes a folder per class with images of one hue, as JPEG and PNG of all modes; returns `folder`."""
    random = np.random.default_rng(seed)
    for hue, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            width, height = SIZES[number % len(SIZES)]
            pixels = random.integers(0, 120, (height, width, 3), dtype=np.uint8)
            pixels[..., hue % 3] += 120
            _save(Image.fromarray(pixels), folder / name, number)
        (folder / name / ".DS_Store").write_bytes(b"none of images")
        (folder / name / "notes.txt").write_text("none of images")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "1.jpg").write_bytes(b"hidden")
    return folder


def _save(image: Image.Image, folder: Path, number: int) -> None:
    exif = Image.Exif()
    match number % 6:
        case 0:
            exif[0x0112] = 6  # to be rotated by 90 degrees
            image.save(folder / f"{number:02}.JPG", "jpeg", exif=exif)
        case 1:
            image.convert("L").save(folder / f"{number:02}.jpeg")
        case 2:
            image.convert("CMYK").save(folder / f"{number:02}.jpg")
        case 3:
            image.convert("P").save(folder / f"{number:02}.PNG", "png")
        case 4:
            image.convert("RGBA").save(folder / f"{number:02}.png")
        case _:
            image.save(folder / f"{number:02}.jpg")
