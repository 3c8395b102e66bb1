"""Condensed images as a transfer set that carries how students are to be taught on it."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.joined import content_ids
from limbeck.data.storage import in_levels
from limbeck.data.transfer_set import TransferSet
from limbeck.models.forward import FrozenTeacher, whole_outputs
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.condense.crops import CropImages
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start import Start
from limbeck.transfer.condense.synthetic import SyntheticSet
from limbeck.transfer.set_evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
    from limbeck.models.classifier import Classifier


_MUCH = 0.05
"""Mean change of a value by rounding to 8 bits, in units of [0, 1], above which images are kept as floats."""


def transfer_set_of(
    synthetic: SyntheticSet,
    settings: CondenseSettings,
    networks: FreshNetworks,
    network: "Classifier",
    pool: ImageSet,
    start: Start,
    *,
    seed: int,
) -> TransferSet:
    """The images in units of [0, 1] with their labels, and how students are taught on them.

    Args:
        synthetic: the learned images.
        settings: of the maker.
        networks: fresh networks of the kind that the images were learned on.
        network: one of these; converts normalised inputs to images.
        pool: images that the set stands for.
        start: what the images began as.
        seed: of the set.
    """
    floats = network.images_of(synthetic.inputs.cpu()).detach().float()
    rounding_loss = rounding(floats)
    loses_much = settings.network.whitening or rounding_loss["change"] > _MUCH
    as_floats = settings.keep == "float16" or (settings.keep == "auto" and loses_much)
    levels = in_levels(floats)
    floats = _halved(floats) if as_floats else floats
    digests = ImageSet.of_floats(floats).digests() if as_floats else ImageSet(levels).digests()
    description = {"classes": pool.classes, "name": f"condensed {pool.name}", "ids": _distinct(content_ids(digests))}
    labels = start.classes
    images = ImageSet.of_floats(floats, labels, **description) if as_floats else ImageSet(levels, labels, **description)
    soft = synthetic.labels.cpu() if synthetic.soft else None
    return TransferSet(
        images,
        soft_labels=soft,
        soft_label_kind="logits",
        provenance={
            **start.provenance,
            "maker": [settings.maker] * len(images),
            "learned": synthetic.learned.cpu().long(),
        },
        about={
            "maker": settings.maker,
            "method": settings.method,
            "budget": parse_budget(settings.budget).label,
            "pool": pool.name,
            "seed": seed,
            **({} if as_floats else {"rounding": dict(rounding_loss)}),
        },
        use=use_of(
            settings,
            networks,
            pool,
            len(images) * settings.per_image,
            rate=_rate(settings, synthetic),
            soft=soft is not None,
        ),
        per_image=settings.per_image,
    )


def set_of_crops(
    crops: CropImages,
    settings: CondenseSettings,
    networks: FreshNetworks,
    pool: ImageSet,
    teacher: FrozenTeacher,
    *,
    named: Mapping[str, Any],
    seed: int,
) -> TransferSet:
    """Images of crops as a transfer set, with a teacher's logits where it gives the labels.

    Args:
        crops: the images.
        settings: of the maker.
        networks: fresh networks of the student's kind.
        pool: images that the crops were taken from.
        teacher: rated the crops.
        named: the teacher as recipes name it.
        seed: of the set.
    """
    ids = _distinct(content_ids(ImageSet(crops.images).digests()))
    images = ImageSet(crops.images, crops.labels, classes=pool.classes, name=f"condensed {pool.name}", ids=ids)
    soft = whole_outputs(teacher, images).logits if settings.labels == "teacher" else None
    count = len(images)
    provenance = {
        "source": [pool.name] * count,
        "source_id": crops.sources[:, 0],
        "sources": [" ".join(map(str, row)) for row in crops.sources.tolist()],
        "score": crops.scores.mean(1).double(),
        "maker": ["condense"] * count,
    }
    about = {
        "maker": settings.maker,
        "method": settings.method,
        "budget": parse_budget(settings.budget).label,
        "pool": pool.name,
        "teacher": teacher.classifier.name,
        "seed": seed,
    }
    rate = settings.use.learning_rate
    use = use_of(settings, networks, pool, count, rate=rate, soft=soft is not None, teacher=named)
    return TransferSet(images, soft, provenance, about, "logits" if soft is not None else "probabilities", use=use)


def use_of(
    settings: CondenseSettings,
    networks: FreshNetworks,
    pool: ImageSet,
    count: int,
    *,
    rate: float,
    soft: bool,
    teacher: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """How a student is taught on the set, in the form of recipes; see `TransferSet.use`.

    Args:
        settings: of the maker.
        networks: fresh networks of the kind that images were made on, and of the student's.
        pool: images that the set stands for.
        count: number of images when they are used.
        rate: learning rate of the student's training.
        soft: whether there are soft labels.
        teacher: as recipes name it; asked about every view where settings leave labels to it.
    """
    use, by_teacher = settings.use, not settings.own_labels
    published = PROTOCOLS["rded"].training(count, pool.num_classes, min(pool.shape[1:]))
    batch_size = published["batch_size"] if use.batch_size is None else use.batch_size
    usual_views = list(published["views"]) if settings.by == "crops" else "none"
    views = usual_views if use.image_views is None else use.image_views
    return {
        "student": student_of(networks, pool.shape),
        "training": {
            "epochs": use.epochs,
            "batch_size": min(batch_size, count),  # so that an epoch has at least one step
            "optimizer": use.optimizer,
            "learning_rate": rate,
            "momentum": use.momentum,
            "weight_decay": use.weight_decay,
            "schedule": use.schedule,
            **({"milestones": list(use.milestones), "decay": use.decay} if use.schedule == "multi-step" else {}),
            "views": views,
            "normalised_views": use.views,
        },
        "objective": _objective(use.temperature if by_teacher else None, soft=soft),
        **({"teacher": teacher} if by_teacher and teacher is not None else {}),
    }


def _objective(temperature: float | None, *, soft: bool) -> dict[str, Any]:
    """The objective for the set's labels, or for a teacher's answers at a temperature, without the T² of `kd`."""
    if temperature is not None:
        return {"kd": {"weight": temperature**-2, "temperature": temperature}}
    return {"kd": {"weight": 1.0, "temperature": 1.0}} if soft else {"cross_entropy": 1.0}


def student_of(networks: FreshNetworks, shape: tuple[int, int, int]) -> dict[str, Any]:
    """`student` of a recipe: a network of this kind for images of shape (C, H, W)."""
    built = networks.built
    whitening = built.get("whitening")
    normalisation = (
        {"whitening": whitening.tensors()} if whitening else {name: list(built[name]) for name in ("mean", "std")}
    )
    return {
        "model": networks.model,
        "options": networks.options,
        "input_size": list(shape[1:]),
        "channels": shape[0],
        **normalisation,
    }


def rounding(floats: Tensor) -> Mapping[str, float]:
    """What storing images in 8 bits changes: the share of values that are clipped, and the mean change of a value.

    Args:
        floats: `[N, C, H, W]` in units of [0, 1].

    Returns:
        `clipped`, a share, and `change`, in units of [0, 1].

    Example:
        >>> rounding(torch.tensor([[[[0.0, 2.0]]]]))
        {'clipped': 0.5, 'change': 0.5}
    """
    stored = (floats * 255).round().clamp(0, 255) / 255
    clipped = ((floats < 0) | (floats > 1)).double().mean()
    return {"clipped": round(float(clipped), 6), "change": round(float((stored - floats).abs().double().mean()), 8)}


def _halved(floats: Tensor) -> Tensor:
    """Images in half precision; warns of values beyond its range, which are clipped."""
    limit = torch.finfo(torch.float16).max
    if beyond := int((floats.abs() > limit).sum()):
        warnings.warn(
            f"{beyond:,} of {floats.numel():,} values of the images are beyond {limit:,.0f} times white, and are kept "
            "as that: pixels ran away. Lower the rate of pixels (`image_rate`), or set `clamp: true`.",
            stacklevel=4,
        )
    return floats.clamp(-limit, limit).half()


def _rate(settings: CondenseSettings, synthetic: SyntheticSet) -> float:
    """The learned learning rate, or that of `use` where none was learned."""
    learned = settings.by == "trajectories" and settings.iterations > 0
    return float(synthetic.rate) if learned else settings.use.learning_rate


def _distinct(ids: Tensor) -> Tensor:
    """Ids made distinct: of equal images, whose ids are equal, the second and later ones get other ids."""
    taken: set[int] = set()
    distinct = []
    for image_id in ids.tolist():
        while image_id in taken:
            image_id += 1
        taken.add(image_id)
        distinct.append(image_id)
    return torch.tensor(distinct)
