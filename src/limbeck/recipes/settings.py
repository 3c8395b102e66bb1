"""The parts of a recipe that say which images and which networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from limbeck.data.procedural.arguments import check_number
from limbeck.recipes.all_of import all_of
from limbeck.recipes.fields import DatasetName, ModelName, ObjectiveSpec, Training, WeightsName, check_model_options
from limbeck.recipes.yaml_files import misread
from limbeck.training.numeric_fields import refuse_truth

NAME = r"^\w[\w.-]*$"
Natural = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)] | tuple[int, int]
Scale = Annotated[float, Field(gt=0, strict=True)]
Normalisation = Annotated[list[float], Field(min_length=1)]


class Strict(BaseModel):
    """Base of all parts of a recipe: an unknown key is an error, a recipe does not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _numbers = field_validator("*", mode="before")(refuse_truth)


def short_for(key: str) -> BeforeValidator:
    """Lets a lone string, or what is handed over in Python, stand for a mapping that has only `key`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str | Path) or callable(value) else value)


def _class_name(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be the name or the number of a class, got {value!r}{misread(value)}")
    return value


ClassName = Annotated[str | int, BeforeValidator(_class_name)]


class DatasetSettings(Strict):
    """Images by name, folder, file or hub id; see `limbeck.load`.

    A lone name stands for a mapping that has only `name`.
    """

    name: DatasetName
    """A data set of `limbeck ls datasets`, a folder, a file, or a hub id "owner/name"."""
    split: str | None = None
    """Which of its splits, as train, validation or test; by default the one called as the key that it stands under."""
    size: Size | None = None
    """Pixels a side, or [height, width]: images are scaled until they cover it and cropped to its centre. By default
    their own where all have one, else that of the catalogue, or what the networks take."""
    channels: Literal[1, 3] | None = None
    """1 for gray images, 3 for RGB; by default the catalogue's, else 1 if all images are gray, else 3."""
    image_column: str | None = None
    """Column of a table, or array of an `.npz`, that holds the images, where it has none of the usual names."""
    label_column: str | None = None
    """The same of the labels."""
    classes: list[ClassName] | None = None
    """Names or numbers of the classes to keep, which are numbered from 0 in this order; by default all."""
    skip_unreadable: bool = False
    """Leave out images that cannot be decoded, and say how many, in place of stopping."""
    scale: Scale | None = None
    """The stored value that becomes white, in arrays and in files of more than 8 bits, as 4095 for 12 bits in 16; by
    default 65535 for 16-bit files and integers, 255 for other integers, 1 for floats."""
    in_memory: bool | None = None
    """Hold the pixels decoded (`true`), or decode images when they are asked for (`false`); by default decoded if they
    take at most 4 GiB."""
    labels: bool = True
    """`false` leaves their labels aside, as of images of other things than those to be told apart."""
    images: Annotated[int, Field(ge=1)] | None = None
    """How many to make of procedural images, as dead-leaves, which need it; other images have none."""
    seed: Natural | None = None
    """Of procedural images, 0 by default; other images have none."""
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12,32}$")] | None = None
    """Begins the hash of pixels, ids and labels that these images had, as runs from Python write it down: others are
    refused. By default they are taken as they are."""

    @model_validator(mode="after")
    def _counted(self) -> Self:
        check_number(self.name, self.images, self.seed)
        return self


def _count_or_share(value: Any) -> Any:
    too_large = isinstance(value, float) and value >= 1
    if isinstance(value, bool) or too_large or (isinstance(value, int | float) and value < 0):
        raise ValueError(f"must be a count of images >= 0 or a share below 1, got {value}")
    return value


HeldOut = Annotated[
    Annotated[DatasetSettings, Tag("union-images")]
    | Annotated[int | float, BeforeValidator(_count_or_share), Tag("union-count")],
    Discriminator(lambda value: "union-images" if isinstance(value, DatasetSettings | Mapping) else "union-count"),
]
"""Images of their own, or how many to hold out."""
VALIDATION_SHARE = 0.1
"""Share held out of labelled training images if a recipe says nothing of validation."""
_FOR_ALL = ("size", "channels", "image_column", "label_column", "classes", "skip_unreadable", "scale", "in_memory")


def _for_all() -> Any:
    """How all images of a recipe are loaded, unless one of them says otherwise; not written down but with each."""
    return Field(default=None, exclude=True)


