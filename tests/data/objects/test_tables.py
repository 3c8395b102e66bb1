"""Data sets of `datasets`, data frames and Arrow tables."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image
from tests.data.objects.conftest import LABELS
from torch import Tensor
from torch.utils.data import Subset

import limbeck as lb
from limbeck.errors import UserError

FEATURES = datasets.Features(
    {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee", "cat", "dog"])}
)


@pytest.fixture
def dataset(pictures: list[Image.Image]) -> Any:
    return datasets.Dataset.from_dict({"image": pictures, "label": LABELS}, features=FEATURES)


def test_a_dataset_keeps_its_classes(dataset: Any, images: Tensor) -> None:
    loaded = lb.load(dataset)
    assert torch.equal(loaded.tensor(), images)
    assert loaded.classes == ("ant", "bee", "cat", "dog")
    assert loaded.labels is not None
    assert (loaded.labels.tolist(), loaded.name) == (LABELS, "dataset")


def test_what_was_chosen_of_it_counts(dataset: Any, images: Tensor) -> None:
    chosen = dataset.select([7, 2, 3]).rename_column("image", "img")
    loaded = lb.load(chosen)
    assert torch.equal(loaded.tensor(), images[[7, 2, 3]])
    assert loaded.labels is not None
    assert loaded.labels.tolist() == [1, 2, 0]
    assert lb.load(Subset(dataset, [7, 2, 3])).fingerprint == loaded.fingerprint
    shuffled = dataset.shuffle(seed=3)
    order = [next(row for row in range(12) if _same(images[row], image)) for image in shuffled["image"]]
    assert torch.equal(lb.load(shuffled, in_memory=False).tensor(), images[order])
    assert len(lb.load(dataset.filter(lambda row: row["label"] == 1))) == 4


def _same(image: Tensor, picture: Image.Image) -> bool:
    return np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(picture))


def test_formats_do_not_matter_but_transforms_do(dataset: Any) -> None:
    plain = lb.load(dataset).fingerprint
    assert lb.load(dataset.with_format("torch")).fingerprint == plain
    assert lb.load(dataset.cast_column("image", datasets.Image(decode=False))).fingerprint == plain
    assert lb.load(dataset.with_format("numpy", columns=["image"])).labels is None
    with pytest.raises(
        UserError, match=r"has a transform \(`set_transform` or `with_transform`\).*with_format\(None\)"
    ):
        lb.load(dataset.with_transform(lambda rows: rows))


def test_splits(dataset: Any) -> None:
    splits = datasets.DatasetDict({"train": dataset, "test": dataset.select(range(4))})
    assert (len(lb.load(splits)), len(lb.load(splits, "test")), len(lb.load(splits, "eval"))) == (12, 4, 4)
    with pytest.raises(UserError, match=r"`split` of the DatasetDict must be 'train' or 'test', got 'val'"):
        lb.load(splits, "val")
    test: Any = datasets.Split.TEST
    named = datasets.Dataset.from_dict({"image": [], "label": []}, features=FEATURES, split=test)
    with pytest.raises(UserError, match=r"holds no images"):
        lb.load(named, "test")
    with pytest.raises(
        UserError, match=r"the Dataset is one by itself: it is 'test'; leave `split` out, got 'validation'"
    ):
        lb.load(named, "validation")


def test_text_labels_are_numbered_over_all_splits(pictures: list[Image.Image]) -> None:
    parts: Any = {
        name: datasets.Dataset.from_dict({"image": pictures[:2], "class": labels})
        for name, labels in (("train", ["dog", "ant"]), ("test", ["dog", "dog"]))
    }
    assert lb.load(datasets.DatasetDict(parts), "test").classes == ("ant", "dog")
    with pytest.raises(UserError, match=r"without 0.*ClassLabel\(names=\[\.\.\.\]\)\)` names all classes"):
        lb.load(datasets.Dataset.from_dict({"image": pictures[:2], "label": [1, 1]}))


def test_arrays_in_columns(pixels: np.ndarray, images: Tensor) -> None:
    kind = datasets.Array3D((6, 5, 3), "uint8")
    nested = datasets.Dataset.from_dict(
        {"pixel_values": list(pixels), "label": LABELS},
        features=datasets.Features({"pixel_values": kind, "label": datasets.Value("int64")}),
    )
    assert torch.equal(lb.load(nested).tensor(), images)


def test_columns_can_be_named(dataset: Any) -> None:
    renamed = dataset.rename_column("image", "left").add_column("other", [str(label) for label in LABELS])
    loaded = lb.load(renamed, label_column="other")
    assert loaded.classes == ("0", "1", "2")
    with pytest.raises(UserError, match=r"`image_column` must be a column of the dataset 'dataset', got 'right'"):
        lb.load(renamed, image_column="right")
    with pytest.raises(UserError, match=r"`label_column` must be another column than the images, got 'left'"):
        lb.load(renamed, label_column="left")
    with pytest.raises(UserError, match=r"`layout` is for arrays and tensors, and the Dataset is none"):
        lb.load(dataset, layout="NCHW")


def test_a_broken_row_is_named(dataset: Any) -> None:
    rows = [{"bytes": b"none", "path": None} if row == 2 else cell for row, cell in enumerate(_cells(dataset))]
    broken = datasets.Dataset.from_dict({"image": rows}).cast_column("image", datasets.Image()).select([4, 2])
    with pytest.raises(UserError, match=r"row 1 of the dataset 'dataset' cannot be read as an image"):
        lb.load(broken)
    assert lb.load(broken, skip_unreadable=True).ids.tolist() == [0]


def _cells(dataset: Any) -> list[Any]:
    return dataset.cast_column("image", datasets.Image(decode=False))["image"][:]


@pytest.mark.usefixtures("cached_at_once")
def test_decoded_pixels_of_files_are_kept(dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.save_to_disk(tmp_path / "saved")
    first = lb.load(datasets.load_from_disk(tmp_path / "saved"))
    monkeypatch.setattr("limbeck.data.encoded.build.decode_many", None)  # nothing is decoded again
    assert lb.load(datasets.load_from_disk(tmp_path / "saved")).fingerprint == first.fingerprint
    with pytest.raises(TypeError):
        lb.load(dataset)  # in memory, so no later process could recognise it


def test_frames_of_paths(pictures: list[Image.Image], images: Tensor, tmp_path: Path) -> None:
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(12)]
    frame = pd.DataFrame({"path": paths, "label": pd.Categorical(["b", "a", "c"] * 4)})
    loaded = lb.load(frame)
    assert torch.equal(loaded.tensor(), images)
    assert (loaded.classes, loaded.name) == (("a", "b", "c"), "DataFrame")
    assert lb.load(pa.table({"image": paths, "y": LABELS})).num_classes == 3
    assert torch.equal(lb.load([Path(path) for path in paths]).tensor(), images)
    assert lb.load(frame.rename(columns={"path": "where"}), image_column="where", labels=False).classes == ()
    with pytest.raises(UserError, match=r"`image_column` must be named: no column of the DataFrame looks like images"):
        lb.load(frame.rename(columns={"path": "where"}))
    with pytest.raises(UserError, match=r"`images` is a DataFrame that Arrow cannot hold.*must be paths, bytes"):
        lb.load(pd.DataFrame({"image": pictures}))


def test_class_names_in_an_arrow_table(dataset: Any) -> None:
    table = dataset.with_format("arrow")[:].replace_schema_metadata(dataset.data.schema.metadata)
    assert lb.load(table).fingerprint == lb.load(dataset).fingerprint
