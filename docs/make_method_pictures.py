"""Draws the pictures on the pages of methods anew: `python docs/make_method_pictures.py FOLDER`.

CIFAR-10 and a ResNet-56 trained on it are read from LIMBECK_DATA and LIMBECK_WEIGHTS, or downloaded. Images made from
the digits are read from FOLDER, or made there if they are missing: a few minutes for condense, fifteen for generate, on
two cores that also do other work. What `make_pictures.py` says of thumbnails holds here, too.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from picture_sheets import picture, save_grid
from PIL import Image
from safetensors.numpy import load_file
from torch import Tensor

import limbeck as lb
from limbeck.data.normalised_views import normalised_views
from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS
from limbeck.data.view_catalogue import VIEWS
from limbeck.transfer.generate.methods import METHODS as GENERATE

DATA, TEACHER = "cifar10", "cifar10-resnet56"
VIEWED = 27
"""The test image that views are of."""
ANSWERED = (27, 265, 506, 177)
"""Test images: one that the teacher is sure of, two of which it is not, and one that it takes for another class."""
TEMPERATURE = 4
CRITERIA = {
    "random": "random",
    "herding": "herding",
    "entropy": "entropy",
    "entropy-lowest": "entropy-lowest",
    "variance": "variance",
    "k-centre": "k-centre",
    "el2n": "el2n",
    "el2n, lowest": {"score": "el2n", "order": "lowest"},
    "minimal-margin": "minimal-margin",
}
_NETWORK = {"network": {"model": "convnet_d3", "options": {"width": 16, "norm": "group"}}}
_EXPERTS = {"count": 4, "epochs": 20, "steps_per_snapshot": 15, "batch_size": 64, "learning_rate": 0.1, "views": None}
_MATCHING = {
    "synthetic_steps": 10,
    "expert_epochs": 1,
    "start_to": 3,
    "image_rate": 30.0,
    "rate": 0.1,
    "rate_rate": 1e-4,
}
CONDENSE: dict[str, dict[str, Any]] = {
    "rded": {},
    "dm": {**_NETWORK, "iterations": 100},
    "mtt": {**_NETWORK, "experts": _EXPERTS, "matching": _MATCHING, "iterations": 150, "views": None},
}
"""Settings that take minutes; those of mtt are those of the example on the page of condense."""


def views() -> None:
    """An image itself, then four views of it by each augmentation."""
    test = lb.load(DATA, "test")
    images = test.subset(test.ids[:40])  # with others, to be mixed with
    place = int(test.ids[VIEWED])
    rows: dict[str, list[Tensor]] = {}
    for name in VIEWS.built_in:
        loader = lb.TransferSet(images).dataloader(batch_size=len(images), views=name, seed=1)
        for epoch in range(4):
            loader.set_epoch(epoch)
            ((shown, _, ids),) = loader
            rows.setdefault(name, []).append(shown[ids.tolist().index(place)])
    rows["none"] = rows["none"][:1]
    inputs = (rows["none"][0][None] - 0.5) / 0.25
    for name in (view for view in NORMALISED_VIEWS.built_in if view != "none"):
        changed = normalised_views(name)
        shown = [changed.apply(inputs, changed.draw(1, seed=0, step=step))[0] for step in range(4)]
        rows[name] = [image * 0.25 + 0.5 for image in shown]
    save_grid([list(map(_of_shares, row)) for row in rows.values()], "views.png", scale=2, words=list(rows))


def criteria() -> None:
    """The horses that each criterion takes first."""
    horses, teacher = lb.load(DATA, classes=["horse"]), lb.load_model(TEACHER)
    rows: dict[str, list[Image.Image]] = {}
    for name, criterion in CRITERIA.items():
        chosen = lb.select(horses, criterion=criterion, budget=6, teacher=teacher).transfer_set(horses)
        rows[name] = [picture(pixels) for pixels in chosen.images.tensor().numpy()]
    save_grid(list(rows.values()), "criteria.png", scale=2, words=list(rows))


def objectives() -> None:
    """An image, its label, the teacher's answer at two temperatures, and the maps that `at` compares."""
    test, teacher = lb.load(DATA, "test"), lb.load_model(TEACHER)
    images = test.subset(test.ids[list(ANSWERED)])
    pixels, labels = images.tensor(), images.labels
    assert labels is not None
    with torch.inference_mode():
        outputs = teacher(pixels, {"logits", "stages"})
    rows: list[list[Image.Image]] = []
    for place, logits in enumerate(outputs.logits):
        shares = [torch.eye(len(logits))[labels[place]], logits.softmax(0), (logits / TEMPERATURE).softmax(0)]
        maps = [_map(stage[place], pixels.shape[-1]) for stage in outputs.stages[1:]]
        rows.append([picture(pixels[place].numpy()), *map(_bars, shares), *maps])
    save_grid(rows, "objectives.png", scale=2, words=[images.classes[label] for label in labels])


