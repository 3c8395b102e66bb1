"""Made images as the teacher sees them: a map, and how far they are from real ones beside noise and procedural ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load
from limbeck.device import Device
from limbeck.evaluation.embedding_distance import SPLITS, distance_of_halves, energy_coefficient
from limbeck.evaluation.tsne import FEWEST, fastest_installed, tsne_map
from limbeck.models.forward import whole_outputs
from limbeck.transfer.evidence_figures import EvidenceFigure, PointsFigure, TableFigure, Value
from limbeck.transfer.generate.held import Held, spread

if TYPE_CHECKING:
    from limbeck.models import Classifier

MOST_IMAGES, FEWER = 1000, 250  # of a kind, and where they are large
_MAPPED, _BESIDE = 400, 200  # of the map
_LARGE = 64  # pixels a side
_KINDS = {"Noise": "noise", "Procedural, dead-leaves": "dead-leaves"}
MADE, REAL, HALVES = "Made", "Real", "Halves of the real ones, highest"
Seen = tuple[Tensor, Tensor]
"""Embeddings float32 `[n, D]` and the teacher's labels int64 `[n]`."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """What was measured.

    Attributes:
        figures: for the report.
        distances: kind of images -> energy coefficient to the real ones; empty without any.
        passes: of the teacher, for this alone.
    """

    figures: Sequence[EvidenceFigure]
    distances: Mapping[str, float]
    passes: int


def likeness(
    held: Held,
    teacher: "Classifier",
    classes: Sequence[str],
    real: ImageSet | None = None,
    *,
    seed: int = 0,
    device: Device = "auto",
) -> Likeness | None:
    """The map of the teacher's embeddings, see `tsne_map`, and energy coefficients, see `energy_coefficient`.

    Args:
        held: the made images.
        teacher: is run on some images of each kind.
        classes: its names for them.
        real: images of the task, where some are at hand.
        seed: of the images that are made to compare with.
        device: where the teacher computes.

    Returns:
        None where the teacher has no tap for its embedding, or too few images are held.
    """
    if teacher.taps.embedding is None or len(held) < FEWEST:
        return None
    passes = 0

    def embed(images: ImageSet) -> Seen:
        nonlocal passes
        passes += len(images)
        outputs = whole_outputs(teacher, images, ("embedding",), device=device)
        assert outputs.embedding is not None
        return outputs.embedding, outputs.logits.argmax(1)

    rows = held.rows
    sample = spread(rows, held.column("label"), _most(held.column("images", rows[:1])))
    images = ImageSet(held.column("images", sample), ids=sample, classes=classes, name="made")
    kinds: dict[str, Seen] = {MADE: embed(images)}
    if real is not None and len(real) >= FEWEST:
        seen = embed(_some(real, _most(real.gather(torch.arange(1)))))
        labelled = real.labels is not None and tuple(real.classes) == tuple(classes)
        kinds[REAL] = (seen[0], _labels(real, len(seen[0])) if labelled else seen[1])
    figures: list[EvidenceFigure] = [_map(kinds, classes)]
    distances: dict[str, float] = {}
    if REAL in kinds:
        side = max(images.shape[1:])
        beside = {} if side > _LARGE else {name: embed(_made_up(kind, images, seed)) for name, kind in _KINDS.items()}
        compared = {MADE: kinds[MADE], **beside}
        distances = {name: energy_coefficient(seen[0], kinds[REAL][0]) for name, seen in compared.items()}
        distances[HALVES] = distance_of_halves(kinds[REAL][0], seed=seed).highest
        figures.append(_table(distances, len(kinds[MADE][0]), len(kinds[REAL][0])))
    return Likeness(figures, distances, passes)


def _most(image: Tensor) -> int:
    return FEWER if max(image.shape[2:]) > _LARGE else MOST_IMAGES


def _some(images: ImageSet, most: int) -> ImageSet:
    places = _places(len(images), most)
    return images.subset(images.ids[places])


def _labels(images: ImageSet, most: int) -> Tensor:
    assert images.labels is not None
    return images.labels[_places(len(images), most)]


def _places(count: int, most: int) -> Tensor:
    return torch.linspace(0, count - 1, min(count, most), dtype=torch.float64).round().long()


def _made_up(kind: str, like: ImageSet, seed: int) -> ImageSet:
    channels, *size = like.shape
    return load(kind, images=len(like), size=(size[0], size[1]), channels=channels, seed=seed)


def _map(kinds: Mapping[str, Seen], classes: Sequence[str]) -> PointsFigure:
    limits = {MADE: _MAPPED, REAL: _BESIDE}
    parts = {name: _thinned(seen, limits[name]) for name, seen in kinds.items()}
    embeddings = torch.cat([seen[0] for seen in parts.values()]).double().numpy()
    by = fastest_installed()
    places = tsne_map(embeddings, implementation=by).astype(np.float64)
    note = f"t-SNE ({by}) of the teacher's embeddings of {sum(len(seen[0]) for seen in parts.values()):,} images. "
    note += "Near means alike; distances between groups and their sizes mean nothing."
    if REAL in parts:
        note += " Where made and real images of a class lie apart, the teacher tells them from one another."
    return PointsFigure(
        title="Images as the teacher sees them",
        points=(places[:, 0].tolist(), places[:, 1].tolist()),
        labels=torch.cat([seen[1] for seen in parts.values()]).tolist(),
        names=list(classes),
        parts={name.lower(): len(seen[0]) for name, seen in parts.items()},
        note=note,
        beside="together",
    )


def _thinned(seen: Seen, most: int) -> Seen:
    """At most so many, evenly over classes, as rows may be sorted by class."""
    kept = spread(torch.arange(len(seen[0])), seen[1], most)
    return seen[0][kept], seen[1][kept]


def _table(distances: Mapping[str, float], made: int, real: int) -> TableFigure:
    rows: list[list[Value]] = [[name, distance] for name, distance in distances.items()]
    return TableFigure(
        title="Distance from real images, as the teacher sees them",
        columns=["Images", "Distance"],
        rows=rows,
        note=(
            f"Energy distance of the teacher's embeddings of {made:,} made and {real:,} real images, as a share of its "
            "largest value: 0 where both look alike to it, 1 where they are far apart. What chance alone gives is the "
            f"highest of {SPLITS} distances between random halves of the real ones. A teacher that was inverted sees "
            "what it was asked to see, so that a short distance proves little. No image was chosen by it."
        ),
        beside="alone",
    )
