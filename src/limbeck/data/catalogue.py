"""The named datasets: where each is on the hub, its columns, splits, classes and size. Quick to import: no torch."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from limbeck.catalogue import Catalogue
from limbeck.data.procedural.kinds import KINDS, Kind
from limbeck.errors import UserError, unknown_name

LIST_HINT = "`limbeck ls datasets` lists them all; a folder, .npz, .parquet or hub id 'owner/name' works too."


@dataclass(frozen=True)
class Split:
    """One split: its name at the hub and its number of images there, None where that was not published."""

    hub_name: str
    images: int | None


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a named dataset before any of it is opened.

    Args:
        name: the name here.
        hub_id: repository of datasets on the Hugging Face hub, also its folder under a local root; None if the set
            comes with a library or is made.
        config: configuration at the hub, also the folder below `hub_id`; None where there is only one.
        image_column, label_column: columns at the hub.
        splits: split here -> split at the hub.
        num_classes: K; 0 where it is not known.
        size: (H, W) of the images; where `varies`, what they are resized and cropped to unless user or network say
            otherwise; (0, 0) where it is not known.
        channels: 1 or 3.
        licence: as the source states it.
        varies: whether the images differ in size.
        remark: what a user should know before using it.
        revision: branch at the hub; None for the default.
        keep: the classes (numbers at the hub) that this set consists of, renumbered in this order; None for all.
        wordnet_folders: whether it may also lie under a local root in folders of splits, each with a folder of every
            class, which its WordNet id names.
        warning: shown whenever the set is loaded.
        made_by: for a data set of the user's own: name of a split -> the split.
        variants: of procedural images, name -> a few words; chosen after a colon, as in "noise:white".
    """

    name: str
    hub_id: str | None
    config: str | None
    image_column: str
    label_column: str
    splits: Mapping[str, Split]
    num_classes: int
    size: tuple[int, int]
    channels: int
    licence: str
    varies: bool = False
    remark: str = ""
    revision: str | None = None
    keep: tuple[int, ...] | None = None
    wordnet_folders: bool = False
    warning: str = ""
    made_by: Callable[[str], Any] | None = None
    variants: Mapping[str, str] = field(default_factory=dict)

    @property
    def procedural(self) -> bool:
        """Whether its images are made on the fly, as many as are asked for, and have no classes."""
        return bool(self.variants)


CONVERTED = "refs/convert/parquet"
"""Branch where the hub keeps a Parquet copy of datasets that were published as scripts."""

_NO_TEST = "the hub has no labelled test split: `test` is its validation split"

