"""Seconds of scoring and clustering CIFAR-10 beside the published code of entropy selection, in the same run.

    LIMBECK_DATA=... python benchmarks/selection.py [--rounds 3] [--reference PATH] [--images 50000]
                                                    [--reference-images 5000] [--slow [--slow-images 50000]]

The reference is the repository named in `URL`, cloned into a temporary folder unless `--reference` names a copy; it
needs opencv-python-headless. Its representations and scores take time in proportion to the images, so they are timed on
`--reference-images` of them and scaled; the table says so. What grows faster (`--slow`: silhouette, t-SNE; twenty
minutes, nearly all of them the reference's) is timed on the same images on both sides.

Ratios are taken within a round, one side right after the other, and the best and the median round are shown. The limit
is a plain pass over the pixels: what it takes to read the same bytes once, eight at a time, and sum them.
"""

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from limbeck.data import ImageSet, load
from limbeck.transfer.select import Criterion, score_images, select

URL = "https://github.com/michaelkinnas/Selecting-Images-with-Entropy-for-Frugal-Knowledge-Distillation"
NAMES = {
    "grayscale-histogram": "histograms_grayscale",
    "rgb-histogram": "histograms_rgb",
    "average-adjusted-histogram": "average_adjusted_histograms",
    "patch-entropies": "patch_entropy_vectors",
    "grayscale": None,
}
AIMS = {
    "grayscale-histogram": 1,
    "rgb-histogram": 2,
    "average-adjusted-histogram": 25,
    "patch-entropies": 40,
    "grayscale": 1,
    "k-means": 20,
    "manifold": 3,
}

Pair = tuple[float, float]
CLOCK: list[Callable[[], float]] = [time.perf_counter]


def main() -> None:
    options = parse()
    if options.processor:
        CLOCK[0] = time.process_time
    images = load("cifar10", "train")
    images = images.subset(images.ids[: options.images])
    images = ImageSet(images.tensor(), images.labels, classes=images.classes, name="cifar10")
    console = Console()
    with reference(options.reference):
        table = Table("", "ours, s", "theirs, s", "best ratio", "median", "aim", "of limit", box=None)
        words = images.tensor().view(-1).view(torch.int64)
        limit = min(seconds(words.sum) for _ in range(20))
        for name in NAMES:
            pairs = [representation(name, images, options) for _ in range(options.rounds)]
            add_row(table, name, pairs, AIMS[name], limit)
        for name in ("k-means", "manifold") if options.slow else ():
            subset = images.subset(images.ids[: options.slow_images])
            subset = ImageSet(subset.tensor(), subset.labels, classes=subset.classes)
            pairs = [CLUSTERINGS[name](subset) for _ in range(1 if name == "manifold" else options.rounds)]
            add_row(table, f"{name}, {len(subset):,} images", pairs, AIMS[name], None)
    console.print(
        f"{len(images):,} images, {torch.get_num_threads()} threads; a plain pass over the pixels takes "
        f"{limit * 1e3:.1f} ms ({images.tensor().numel() / limit / 2**30:.1f} GiB/s); reference timed on "
        f"{options.reference_images:,} images and scaled"
    )
    console.print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processor", action="store_true", help="processor time, where other programs run beside")
    parser.add_argument("--reference", type=Path, help="a copy of the reference, instead of cloning it")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--reference-images", type=int, default=5_000)
    parser.add_argument("--slow", action="store_true", help="k-means with a chosen number of clusters, and manifolds")
    parser.add_argument("--slow-images", type=int, default=50_000, help="of those two, on both sides")
    return parser.parse_args()


@contextlib.contextmanager
def reference(path: Path | None) -> Iterator[None]:
    """The reference's modules can be imported inside."""
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "reference"
            subprocess.run(["git", "clone", "--quiet", "--depth", "1", URL, str(path)], check=True)
        sys.path.insert(0, str(path))
        try:
            yield
        finally:
            sys.path.remove(str(path))


def representation(name: str, images: ImageSet, options: argparse.Namespace) -> Pair:
    """Seconds of representing and scoring all images: ours, and the reference's, scaled from fewer."""
    reference_scores(name, as_reference(images, 10))  # its imports take longer than its work
    ours = seconds(lambda: score_images(images, Criterion(representation=name)))
    count = min(options.reference_images, len(images))
    return ours, seconds(lambda: reference_scores(name, as_reference(images, count))) * len(images) / count


def reference_scores(name: str, dataset: Any) -> Any:
    from utils import evaluators, representations  # pyright: ignore[reportMissingImports]

    stem = NAMES[name]
    if stem is None:
        return evaluators.image_variance(dataset)
    features = getattr(representations, stem)(dataset)
    combine = evaluators.combine_patch_entropies if name == "patch-entropies" else evaluators.entropy
    return combine(features)


def k_means(images: ImageSet) -> Pair:
    """Clustering gray histograms, their number chosen by silhouette; the reference's search and last clustering."""
    from utils import clustering, representations  # pyright: ignore[reportMissingImports]

    ours = seconds(lambda: select(images, criterion="hg/km", budget="10%"))
    with contextlib.redirect_stdout(io.StringIO()):
        features = np.stack(representations.histograms_grayscale(as_reference(images, len(images))))

    def theirs() -> None:
        count = clustering.silhouete_score(features, 0)
        clustering.kmeans_clustering(features, count, 0)

    return ours, seconds(theirs)


def manifold(images: ImageSet) -> Pair:
    """A t-SNE map of the pixels, clustered and sampled."""
    from utils import methods  # pyright: ignore[reportMissingImports]

    ours = seconds(lambda: select(images, criterion="manifold", budget="10%"))
    pixels = as_reference(images, len(images)).data
    return ours, seconds(lambda: methods.manifold_learning(pixels, len(images) // 10, 2, 100, 0))


CLUSTERINGS = {"k-means": k_means, "manifold": manifold}


def as_reference(images: ImageSet, count: int) -> Any:
    """What the reference reads of a torchvision data set: `data`, uint8 [N, H, W, C]."""
    return SimpleNamespace(data=images.tensor()[:count].permute(0, 2, 3, 1).contiguous().numpy())


def seconds(work: Callable[[], object]) -> float:
    with contextlib.redirect_stdout(io.StringIO()):  # the reference prints what it does
        began = CLOCK[0]()
        work()
        return CLOCK[0]() - began


def add_row(table: Table, name: str, pairs: list[Pair], aim: float, limit: float | None) -> None:
    ratios = [theirs / ours for ours, theirs in pairs]
    print(f"{name}: {', '.join(f'{ratio:.1f}' for ratio in ratios)}", file=sys.stderr)
    ours, theirs = (min(column) for column in zip(*pairs, strict=True))
    share = "" if limit is None else f"{100 * limit / ours:.1f} %"
    shown = (f"{ours:.3f}", f"{theirs:.2f}", f"{max(ratios):.1f}", f"{statistics.median(ratios):.1f}", f"{aim}")
    table.add_row(name, *shown, share)


if __name__ == "__main__":
    main()
