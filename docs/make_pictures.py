"""Draws the pictures on the pages of the verbs anew: `python docs/make_pictures.py FOLDER`.

FOLDER is where the commands of these pages were run. Pictures are drawn of the runs that are there, others are left:

    select.png     runs/entropy, runs/plain                        seconds
    borrow.png     runs/borrowed-margin, runs/borrowed-boundary    a minute: ResNet-56 looks at 22,000 images
    generate.png   runs/made                                       a minute
    condense.png   runs/condense                                   eleven minutes to its first arm
    distill.svg    runs/full                                       23 to 90 minutes
    compare.svg    runs/enough                                     three hours

Times are those of the commands on two cores that also did other work. Drawing takes seconds.

Thumbnails of data sets are few and small, there to show what a command does. limbeck's licence is not theirs: CIFAR
states no terms, what is cut out of ImageNet (Tiny ImageNet, Imagenette) is for non-commercial research.
"""

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from picture_sheets import Pictures, picture, save_grid, write
from PIL import Image
from safetensors.numpy import load_file
from sklearn.datasets import load_digits


def select(runs: Path) -> None:
    """Two images of each class with the highest entropy, and two with the lowest."""
    save_grid([*_two_of_each_class(runs / "entropy"), *_two_of_each_class(runs / "plain")], "select.png", scale=2)


def borrow(runs: Path) -> None:
    """Two images for each class that the teacher is surest of, and two that it cannot tell."""
    rows = [*_evidence(runs / "borrowed-margin", sure=True), *_evidence(runs / "borrowed-boundary", sure=False)]
    save_grid(rows, "borrow.png", scale=2)


def generate(runs: Path) -> None:
    """A digit of each class that was written by hand, one that was made in the first rounds, and one in the last."""
    generated = _two_of_each_class(runs / "made", last=True)
    pixels, labels = (np.asarray(array) for array in load_digits(return_X_y=True))  # pixels in 0 to 16
    places = [np.flatnonzero(labels == label)[0] for label in range(len(generated[0]))]
    real = [picture((pixels[place] / 16 * 255).astype(np.uint8).reshape(1, 8, 8)) for place in places]
    save_grid([real, *generated], "generate.png", scale=6)


def condense(runs: Path) -> None:
    """The image of each class before and after learning."""
    frames = sorted((runs / "condense/runs/mtt@1-per-class/seed-0").rglob("frames/*.safetensors"))
    rows: list[Pictures] = []
    for frame in (frames[0], frames[-1]):
        tensors = load_file(frame)
        order = np.argsort(tensors["labels"], kind="stable")
        rows.append([picture(pixels) for pixels in tensors["images"][order]])
    save_grid(rows, "condense.png", scale=2)


def distill(runs: Path) -> None:
    """What the student takes test images for."""
    from limbeck.report.figures.classes import confusion_map
    from limbeck.report.vega import specification, svg

    last = json.loads((runs / "full/evaluation.json").read_text(encoding="utf-8"))["last"]
    drawn = confusion_map(last["confusion"], [row["class"] for row in last["per_class"]])
    _save_svg(svg(specification(drawn), "confusion"), "distill.svg")


def compare(runs: Path) -> None:
    """Accuracy against images, as the comparison drew it."""
    _save_svg((runs / "enough/frontier.svg").read_text(encoding="utf-8"), "compare.svg")


PICTURES: dict[Callable[[Path], None], str] = {
    select: "plain/data",
    borrow: "borrowed-boundary/evidence",
    generate: "made/data",
    condense: "condense/runs/mtt@1-per-class/seed-0/making.json",
    distill: "full/evaluation.json",
    compare: "enough/frontier.svg",
}
"""Function that draws a picture -> what it needs below `runs`."""


def _two_of_each_class(folder: Path, last: bool = False) -> list[Pictures]:
    """Two rows of a saved transfer set, a column for each class: the first images, or one of the first and the last."""
    (file,) = sorted((folder / "data").glob("*.parquet"))
    table = parquet.read_table(file, columns=["image", "label"])
    labels, pictures = table["label"].to_numpy(), table["image"].to_pylist()
    rows: list[Pictures] = []
    for place in (0, -1) if last else (0, 1):
        chosen = [pictures[np.flatnonzero(labels == label)[place]] for label in np.unique(labels)]
        rows.append([Image.open(io.BytesIO(encoded["bytes"])) for encoded in chosen])
    return rows


def _evidence(folder: Path, *, sure: bool) -> list[Pictures]:
    """Two rows, a column for each class, of what its report shows: the surest of each class, then the least sure."""
    tensors = load_file(folder / "evidence/pictures.safetensors")
    places = range(0 if sure else 1, sum(key.endswith(".images") for key in tensors), 2)
    return [[picture(tensors[f"{place}.images"][row]) for place in places] for row in range(2)]


def _save_svg(text: str, name: str) -> None:
    """Without attributes that only matter to an SVG inside a page: a picture's words are its alternative text."""
    write(name, re.sub(r' (?:aria-[a-z]+|role|pointer-events|class)="[^"]*"', "", text).encode())


def main(folder: Path) -> None:
    for draw, needed in PICTURES.items():
        if (folder / "runs" / needed).exists():
            draw(folder / "runs")
        else:
            print(f"no {needed} in {folder / 'runs'}: {draw.__name__} is left as it is")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
