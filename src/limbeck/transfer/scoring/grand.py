"""The gradient norm of an image early in training, averaged over networks."""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.randomness import derive_seed
from limbeck.transfer.scoring.learning import learn

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.transfer.scoring.context import ScoringContext

_BATCH = 256


def grand(images: "ImageSet", context: "ScoringContext", *, model: str, epochs: int, networks: int) -> Tensor:
    """Gradient norm of each image's loss in the head, averaged over networks early in training, float64 `[N]`.

    Easy images have low scores. Source: Paul et al., "Deep learning on a data diet: finding important examples early in
    training", NeurIPS 2021, https://arxiv.org/abs/2107.07075; only the gradient of the last layer is used, as in
    Guo et al., "DeepCore", 2022, https://arxiv.org/abs/2204.08499 (ten ResNet-18, ten epochs each).

    The networks are kept, see `learn`.

    Args:
        images: labelled.
        context: folder, seed, progress.
        model: a name of the zoo.
        epochs: >= 1, of training before the gradients are taken.
        networks: >= 1, each with its own seed.

    Raises:
        UserError: the taps of the model name no head.
    """
    assert images.labels is not None, "scores by label are refused for unlabelled images before"
    ids = images.ids
    images = images.subset(ids.sort().values)  # so that scores do not depend on the order of the set
    total = torch.zeros(len(images), dtype=torch.float64)
    for number in range(networks):
        seed = derive_seed(context.seed, "grand", number)
        result = learn(images, context, "grand", model=model, epochs=epochs, seed=seed)
        total += gradient_norms(result.student.eval(), images)
        context.meter.add(Cost(images_read=len(images)))
    return total[images.positions(ids)] / networks


@torch.inference_mode()
def gradient_norms(network: Classifier, images: "ImageSet") -> Tensor:
    """Norm of the gradient of each image's cross-entropy in the head's weight and bias, float64 `[N]`.

    With logits W h + b, the gradient is (p - onehot(y)) h^T for W and p - onehot(y) for b, with the norm
    |p - onehot(y)| sqrt(|h|^2 + 1).

    Example:
        >>> gradient_norms(student, images).shape
        torch.Size([200])
    """
    assert images.labels is not None
    if network.taps.embedding is None:
        raise UserError(f"`model` {network.name!r} names no head, whose gradient 'grand' is about; choose another.")
    norms = torch.empty(len(images), dtype=torch.float64)
    for positions, batch in images.batches(_BATCH):  # uint8 [B, C, H, W]
        outputs = network(batch.to(network.mean.device), want=("logits", "embedding"))
        assert outputs.embedding is not None
        logits, embedding = outputs.logits.double().cpu(), outputs.embedding.double().cpu()
        error = logits.softmax(1) - F.one_hot(images.labels[positions], logits.shape[1])  # [B, K]
        norms[positions] = error.norm(dim=1) * (embedding.square().sum(1) + 1).sqrt()
    return norms