def generate_methods(folder: Path) -> None:
    """Digits written by hand, and twelve of those that each method makes last, in the order of the classes."""
    settings, out = ["compare.seeds=[0]", "compare.budgets=[1280]"], folder / "nine-ways"
    if not out.exists():
        lb.compare("digits-generate", overrides=settings, out=out)
    rows = {"by hand": _digits(12)}
    for name in GENERATE:
        pictures = load_file(out / f"runs/{name}@1280-images/seed-0/evidence/pictures.safetensors")
        last = max(int(key.partition(".")[0]) for key in pictures)
        rows[name] = [picture(pixels) for pixels in pictures[f"{last}.images"][::2]]
    save_grid(list(rows.values()), "generate-methods.png", scale=4, words=list(rows))


def condense_methods(folder: Path) -> None:
    """Digits written by hand, and the ten that each method learns or cuts out."""
    digits, rows = lb.load("digits"), {"by hand": _digits(10)}
    for name, settings in CONDENSE.items():
        out = folder / f"condensed-{name}"
        options: dict[str, Any] = {"teacher": _teacher_of_digits(folder)} if name == "rded" else {}
        condensed = (
            lb.TransferSet.load(out)
            if out.exists()
            else lb.condense(digits, budget="1/class", method=name, out=out, **settings, **options)
        )
        rows[name] = [picture(pixels) for pixels in condensed.images.tensor().numpy()]
    save_grid(list(rows.values()), "condense-methods.png", scale=4, words=list(rows))


def _digits(count: int) -> list[Image.Image]:
    """So many digits in the order of their classes, taken at equal steps."""
    digits = lb.load("digits")
    assert digits.labels is not None
    order = digits.labels.argsort(stable=True)
    places = order[(torch.arange(count) + 0.5).mul(len(order) / count).long()]
    return [picture(pixels) for pixels in digits.tensor()[places].numpy()]


def _teacher_of_digits(folder: Path) -> lb.Classifier:
    if not (folder / "teacher-of-digits").exists():
        network = lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, seed=0, width=64, norm="batch")
        test = lb.load("digits", "test")
        lb.distill(None, network, "digits", test=test, epochs=15, views="none", out=folder / "teacher-of-digits")
    return lb.load_model(folder / "teacher-of-digits")


def _of_shares(pixels: Tensor) -> Image.Image:
    """A picture of pixels `[C, H, W]`, clamped to [0, 1]."""
    return picture((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())


def _bars(shares: Tensor) -> Image.Image:
    """A bar for each class, as high as its share."""
    sheet = np.full((32, 4 * len(shares) + 2), 235, dtype=np.uint8)
    for place, share in enumerate(shares.tolist()):
        height = round(share * 30)
        sheet[31 - height :, 4 * place + 2 : 4 * place + 4] = 40
    return Image.fromarray(sheet)


def _map(stage: Tensor, side: int) -> Image.Image:
    """A picture of the mean square over maps `[C, H, W]`, bright where it is large."""
    energy = stage.square().mean(0)
    return _of_shares((energy / energy.max())[None]).resize((side, side), Image.Resampling.NEAREST)


if __name__ == "__main__":
    for draw in (views, criteria, objectives):
        draw()
    for draw in (generate_methods, condense_methods):
        draw(Path(sys.argv[1]))