_ENTRIES = (
    DatasetInfo(
        name="cifar10",
        hub_id="uoft-cs/cifar10",
        config="plain_text",
        image_column="img",
        label_column="label",
        splits={"train": Split("train", 50_000), "test": Split("test", 10_000)},
        num_classes=10,
        size=(32, 32),
        channels=3,
        licence="unknown",
    ),
    DatasetInfo(
        name="cifar100",
        hub_id="uoft-cs/cifar100",
        config="cifar100",
        image_column="img",
        label_column="fine_label",
        splits={"train": Split("train", 50_000), "test": Split("test", 10_000)},
        num_classes=100,
        size=(32, 32),
        channels=3,
        licence="unknown",
        remark="`label_column='coarse_label'` gives the 20 superclasses",
    ),
    DatasetInfo(
        name="mnist",
        hub_id="ylecun/mnist",
        config="mnist",
        image_column="image",
        label_column="label",
        splits={"train": Split("train", 60_000), "test": Split("test", 10_000)},
        num_classes=10,
        size=(28, 28),
        channels=1,
        licence="MIT",
    ),
    DatasetInfo(
        name="fashion-mnist",
        hub_id="zalando-datasets/fashion_mnist",
        config="fashion_mnist",
        image_column="image",
        label_column="label",
        splits={"train": Split("train", 60_000), "test": Split("test", 10_000)},
        num_classes=10,
        size=(28, 28),
        channels=1,
        licence="MIT",
    ),
    DatasetInfo(
        name="svhn",
        hub_id="ufldl-stanford/svhn",
        config="cropped_digits",
        image_column="image",
        label_column="label",
        splits={"train": Split("train", 73_257), "test": Split("test", 26_032), "extra": Split("extra", 531_131)},
        num_classes=10,
        size=(32, 32),
        channels=3,
        licence="non-commercial use only",
    ),
    DatasetInfo(
        name="stl10",
        hub_id="tanganke/stl10",
        config=None,
        image_column="image",
        label_column="label",
        splits={"train": Split("train", 5_000), "test": Split("test", 8_000)},
        num_classes=10,
        size=(96, 96),
        channels=3,
        licence="unknown",
        remark="without the 100,000 unlabelled images",
    ),
    DatasetInfo(
        name="tiny-imagenet",
        hub_id="zh-plus/tiny-imagenet",
        config=None,
        image_column="image",
        label_column="label",
        splits={"train": Split("train", 100_000), "validation": Split("valid", 10_000), "test": Split("valid", 10_000)},
        num_classes=200,
        size=(64, 64),
        channels=3,
        licence="ImageNet terms: non-commercial research",
        remark=_NO_TEST,
    ),
    DatasetInfo(
        name="imagenette",
        hub_id="frgfm/imagenette",
        config="160px",
        image_column="image",
        label_column="label",
        splits={
            "train": Split("train", 9_469),
            "validation": Split("validation", 3_925),
            "test": Split("validation", 3_925),
        },
        num_classes=10,
        size=(160, 160),
        channels=3,
        licence="Apache-2.0 (images: ImageNet terms)",
        varies=True,
        remark=_NO_TEST,
        revision=CONVERTED,
    ),
    DatasetInfo(
        name="imagewoof",
        hub_id="frgfm/imagewoof",
        config="160px",
        image_column="image",
        label_column="label",
        splits={
            "train": Split("train", 9_025),
            "validation": Split("validation", 3_929),
            "test": Split("validation", 3_929),
        },
        num_classes=10,
        size=(160, 160),
        channels=3,
        licence="Apache-2.0 (images: ImageNet terms)",
        varies=True,
        remark=_NO_TEST,
        revision=CONVERTED,
    ),
    DatasetInfo(
        name="places365",
        hub_id="Andron00e/Places365-custom",
        config=None,
        image_column="image",
        label_column="label",
        splits={"train": Split("train", None)},
        num_classes=365,
        size=(224, 224),
        channels=3,
        licence="images: research and education only; the hub copy states none",
        varies=True,
        remark="about 1.84 million images; this hub copy has one split, hold out your own",
    ),
    DatasetInfo(
        name="caltech101",
        hub_id="flwrlabs/caltech101",
        config=None,
        image_column="image",
        label_column="label",
        splits={"train": Split("train", 8_677)},
        num_classes=101,
        size=(224, 224),
        channels=3,
        licence="unknown",
        varies=True,
        remark="without the background class; one split, hold out your own",
    ),
    DatasetInfo(
        name="caltech256",
        hub_id="ilee0022/Caltech-256",
        config=None,
        image_column="image",
        label_column="label",
        splits={
            "train": Split("train", 24_791),
            "validation": Split("validation", 2_755),
            "test": Split("test", 3_061),
        },
        num_classes=257,
        size=(224, 224),
        channels=3,
        licence="CC BY 4.0",
        varies=True,
        remark="256 objects and a clutter class; the splits are the uploader's, the original has none",
    ),
    DatasetInfo(
        name="imagenet-1k",
        hub_id="ILSVRC/imagenet-1k",
        config=None,
        image_column="image",
        label_column="label",
        splits={
            "train": Split("train", 1_281_167),
            "validation": Split("validation", 50_000),
            "test": Split("validation", 50_000),
        },
        num_classes=1000,
        size=(224, 224),
        channels=3,
        licence="ImageNet terms: non-commercial research",
        varies=True,
        remark=f"gated: accept the terms at the hub first; {_NO_TEST}",
        wordnet_folders=True,
    ),
    DatasetInfo(
        name="digits",
        hub_id=None,
        config=None,
        image_column="images",
        label_column="target",
        splits={"train": Split("train", 1_437), "test": Split("test", 360)},
        num_classes=10,
        size=(8, 8),
        channels=1,
        licence="CC BY 4.0",
        remark="comes with scikit-learn; the split is ours, stratified and fixed",
    ),
)


