"""How long a step of teaching an expert takes."""

from copy import deepcopy

import torch
from torch.nn.functional import cross_entropy

from limbeck.data.image_set import ImageSet
from limbeck.data.normalised_views import normalised_views
from limbeck.device import default_device
from limbeck.models.classifier import Classifier
from limbeck.transfer.condense.estimate import measured
from limbeck.transfer.condense.expert_settings import Experts


def seconds_of_step(settings: Experts, network: Classifier, images: ImageSet, batch_size: int) -> float:
    """Seconds of a step, from its passes over a batch, which are nearly all of it.

    Args:
        settings: of the training.
        network: of the experts' kind, which stays as it is.
        images: labelled; the first ones are taken.
        batch_size: of a step.
    """
    assert images.labels is not None, "experts are taught on labelled images"
    device, views = default_device(), normalised_views(settings.views)
    pupil = deepcopy(network).to(device).train()
    rows = torch.arange(batch_size)
    pixels, labels = images.gather(rows).to(device), images.labels[rows].to(device)
    draw = views.draw(batch_size, seed=0, step=0, device=device)

    def passes() -> None:
        for _ in range(1 if settings.sharpness is None else 2):
            logits = pupil.network(views.apply(pupil.prepare(pixels), draw))
            torch.autograd.grad(cross_entropy(logits, labels), [*pupil.network.parameters()])

    return measured(passes, device)[0]