class DataSettings(Strict):
    """Images to learn from and to be judged on.

    `data: NAME` and `data: {name: NAME, ...}` name a data set of which everything is taken. Of a folder or file of
    one's own, `validation` and `test` are what it has: where it has no test images, its validation images are judged
    on, and where it has neither, a fifth is held out.

    `validation` images may choose among the states of a run; the test images choose nothing. They are images of their
    own (`{name: ...}`), or a count or share (below 1) that is held out of `train` before anything else sees them, so
    that a share in a `budget` is one of what is left. Where nothing is said, a tenth is held out for validation, but
    nothing of unlabelled images nor of a transfer set, which are taught whole. Makers that need no images of one's own
    do without `train`.

    `size`, `channels` and whatever else says how images are loaded hold for all that do not say otherwise: what each
    means, and takes by default, stands below, where a single data set is described.

    Labelled validation images are judged on by accuracy. On others (`{name: ..., labels: false}`), which may be of
    anything, a student is judged by its agreement with the teacher: the share to which both give the same class.
    """

    short_forms: ClassVar = ("name",)

    train: Annotated[DatasetSettings, short_for("name")] | None = None
    """Images to learn from, or to choose from; required unless `transfer` makes images without any."""
    test: Annotated[HeldOut, short_for("name")] | None = None
    """Labelled images that the student is judged on at the end: images of their own, or a count of images or a share
    below 1 to hold out of `train`."""
    validation: HeldOut | None = None
    """Images that may choose among the states of a run: images of their own, a count or a share of `train`, or 0 for
    none. By default a tenth of labelled training images, and nothing of a transfer set."""
    split_seed: Natural = 0
    """Of the draw of images that are held out, whatever the `seed` of a run: all runs are judged on the same images."""
    size: Size | None = _for_all()
    """Of all images here, pixels a side or [height, width]."""
    channels: Literal[1, 3] | None = _for_all()
    """Of all images here, 1 for gray or 3 for RGB."""
    image_column: str | None = _for_all()
    """Of all images here, where tables hold them."""
    label_column: str | None = _for_all()
    """Of all images here, where tables hold their labels."""
    classes: list[ClassName] | None = _for_all()
    """Of all images here, the classes to keep."""
    skip_unreadable: bool | None = _for_all()
    """Of all images here, whether those that cannot be decoded are left out."""
    scale: Scale | None = _for_all()
    """Of all images here, the stored value that becomes white."""
    in_memory: bool | None = _for_all()
    """Of all images here, whether pixels are held decoded."""

    @model_validator(mode="before")
    @classmethod
    def _of_one_name(cls, content: Any) -> Any:
        return all_of(content) if isinstance(content, Mapping) and "name" in content else content

    def each(self) -> Self:
        """The same with what holds for all images written to each, where that does not say otherwise."""
        common = {name: value for name in _FOR_ALL if (value := getattr(self, name)) is not None}
        changed = {}
        for part in ("train", "test", "validation") if common else ():
            if isinstance(source := getattr(self, part), DatasetSettings):
                more = {name: value for name, value in common.items() if name not in source.model_fields_set}
                changed[part] = source.model_copy(update=more)
        return self.model_copy(update=changed | dict.fromkeys(common))


class NetworkSettings(Strict):
    """A network by name, or weights that say which network they are of.

    Weights from a run, a folder or the hub bring what belongs to them; a bare file of weights needs `model`, and the
    sizes and numbers that it was trained with.
    """

    model: ModelName | None = None
    """A name of `limbeck ls models`, one of timm as timm:resnet50, or a module of one's own as my_pkg:Net. Beside
    `weights` only a bare file needs it."""
    weights: WeightsName | None = None
    """A run folder, a folder or file of weights, published weights by name (`limbeck ls models`), timm:NAME, or
    owner/name on the Hugging Face hub; none means fresh ones."""
    weights_key: str | None = None
    """Which of several sets of weights in a file, as model_ema or teacher."""
    options: dict[str, Any] = {}
    """Of the model, as `{width: 64, norm: batch}`; `limbeck ls models` says what each has."""
    num_classes: Annotated[int, Field(ge=1)] | None = None
    """Outputs of the network; by default what its weights have, and of fresh ones the classes of the images."""
    input_size: Annotated[int, Field(ge=1)] | tuple[int, int] | None = None
    """Pixels a side, or [height, width], that images are resized to inside the network. By default what its weights
    have; fresh networks take the size of the images where they are built for one, or as they come, and timm's the size
    that they were trained at."""
    channels: Annotated[int, Field(ge=1)] | None = None
    """That the network takes; by default those of its weights, and of fresh ones those of the images."""
    mean: Normalisation | None = None
    """What it subtracts from images in [0, 1], a number for each channel; by default what its weights have. Fresh
    networks have 0.5, and timm's what they were trained with."""
    std: Normalisation | None = None
    """What it divides by after that, a number for each channel; by default what its weights have. Fresh networks
    have 0.25, and timm's what they were trained with."""
    classes: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of its classes in its own order, where its weights know none or call them otherwise."""
    whitening: bool = False
    """Show it whitened images (ZCA) in place of normalised ones: by what the transfer set carries that it learns from,
    or else as the training images are whitened. Goes without `weights`, `mean` and `std`."""
    whitening_epsilon: Annotated[float, Field(gt=0)] = 0.1
    """Added to the variances that whitening divides by, in units of [0, 1] images squared."""

    @model_validator(mode="after")
    def _whitened(self) -> Self:
        if self.whitening and (self.mean is not None or self.std is not None):
            raise ValueError("`whitening` stands in place of `mean` and `std`; give one of the two")
        if self.whitening and (self.weights is not None or self.options.get("pretrained") is True):
            raise ValueError("`whitening` is of networks that are taught from the start; weights bring their own")
        return self

    @model_validator(mode="after")
    def _has_options(self) -> Self:
        check_model_options(self.model, self.options)
        if self.weights_key is not None and self.weights is None:
            raise ValueError("`weights_key` needs `weights`, the file in which it names one of several sets")
        return self


class StudentSettings(NetworkSettings):
    """The network that learns; `weights` are its starting point, none mean a fresh start from the seed."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.model is None and self.weights is None:
            raise ValueError("`model` or `weights` must be given, got neither")
        return self


class TeacherSettings(NetworkSettings):
    """The network that is asked: published or own `weights`, or a `model` trained first as `training` says."""

    training: Training | None = None
    """How to train it first, on all of `data.train`, as the group of keys `training` below; goes with `model`, without
    `weights`. By default it has weights and is not trained."""
    objective: ObjectiveSpec = {"cross_entropy": 1.0}
    """What it learns from while it is trained: by default the labels."""

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        pretrained = self.options.get("pretrained") is True
        if self.training is not None and (self.model is None or self.weights is not None):
            raise ValueError("`training` needs a `model` and no `weights`: what has weights is not trained again")
        if self.weights is None and self.training is None and not pretrained:
            raise ValueError("`weights` must be given, or `training` to make them; an untrained teacher knows nothing")
        return self
