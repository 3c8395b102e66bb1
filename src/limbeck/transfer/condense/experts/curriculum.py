"""PAD's curriculum: which images an expert is shown, from easy to hard, and later without the easiest."""

import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.tensor_files import write_tensors
from limbeck.files import atomic_path
from limbeck.progress import Progress
from limbeck.transfer.condense.expert_settings import Curriculum
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.score import score_images

_SCORES = "curriculum.safetensors"


def share_shown(settings: Curriculum, epoch: int) -> tuple[float, float]:
    """The images shown in an epoch: from which to which share of each class, sorted from easy to hard.

    Source: Li et al., "Prioritize alignment in dataset distillation", 2024, https://arxiv.org/abs/2408.03360.

    Example:
        >>> [share_shown(Curriculum(), epoch) for epoch in (0, 10, 20, 41, 61)]
        [(0.0, 0.75), (0.0, 0.875), (0.0, 1.0), (0.1, 1.0), (0.2, 1.0)]
    """
    grown = min(1.0, epoch / settings.whole_from)
    dropped = [share for begin, share in sorted(settings.drops) if begin <= epoch]
    return dropped[-1] if dropped else 0.0, settings.first + (1 - settings.first) * grown


class CurriculumPasses:
    """Callable: number of a pass over the images -> positions of those that it shows; at least one of each class.

    Args:
        settings: of the curriculum.
        scores: of the images, `[N]`; low is easy. Equal scores go by ascending id.
        images: labelled.
        interval: number of images that make an epoch of the settings, where that is not a pass.

    Example:
        >>> passes = CurriculumPasses(Curriculum(whole_from=2), torch.rand(200), images)
        >>> len(passes(1)), len(passes(2))
        (176, 200)
    """

    def __init__(self, settings: Curriculum, scores: Tensor, images: ImageSet, *, interval: int | None = None) -> None:
        assert images.labels is not None, "experts are taught on labelled images"
        self.settings = settings
        self.interval = interval
        # int64 [N]: class by class, easy ones first
        order = torch.from_numpy(np.lexsort((images.ids.numpy(), scores.numpy(), images.labels.numpy())))
        self._sizes = images.class_counts()[images.labels]  # [N] images in the class of each
        starts = images.class_counts().cumsum(0) - images.class_counts()
        self._ranks = torch.empty_like(order)  # [N] easier images in the class of each
        self._ranks[order] = torch.arange(len(order)) - starts[images.labels[order]]
        self._starts = [0]

    def __call__(self, number: int) -> Tensor:
        return self.positions(self.epoch(number))

    def positions(self, epoch: int) -> Tensor:
        """Positions of the images that an epoch of the settings shows, int64 `[n]`, rising."""
        easiest, hardest = share_shown(self.settings, epoch)
        first = (self._sizes * easiest).round().long().minimum(self._sizes - 1)
        end = (self._sizes * hardest).round().long().maximum(first + 1)
        return ((self._ranks >= first) & (self._ranks < end)).nonzero().squeeze(1)

    def epoch(self, number: int) -> int:
        """Epoch of the settings in which a pass begins."""
        if self.interval is None:
            return number
        while len(self._starts) <= number:
            self._starts.append(self._starts[-1] + len(self.positions(self._starts[-1] // self.interval)))
        return self._starts[number] // self.interval

    def sizes(self) -> list[int]:
        """Number of images in epochs 0, 1, ... of the settings, up to the last change."""
        changes = [self.settings.whole_from, *(epoch for epoch, _ in self.settings.drops)]
        return [len(self.positions(epoch)) for epoch in range(max(changes) + 1)]


def curriculum_for(
    settings: Curriculum, images: ImageSet, folder: Path, *, seed: int, interval: int | None, progress: Progress
) -> tuple[CurriculumPasses, Cost]:
    """The curriculum of all experts in a folder, and what scoring the images cost; the folder keeps the scores."""
    path = folder / _SCORES
    if not path.exists():
        criterion = find_criterion(settings.score)
        context = ScoringContext(seed=seed, progress=progress)
        began = time.perf_counter()
        scores = score_images(images, criterion, seed=seed, context=context, progress=progress)
        seconds = time.perf_counter() - began + context.meter.earlier
        cost = context.cost + Cost(seconds=seconds)
        with atomic_path(path) as temporary:
            write_tensors(temporary, {"scores": scores}, {"cost": json.dumps(cost.to_dict())})
    with safe_open(path, framework="pt") as file:
        scores = file.get_tensor("scores")
    return CurriculumPasses(settings, scores, images, interval=interval), cost_of_scores(folder)


def cost_of_scores(folder: Path) -> Cost:
    """What scoring the images for a folder of experts cost; nothing where it holds no scores."""
    if not (folder / _SCORES).exists():
        return Cost()
    with safe_open(folder / _SCORES, framework="pt") as file:
        return Cost.from_dict(json.loads(file.metadata()["cost"]))
