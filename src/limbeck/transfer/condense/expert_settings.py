"""Settings of the experts that `condense` follows. torch is not imported."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from limbeck.data.normalised_views.catalogue import NormalisedViewsSpec
from limbeck.models.catalogue import MODELS
from limbeck.training.settings import Sharpness
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.settings_group import Count, Decay, Natural, NotNegative, Positive, SettingsGroup, Share


class Network(SettingsGroup):
    """The network on which images are learned: that of the experts.

    Attributes:
        model: see `limbeck ls models`, or a class of modules of one's own, or its import path ("my_parts:Net"); one
            whose parameters say all (no batch norm, which remembers more).
        options: of the model, as {width: 64}; `limbeck ls models` says what each has.
        mean: what it subtracts from images in [0, 1], a number for each channel; None for that of the training images.
        std: what it divides by after that, a number for each channel; None for that of the training images.
        whitening: whether it sees whitened images (ZCA of the training images) in place of normalised ones.
        whitening_epsilon: added to the variances that whitening divides by, in units of [0, 1] images squared.
    """

    model: Annotated[str, BeforeValidator(MODELS.named)] = "convnet_d3"
    options: Mapping[str, Any] = {}
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    whitening: bool = False
    whitening_epsilon: Positive = 0.1


class Curriculum(SettingsGroup):
    """PAD's order of the training images: easy ones first, and the easiest not to the end.

    Attributes:
        score: how hard an image is: a criterion of `select` of which low is easy.
        first: share of each class that is shown in the first epoch.
        whole_from: epoch from which all are shown.
        drops: pairs of an epoch and the share of the easiest images that is left out from it on. Epochs count from 0;
            the published ones are 40 and 60, after which the authors' code leaves them out.
    """

    score: str = "grand"
    first: Share = 0.75
    whole_from: Count = 20
    drops: tuple[tuple[Count, Annotated[float, Field(ge=0, lt=1)]], ...] = ((41, 0.1), (61, 0.2))

    @field_validator("score")
    @classmethod
    def _of_a_criterion(cls, score: str) -> str:
        if find_criterion(score).needs_teacher:
            raise ValueError(
                f"must be a criterion that asks no teacher, got {score!r}; 'forgetting' trains a network of its own"
            )
        return score


class Experts(SettingsGroup):
    """Networks taught on all the training images, whose ways through the space of weights are kept.

    Attributes:
        folder: of experts that are there already (`limbeck experts`), which may have been taught by another method's
            settings, but not otherwise than is said beside it; None makes them, or finds them where the runs of a
            comparison share theirs.
        count: how many experts. Of those in `folder` all are read, or the first so many where this is not the method's
            own number.
        epochs: how many epochs a whole training has. Only the snapshots that are read are made, unless labels or the
            choice of images need the networks at their end.
        steps_per_snapshot: how many steps lie between two snapshots; None for an epoch, and then "epochs" are such
            intervals everywhere.
        batch_size: images of a step of the experts' SGD.
        learning_rate: of the experts' SGD, up to the first of the `milestones`.
        milestones: epochs after which the learning rate falls; none for a constant one. Those beyond `epochs` are never
            reached.
        decay: what the learning rate is multiplied by at each of the `milestones`.
        momentum: of the experts' SGD.
        weight_decay: of the experts' SGD.
        sharpness: sharpness-aware minimisation, as `sharpness` under `training`; None for plain SGD.
        curriculum: the order in which images are shown; None for all images all the time.
        views: of floats after normalisation, see `normalised_views` under `training`; None for the images as they are.
        format: of the files in which snapshots are kept: "float16", "float32", or "differences" (sums of bfloat16).
        judges: how many fully taught networks give labels and choose images; 0 for the experts' own last snapshots, all
            of which are then taught to the end. Of those in `folder` as with `count`.
        seed: of their weights, their images' order and views; whatever the seed of the set, so that sets of several
            seeds share their experts.
    """

    folder: str | None = None
    count: Count = 100
    epochs: Count = 50
    steps_per_snapshot: Count | None = None
    batch_size: Count = 256
    learning_rate: Positive = 0.01
    milestones: tuple[Count, ...] = ()
    decay: Share = 0.2
    momentum: Decay = 0.0
    weight_decay: NotNegative = 0.0
    sharpness: Sharpness | None = None
    curriculum: Curriculum | None = None
    views: NormalisedViewsSpec = "dsa"
    format: Literal["float16", "float32", "differences"] = "float16"
    judges: Natural = 1
    seed: Natural = 0

    @field_validator("milestones")
    @classmethod
    def _rising(cls, milestones: tuple[int, ...]) -> tuple[int, ...]:
        if list(milestones) != sorted({*milestones}):
            raise ValueError(f"must rise, got {list(milestones)}; give each epoch once, the first one first")
        return milestones
