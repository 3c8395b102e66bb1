"""What a report needs to look inside teacher and student: correlations of logits, embeddings of some test images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from torch import Tensor

from limbeck.evaluation.correlation import class_correlation, logit_correlation, mean_absolute_difference
from limbeck.evaluation.neighbours import neighbour_overlap, same_class_share
from limbeck.evaluation.tsne import FEWEST
from limbeck.files import atomic_path
from limbeck.models.forward import whole_outputs

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

INSIDE_FILE = "inside.safetensors"
NEIGHBOURS = 10


def save_inside(
    path: str | Path,
    student: "Classifier",
    teacher: "Classifier",
    images: "ImageSet",
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    most: int,
) -> None:
    """Writes `path` with tensors and, as JSON in its header under "about", numbers.

    Tensors: `correlation.student` and `correlation.teacher` `[K, K]`, over all images; of at most `most` images,
    stratified, `ids`, `labels`, `says.student` and `says.teacher` (the classes they name) `[n]`, `embedding.student`
    `[n, D]` and `embedding.teacher` `[n, D']`, where both networks have a tap for it and there are enough images.

    Args:
        path: a safetensors file.
        student, teacher: classifiers of the same classes.
        images: labelled.
        student_logits, teacher_logits: `[N, K]`, of these images.
        most: images whose embeddings are kept, >= 1.
    """
    assert images.labels is not None
    correlations = {"student": logit_correlation(student_logits), "teacher": logit_correlation(teacher_logits)}
    tensors = {f"correlation.{who}": matrix.float() for who, matrix in correlations.items()}
    about: dict[str, Any] = {
        "n": len(images),
        "classes": list(images.classes),
        "difference": mean_absolute_difference(*correlations.values()) if images.num_classes > 1 else None,
        "class_correlation": class_correlation(student_logits, teacher_logits).tolist(),
        "neighbours": None,
    }
    sample = images if len(images) <= most else images.split(most, seed=0)[1]
    tapped = all(network.taps.embedding is not None for network in (student, teacher))
    if tapped and len(sample) >= FEWEST:
        embeddings = {who: _embedding(network, sample) for who, network in (("student", student), ("teacher", teacher))}
        about["neighbours"] = _neighbours(embeddings, sample)
        places = images.positions(sample.ids)
        tensors |= {f"embedding.{who}": embedding for who, embedding in embeddings.items()}
        tensors |= {"ids": sample.ids, "labels": images.labels[places]}
        tensors |= {"says.student": student_logits[places].argmax(1), "says.teacher": teacher_logits[places].argmax(1)}
    with atomic_path(path) as temporary:
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            temporary,
            metadata={"about": json.dumps(about)},
        )


def _embedding(network: "Classifier", images: "ImageSet") -> Tensor:
    embedding = whole_outputs(network, images, ("embedding",)).embedding
    assert embedding is not None
    return embedding


def _neighbours(embeddings: dict[str, Tensor], images: "ImageSet") -> dict[str, Any]:
    assert images.labels is not None
    k = min(NEIGHBOURS, len(images) - 1)
    return {
        "k": k,
        "n": len(images),
        "overlap": neighbour_overlap(embeddings["student"], embeddings["teacher"], k),
        "chance": k / (len(images) - 1),
        **{who: same_class_share(embedding, images.labels, k) for who, embedding in embeddings.items()},
    }
