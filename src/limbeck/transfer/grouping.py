"""The clusters of a whole image set, by themselves: what a table of scores keeps of criteria that go by them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.transfer.clusters import GROUPS
from limbeck.transfer.criteria import ALLOCATIONS, Criterion
from limbeck.transfer.scoring.features import ScoringContext, collect, representation
from limbeck.transfer.scoring.score import representation_options

if TYPE_CHECKING:
    from limbeck.data import ImageSet


def clusters_of(images: "ImageSet", criterion: Criterion, context: ScoringContext) -> Tensor:
    """The cluster of every image, int64 `[N]`, >= 0: the very ones that `select` finds on the way, but for numbers.

    Args:
        images: labelled, if the criterion goes by class; then no cluster has images of two classes.
        criterion: whose allocation goes by clusters.
        context: teacher, folder, seed.
    """
    name = criterion.space
    features = collect(images, representation(name, images, context, representation_options(criterion, name))).float()
    group = GROUPS[criterion.allocation.removesuffix("-per-class")]
    options = {option: criterion.option(option) for option in ALLOCATIONS[criterion.allocation].options}
    if not criterion.per_class:
        return group(features, images.ids, options, context.seed)
    assert images.labels is not None, "criteria per class are refused for unlabelled images before"
    clusters, known = torch.empty(len(images), dtype=torch.int64), 0
    for label in images.labels.unique().tolist():
        members = (images.labels == label).nonzero().flatten()
        clusters[members] = known + group(features[members], images.ids[members], options, context.seed)
        known = int(clusters[members].max()) + 1
    return clusters