def _imagenet_subsets(whole: DatasetInfo) -> Iterable[DatasetInfo]:
    """`imagenet-1k:imagenette` and its five sisters, a hundred classes as `imagenet-1k:imagenet-100`, and the 16 sets
    of Comp-DD as `imagenet-1k:comp-dd-bird-hard`.

    Sources: github.com/fastai/imagenette; Y. Tian et al., "Contrastive multiview coding", ECCV 2020 (their
    ImageNet-100; there are others); G. Cazenavette et al., "Dataset distillation by matching training trajectories",
    CVPR 2022; K. Wang et al., "Emphasizing discriminative features for dataset distillation in complex scenarios", CVPR
    2025 (Comp-DD).
    """
    stored = json.loads(files("limbeck.data").joinpath("imagenet_classes.json").read_text())
    for name, classes in stored["imagenet_subsets"].items():
        yield _subset(whole, name, classes)
    for topic, levels in stored["comp_dd"].items():
        for level, classes in levels.items():
            yield _subset(whole, f"comp-dd-{topic}-{level}", classes)


def _subset(whole: DatasetInfo, name: str, classes: list[int]) -> DatasetInfo:
    keep = tuple(dict.fromkeys(classes))
    twice = [number for number, count in Counter(classes).items() if count > 1]
    name = f"{whole.name}:{name}"
    warning = f"{name} as published lists class {twice[0]} twice, so it has {len(keep)} classes" if twice else ""
    images = 50 * len(keep)
    return replace(
        whole,
        name=name,
        keep=keep,
        num_classes=len(keep),
        splits={
            "train": Split("train", None),
            "validation": Split("validation", images),
            "test": Split("validation", images),
        },
        warning=warning,
        remark=f"classes of imagenet-1k, renumbered from 0; {whole.remark}{'; ' if warning else ''}{warning}",
    )


def _procedural(name: str, kind: Kind) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        hub_id=None,
        config=None,
        image_column="",
        label_column="",
        splits={"train": Split("train", None), "validation": Split("validation", None)},
        num_classes=0,
        size=(32, 32),
        channels=3,
        licence="none: made on the fly",
        remark=f"{kind.summary}; without labels",
        variants={key: variant.summary for key, variant in kind.variants.items()},
    )


_OWN: dict[str, DatasetInfo] = {entry.name: entry for entry in _ENTRIES}
_OWN |= {entry.name: entry for entry in _imagenet_subsets(_OWN["imagenet-1k"])}
_OWN |= {name: _procedural(name, kind) for name, kind in KINDS.items()}
DATASETS: Catalogue[DatasetInfo] = Catalogue("datasets", _OWN, "limbeck.data.own_datasets:describe", by_path=False)


def in_catalogue(name: object) -> bool:
    """Whether a string is a name of the catalogue, also with a configuration after it; a `Path` never is."""
    return isinstance(name, str) and (name in DATASETS or name.partition(":")[0] in DATASETS)


def find(name: str) -> DatasetInfo:
    """The entry called `name`; `name:config` is the same set in another configuration of its repository, or variant.

    Raises:
        UserError: there is none; names the closest.

    Example:
        >>> find("cifar10").hub_id
        'uoft-cs/cifar10'
        >>> find("imagenette:320px").config, find("imagenette:320px").size
        ('320px', (320, 320))
    """
    if name in DATASETS:
        return DATASETS[name]
    base, _, config = name.partition(":")
    if config and base in DATASETS and DATASETS[base].procedural:
        info = DATASETS[base]
        if config not in info.variants:
            raise unknown_name(f"variant of {base!r}:", config, info.variants, "`limbeck ls datasets` tells of them.")
        return replace(info, name=name, config=config)
    if config and base in DATASETS and base != "imagenet-1k" and (info := DATASETS[base]).hub_id is not None:
        return replace(info, name=name, config=config, size=_size_of(info, config))
    raise unknown_name("dataset", name, DATASETS, LIST_HINT)


def _size_of(info: DatasetInfo, config: str) -> tuple[int, int]:
    """The size of a configuration's images where sizes vary: its name tells the shorter side, as "320px", or none."""
    if not info.varies:
        return info.size
    pixels = re.fullmatch(r"(\d+)px", config)
    return (int(pixels[1]), int(pixels[1])) if pixels else (0, 0)


def find_split(info: DatasetInfo, split: str) -> Split:
    """The split called `split` here, or by its name at the hub.

    Raises:
        UserError: there is none; lists those there are.
    """
    for name, entry in info.splits.items():
        if split in (name, entry.hub_name):
            return entry
    names = " or ".join(repr(name) for name in info.splits)
    remark = f" ({info.remark})" if info.remark else ""
    raise UserError(f"`split` of {info.name!r} must be {names}, got {split!r}{remark}.")
